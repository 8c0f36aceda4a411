"""Many publishers at once: ``publish_at_once.py MODELS COUNT real|still``, the clock real or status still.

One process imports what is needed and forks, which takes a tenth of the time of as many interpreters.
"""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import joblib

from bulkhead import clock
from bulkhead.registry.lineage import Lineage
from bulkhead.registry.store import Registry


def publish(models: Path, number: int, start: int) -> int:
    """Wait for the start, then publish; every second one publishes the same model."""
    os.read(start, 1)
    try:
        Registry(models).publish({"weights": [number % 2 * number]}, "prd", Lineage(run_id=str(number)))
    except Exception:  # noqa: BLE001  # the parent counts who failed
        traceback.print_exc()
        return 1
    return 0


def main() -> int:
    """Fork, start them all, wait for them all."""
    models, count = Path(sys.argv[1]), int(sys.argv[2])
    if sys.argv[3] == "still":
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        clock.now = lambda: moment
    joblib.hash(0)
    start, go = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            os.close(go)
            os._exit(publish(models, number, start))
        children.append(child)
    os.close(go)  # every read ends at once
    return sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children)


if __name__ == "__main__":
    sys.exit(main())
