"""The one transformation that training and inference both apply. Edit ``transform.py``."""

from transformation.applying import apply
from transformation.fingerprinting import fingerprint

__all__ = ["apply", "fingerprint"]
