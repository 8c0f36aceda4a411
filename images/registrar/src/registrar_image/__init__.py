"""The registrar's image has no code of its own: the program is that of the package ``registrar``."""
