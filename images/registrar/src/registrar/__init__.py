"""The registrar: the one writer of the registry, and the one holder of its key."""
