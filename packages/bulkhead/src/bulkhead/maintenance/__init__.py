"""What keeps the registry in order: verify, repair, gc."""
