"""The one transformation that training and inference both apply. Edit ``transformation.py``."""

from features._apply import apply
from features._fingerprint import fingerprint

__all__ = ["apply", "fingerprint"]
