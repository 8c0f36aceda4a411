"""Numbers, sizes, durations and times as people read them, the same on the command line and on the Models page.

Sizes are in binary units (1 KiB = 1,024 bytes), because a memory limit is: ``--memory 2g`` of Docker and
``BULKHEAD_STEP_MEMORY`` mean 2 GiB, and a peak beside its limit must not look larger than it is.
Programs read JSON, where every value is as it was recorded.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bulkhead import clock
from bulkhead.errors import one_line

UNKNOWN = "-"
"""What is shown for a value that was not recorded."""

_KIBI = 1024
_LONG_NUMBER = 10**15
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def number(value: float | None) -> str:
    """A number in six digits, or a whole one with its thousands apart: ``0.332222``, ``1,000,000``."""
    if value is None:
        return UNKNOWN
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < _LONG_NUMBER else _cut(str(value))
    return f"{value:.6g}"


def count(amount: int, what: str) -> str:
    """So many of what: ``1 finding``, ``1,000 findings``."""
    return f"{number(amount)} {what}{'' if amount == 1 else 's'}"


def metric(value: object) -> str:
    """A metric in the four digits that a table has room for; ``-`` for what is no number."""
    return f"{value:.4g}" if isinstance(value, float) else UNKNOWN


def size(count: float | None) -> str:
    """Bytes: ``999 B``, ``1.5 KiB``, ``2.0 GiB``."""
    if count is None:
        return UNKNOWN
    amount = float(min(max(count, 0), 2**80))
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < _KIBI:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _KIBI
    return f"{amount:,.1f} TiB"


def duration(seconds: float | None) -> str:
    """A time span: ``1.50 s``, ``12 min``, ``5 h``, ``30 d``."""
    if seconds is None:
        return UNKNOWN
    if abs(seconds) < 2 * _MINUTE:
        return f"{seconds:.2f} s"
    if abs(seconds) < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if abs(seconds) < _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:,.0f} d"


def time(text: str | None) -> str:
    """A record's time in UTC, to the second: ``2026-11-23 06:36:24``; where it is no time, the text."""
    if text is None:
        return UNKNOWN
    try:
        return f"{clock.parse(text):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return _cut(text)


def moment(microseconds: int) -> str:
    """A time since 1970, UTC, to the second, as :func:`time` shows it."""
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


def _cut(text: str) -> str:
    return one_line(text, 40)
