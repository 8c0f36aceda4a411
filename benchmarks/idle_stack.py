"""What the whole stack needs while it waits: MiB and processor time by service, new and after some trainings.

In a stack of the benchmark's own. Memory is counted as ``docker stats`` counts it, without the cache of files that
nobody has read lately. Beside it, what the machine itself says it has less of than with no stack, which is the truth
only where nobody else uses it. Run it with ``just benchmark-idle``.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

from tests.support.services import usage
from tests.system.support import Stack

TRAININGS = 10
DAG = "dev_train_model_dag"
MOST_MEBIBYTES = 1000.0
"""A new stack's, all services together."""
_SETTLE_SECONDS = 30
_WATCH_SECONDS = 30


def idle(stack: Stack, when: str) -> float:
    """MiB of all services together; printed by service, with the processor time that each takes for waiting."""
    time.sleep(_SETTLE_SECONDS)
    before = usage(stack)
    begun = time.monotonic()
    time.sleep(_WATCH_SECONDS)
    after, seconds = usage(stack), time.monotonic() - begun
    print(f"{when}:")
    for name, now in sorted(after.items()):
        share = (now.cpu_seconds - before[name].cpu_seconds) / seconds
        print(f"{name:>14}: {now.mebibytes:4.0f} MiB, {share:6.1%} of a core")
    total = sum(one.mebibytes for one in after.values())
    share = sum(one.cpu_seconds - before[name].cpu_seconds for name, one in after.items()) / seconds
    print(f"{'all':>14}: {total:4.0f} MiB, {share:6.1%} of a core")
    return total


def available() -> float:
    """MiB that the machine can give to who asks."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def main() -> int:
    """Print both; 1 where a new stack needs more than :data:`MOST_MEBIBYTES`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        none = available()
        stack = Stack(folder / "stack")
        with stack.status():
            total = idle(stack, "a new stack")
            print(f"the machine has {none - available():.0f} MiB less than with no stack")
            runs = [stack.run(DAG) for _ in range(TRAININGS)]
            assert {state for _, state in runs} == {"success"}, runs
            idle(stack, f"after {TRAININGS} trainings")
    print(f"{total:.0f} MiB (at most {MOST_MEBIBYTES:g})")
    return int(total > MOST_MEBIBYTES)


if __name__ == "__main__":
    sys.exit(main())
