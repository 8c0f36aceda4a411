"""How many steps may run at once on a machine: ``python -m engine.slots`` prints it for Airflow's pool ``steps``.

``BULKHEAD_STEP_SLOTS`` says it; where that is unset:

    memory  what the machine has, less 2 GiB for Bulkhead's own services, by BULKHEAD_STEP_MEMORY (2g)
    cores   twice the machine's, by BULKHEAD_STEP_CPUS (2); at least 2
    slots   the smaller of the two; at least 1

Memory is never promised twice: a step that uses all of its limit takes it from nobody. Cores are, because a step's
quota is a ceiling, and much of its time it starts up, reads and writes; what it slows down is other steps alone, for
the services have sixteen times their share. Where there are several hosts, each counts its own slots by the same rule,
and the pool bounds nothing. Needs the standard library alone.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.values import in_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.settings import Settings

SERVICES_MEMORY = 2 << 30
"""What the first host keeps for Postgres, Airflow and the rest, in bytes."""
WORKER_MEMORY = 1 << 30
"""What another host keeps for its worker and launcher."""
MOST = 10_000
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def slots(settings: Mapping[str, str], cores: int, memory: int, *, kept: int = SERVICES_MEMORY) -> int:
    """How many steps may run at once.

    Args:
        settings: the variables of ``.env``.
        cores: the machine's.
        memory: the machine's, in bytes.
        kept: how much of that is not for steps.

    Raises:
        ValueError: a setting is none; the sentence says which.
    """
    if given := settings.get("BULKHEAD_STEP_SLOTS"):
        if not re.fullmatch(r"[0-9]{1,5}", given) or not 1 <= int(given) <= MOST:
            raise ValueError(f"BULKHEAD_STEP_SLOTS is '{given}', not a whole number from 1 to {MOST}. Fix .env.")
        return int(given)
    by_memory = (memory - kept) // _bytes(settings.get("BULKHEAD_STEP_MEMORY") or "2g")
    by_cores = int(2 * cores / _cpus(settings.get("BULKHEAD_STEP_CPUS") or "2"))
    return min(max(1, min(by_memory, max(2, by_cores))), MOST)


@dataclass(frozen=True)
class Machine:
    """What one of several hosts has for steps."""

    cpus: float
    memory: int
    """Bytes."""

    @classmethod
    def of_host(cls, settings: Settings, cores: int, memory: int) -> Machine:
        """What ``BULKHEAD_HOST_CPUS`` and ``BULKHEAD_HOST_MEMORY`` say; else all, less the services' part."""
        own = in_bytes(settings.host_memory) if settings.host_memory else max(0, memory - kept_on(settings.host))
        return cls(settings.host_cpus or cores, own)


def kept_on(host: str) -> int:
    """Bytes that are not for steps on ``host``."""
    return SERVICES_MEMORY if host == "main" else WORKER_MEMORY


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([bkmgt]?)b?", text.strip().lower())
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < 1:
        raise ValueError(f"BULKHEAD_STEP_MEMORY is '{text}', which is no size such as 2g. Fix .env.")
    return size


def _cpus(text: str) -> float:
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text) or not float(text):
        raise ValueError(f"BULKHEAD_STEP_CPUS is '{text}', which is no number of CPUs. Fix .env.")
    return float(text)


def _memory() -> int:
    """This machine's, in bytes; a container sees the engine's."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError("/proc/meminfo does not say how much memory there is. Set BULKHEAD_STEP_SLOTS in .env.")
    return int(found[1]) << 10


def main() -> int:
    """Print it; returns the exit code."""
    try:
        is_one = os.environ.get("BULKHEAD_HOSTS") != "1"
        print(slots(os.environ, os.cpu_count() or 1, _memory()) if is_one else MOST)  # noqa: T201  # its answer
    except ValueError as error:
        sys.stderr.write(f"bulkhead: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
