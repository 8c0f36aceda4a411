"""How much memory a step has, and whether a table fits into it."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from bulkhead.errors import Refused

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container reads its own limit, with control groups of version 2 and 1."""
_COPIES = 1.2
"""How much of a table there is at once, while it is put together: the table, and a batch or a column of it besides."""


def limit() -> int:
    """Bytes that this process may use: its container's, or the machine's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in _LIMITS:
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            return min(int(text), machine)
    return machine


def used() -> int:
    """Bytes that this process has used at its most until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def check_fits(what: str, table: int, how: str) -> None:
    """Refuse what needs a whole table in memory where the table does not fit.

    Args:
        what: what needs it, as the beginning of a sentence.
        table: the table's bytes.
        how: what else helps, as an end of the sentence.

    Raises:
        Refused: with the figures, and the setting.
    """
    needed, most = used() + int(table * _COPIES), limit()
    if needed > most:
        raise Refused(
            f"{what} takes the whole table in memory: {_mib(needed)} with all that is there already, and this step has"
            f" {_mib(most)}. Raise BULKHEAD_STEP_MEMORY in .env (BULKHEAD_STEP_MEMORY_<TASK> for one step) and run"
            f" 'just up', {how}."
        )


def _mib(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"
