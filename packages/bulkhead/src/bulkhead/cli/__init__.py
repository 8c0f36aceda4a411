"""The command line: ``registry``, and what the command lines of the images share."""
