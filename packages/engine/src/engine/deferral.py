"""Letting go of a container that runs for long: another process waits for its end, for many at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.crowd import LOUDEST_BYTES

if TYPE_CHECKING:
    from typing import Protocol

    from engine.waiting import Wanted

    class Reads(Protocol):
        """What reads the output."""

        @property
        def read_bytes(self) -> int:
            """How much has been read."""


_SETTLED_SECONDS = 10.0
"""For so long a container is followed before it is let go, however old it is: who comes back has a reason."""
SPARED_SECONDS = 20.0
"""Whose time is over so soon is not let go: it would come back later than that."""
_CALM_BYTES = LOUDEST_BYTES // 100
"""A second; whoever prints more, or is still being read from its beginning, stays where it is."""


class StepDeferredError(Exception):
    """The container runs on, and is waited for elsewhere; nothing has failed."""

    def __init__(self, external_id: str, wanted: Wanted) -> None:
        super().__init__(f"container {wanted.container[:12]} runs on, and is waited for elsewhere")
        self.external_id = external_id
        self.wanted = wanted


class Due:
    """Says when a container is to be let go.

    Args:
        after: at which age, in seconds; 0: never.
        limit: at which age its time is over.
        output: what reads its output.
    """

    def __init__(self, after: float, limit: float, output: Reads) -> None:
        self._after = after
        self._limit = limit
        self._output = output
        self._began = self._looked = time.monotonic()
        self._read = output.read_bytes

    def __call__(self, age: float) -> bool:
        """Whether it is, now that it is ``age`` seconds old."""
        now, read = time.monotonic(), self._output.read_bytes
        is_calm = read - self._read <= _CALM_BYTES * max(1.0, now - self._looked)
        self._looked, self._read = now, read
        if not self._after or not self._after <= age < self._limit - SPARED_SECONDS:
            return False
        return is_calm and now - self._began >= min(self._after, _SETTLED_SECONDS)
