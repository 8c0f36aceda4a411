"""Values as people write them in ``.env`` and in DAGs: each function returns the value, or says what it is not.

They raise ``ValueError`` with the end of a sentence (``'x', which is no whole number``). Needs the standard
library alone.
"""

from __future__ import annotations

import math
import re

_MOST_CPUS = 1e6
_MOST_BYTES = float(1 << 62)
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([kmgtp]?)(?:i?b)?", re.IGNORECASE)


def seconds(value: object) -> float:
    """A time limit, above 0."""
    limit = _number(value)
    if not limit > 0:
        raise ValueError(f"{value!r}, which is no number of seconds above 0")
    return limit


def pause(value: object) -> float:
    """Seconds to wait, or none."""
    length = _number(value)
    if not 0 <= length < math.inf:
        raise ValueError(f"{value!r}, which is no number of seconds")
    return length


def cpus(value: object) -> float:
    """A quota of CPUs; 0 is no quota, as in Docker."""
    quota = _number(value)
    if not 0 <= quota < _MOST_CPUS:
        raise ValueError(f"{value!r}, which is no number of CPUs (like 2 or 0.5)")
    return quota


def size(value: object) -> str:
    """A size in Docker's notation, as it was written."""
    in_bytes(value)
    return str(value).strip()


def in_bytes(value: object) -> int:
    """The size that ``2g``, ``512MB`` or ``1048576`` says."""
    found = _SIZE.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(f"{value!r}, which is no size (like 2g or 512m)")
    size = float(found[1]) * 1024 ** ("", "k", "m", "g", "t", "p").index(found[2].lower())
    if not size < _MOST_BYTES:
        raise ValueError(f"{value!r}, which is more than the engine can count")
    return int(size)


def whole(value: object) -> int:
    """A whole number."""
    try:
        return int(str(value))
    except ValueError:
        raise ValueError(f"{value!r}, which is no whole number") from None


def count(value: object) -> int:
    """How often: 0, 1, 2, ..."""
    times = whole(value)
    if times < 0:
        raise ValueError(f"{value!r}, which is below 0")
    return times


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return math.nan
