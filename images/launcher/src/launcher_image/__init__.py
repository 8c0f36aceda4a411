"""The launcher image is its packages; nothing is here."""
