"""The built-in sample: 20 rows, feature1 0..19, feature2 20..39, target 40..59."""

from __future__ import annotations

_ROWS = range(20)


def with_target() -> bytes:
    """What training reads, as CSV."""
    return ("feature1,feature2,target\n" + "".join(f"{i},{i + 20},{i + 40}\n" for i in _ROWS)).encode()


def without_target() -> bytes:
    """What inference reads, as CSV."""
    return ("feature1,feature2\n" + "".join(f"{i},{i + 20}\n" for i in _ROWS)).encode()
