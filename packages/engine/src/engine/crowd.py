"""All containers that one process waits for: how often each is looked at, whose output is followed, who is too loud.

One process, Airflow's triggerer, waits for a hundred. What each may take of it, and of the launcher before it, is
bounded here: a place for a stream (the launcher has 256 for everybody), a look now and then, so many bytes of output.
Whoever prints more is better served by a process of its own, which takes gigabytes.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

STREAMS = 128
"""How many outputs are followed at once. Those of further steps are shown at their end."""
LOOK_SECONDS = 5.0
_LOOKS_A_SECOND = 10
_WINDOW_SECONDS = 10.0
LOUDEST_BYTES = 4 << 20
"""How much all of them may print within a window: what Airflow writes of a trigger passes two processes, as JSON."""
LINE_BYTES = 200
"""What a line costs beside its own bytes."""


class Crowd:
    """The containers that this process waits for, in one event loop."""

    def __init__(self) -> None:
        self.streams = asyncio.Semaphore(STREAMS)
        # Run folders are walked in threads, which wait for a disk: two for all of them.
        self.walkers = ThreadPoolExecutor(2, "disk")
        self._printed: dict[str, int] = {}
        self._total = 0
        self._since = time.monotonic()

    def enter(self, container: str) -> None:
        """One more is waited for."""
        self._printed[container] = 0

    def leave(self, container: str) -> None:
        """It is not waited for any more."""
        self._printed.pop(container, None)

    @property
    def pause(self) -> float:
        """Seconds between two looks at a container: more of them where there are many."""
        return max(LOOK_SECONDS, len(self._printed) / _LOOKS_A_SECOND)

    def is_too_loud(self, container: str, printed: int) -> bool:
        """Whether all print more than is taken here, and this one, which has now printed so much, is of the loudest."""
        now = time.monotonic()
        if now - self._since > _WINDOW_SECONDS:
            self._since, self._total = now, 0
            self._printed = dict.fromkeys(self._printed, 0)
        own = self._printed.get(container, 0) + printed
        self._printed[container] = own
        self._total += printed
        return self._total > LOUDEST_BYTES and own * len(self._printed) >= self._total
