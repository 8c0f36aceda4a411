"""What an append to a journal costs beside a bare write and fsync of the same bytes, signed, as a ratio of medians.

Both are done by turns in one run, on the same file system, so that a slow disk is slow for both. Once in an empty log,
and once in one of a million lines: the log is not read again for each append. Run it with ``just benchmark-append``.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.project import training_failure

from bulkhead.files import sha256
from bulkhead.registry import chain, journal, record_lines
from bulkhead.registry.chain import Key, KeyRing

if TYPE_CHECKING:
    from collections.abc import Callable

APPENDS = 500
LINES = 1_000_000
MOST = 2.0
"""Times the bare write and fsync."""
RING = KeyRing(Key(b"\x01" * 32))
_BATCH = 10_000


def fill(path: Path, count: int) -> None:
    """A signed log of ``count`` lines, written without waiting for the disk."""
    before = chain.ZEROS
    content = record_lines.encode(training_failure()).rstrip(b"\n")
    with path.open("wb") as file:
        for first in range(1, count + 1, _BATCH):
            lines = []
            for number in range(first, min(first + _BATCH, count + 1)):
                lines.append(chain.link(content, number, before, RING.current))
                before = sha256(lines[-1])
            file.write(b"".join(line + b"\n" for line in lines))
        os.fsync(file.fileno())


def seconds(action: Callable[[], object]) -> float:
    """How long ``action`` takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def measured(folder: Path, lines: int) -> float:
    """The ratio of the medians in a log of so many lines; printed, too."""
    log, bare = folder / "log.txt", folder / "bare"
    fill(log, lines)
    fill(bare, lines)
    record = training_failure()
    first = seconds(lambda: journal.append(log, record, RING))
    line = log.read_bytes()[-2000:].splitlines(keepends=True)[-1]
    descriptor = os.open(bare, os.O_WRONLY | os.O_APPEND)

    def write() -> None:
        os.write(descriptor, line)
        os.fsync(descriptor)

    ours, theirs = [], []
    try:
        for _ in range(APPENDS):
            theirs.append(seconds(write))
            ours.append(seconds(lambda: journal.append(log, record, RING)))
    finally:
        os.close(descriptor)
    ratio = statistics.median(ours) / statistics.median(theirs)
    sys.stdout.write(
        f"{lines:>9,} lines: append {statistics.median(ours) * 1e3:.3f} ms, write and fsync"
        f" {statistics.median(theirs) * 1e3:.3f} ms, ratio {ratio:.2f} (at most {MOST:g});"
        f" the first append of a process {first * 1e3:.3f} ms\n"
    )
    return ratio


def main() -> int:
    """Measure both; 1 where either is more than :data:`MOST`."""
    ratios = []
    for lines in (0, LINES):
        with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
            ratios.append(measured(Path(folder), lines))
    return int(max(ratios) > MOST)


if __name__ == "__main__":
    sys.exit(main())
