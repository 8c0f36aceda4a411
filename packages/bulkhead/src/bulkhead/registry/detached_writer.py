"""A failure record that is written even when its writer is killed while it waits for the journal's lock.

A process of its own waits, out of reach of what kills the writer and its group. Whoever comes first
writes; the other finds the record.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from bulkhead.registry import records
from bulkhead.registry.records import Failure
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.paths import JournalName


def record_failure_once(registry: Registry, name: JournalName, failure: Failure, since: int) -> None:
    """Have ``failure`` appended as :meth:`Registry.record_failure_once` does; does not wait for the lock.

    Raises:
        OSError: no process could be started.
    """
    command = [sys.executable, "-m", __name__, str(registry.folder), name, str(since)]
    # Its own session, so that a signal to the writer's group passes it by. What it inherits otherwise are
    # pipes that break when the writer dies.
    subprocess.run(
        command,
        input=records.encode(failure),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=False,
    )


def main(arguments: Sequence[str]) -> None:
    """Append the record on stdin to a journal (``arguments``: folder, its name, since), in the background."""
    folder, name, since = arguments
    record = records.decode(sys.stdin.buffer.read())
    if os.fork() == 0 and isinstance(record, get_args(Failure)):
        failure = cast("Failure", record)
        Registry(Path(folder)).record_failure_once(cast("JournalName", name), failure, int(since))


if __name__ == "__main__":
    main(sys.argv[1:])
