"""StepTrigger: what Airflow's triggerer runs for a step that waits, hundreds in one process.

The waiting is ``engine.waiting``'s, which knows no Airflow. Here it gets its words: what the step prints goes to the
trigger's log, which Airflow shows with the task's, and its end is an event, on which the task comes back.

A trigger that raises has Airflow fail the task, without a record and though its container runs. So this one never
does: whatever goes wrong, its event says that the task has to look for itself. It stops nothing either. Airflow takes
a trigger away when a person has ended its task; the container is the registrar's then.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.triggers.base import BaseTrigger, TriggerEvent

from bulkhead.unix_http.aio import AsyncClient
from bulkhead_airflow import defaults
from engine import telling
from engine.crowd import Crowd
from engine.waiting import Telling, Waited, Waiting, Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SHOWN_AGAIN = "Of the lines below some may have been shown already, by a triggerer that has ended since."
_HIDDEN = "***"
_SETTLED_SECONDS = 15.0
"""After which a task that was deferred may come back. Airflow's supervisor may notice only after five seconds that the
task's process has ended; a scheduler that hears of that when the task runs again takes it for lost, and runs one more
try."""


class StepTrigger(BaseTrigger):
    """Waits for a container's end.

    Args:
        wanted: which container and its limits, ``engine.waiting.Wanted`` as JSON.
        masked: patterns of what the task knows as secret. Airflow keeps a trigger's arguments encrypted, and shows them
            to nobody.
        deferred_at: when the task let go of it, as ``time.time()`` counts.
    """

    def __init__(self, wanted: str, masked: Sequence[str], deferred_at: float) -> None:
        super().__init__()
        self.wanted = wanted
        self.masked = list(masked)
        self.deferred_at = deferred_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class and arguments, of which Airflow makes it again."""
        arguments = {"wanted": self.wanted, "masked": self.masked, "deferred_at": self.deferred_at}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def __repr__(self) -> str:
        """Without what it hides."""
        return f"<{type(self).__name__} {self.wanted}>"

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; the one event says why that has ended, for the task to judge."""
        try:
            if self.deferred_at < _process_began():
                self.log.warning(SHOWN_AGAIN)
            wanted = msgspec.json.decode(self.wanted, type=Wanted)
            waited = await Waiting(
                _client(wanted.host), wanted, Telling(self._show, masking(self.masked)), _crowd()
            ).end()
        except Exception as error:  # noqa: BLE001  # said where it is seen, in the task's log
            waited = Waited(why=f"it could not be waited for ({type(error).__name__}: {error})")
        await asyncio.sleep(min(_SETTLED_SECONDS, self.deferred_at + _SETTLED_SECONDS - time.time()))
        yield TriggerEvent(msgspec.json.encode(waited).decode())

    async def on_kill(self) -> None:
        """Say who sees to the container, now that a person has ended the task."""
        self.log.warning("a person has ended the task; the registrar stops its container, and records that")

    def _show(self, line: str, is_error: bool) -> None:  # noqa: FBT001  # as the step's log takes it
        telling.say(self.log, line, is_error)


def masking(patterns: Sequence[str]) -> Any:
    """What hides whatever matches one of ``patterns``, as Airflow does in the task's process."""
    if not patterns:
        return str
    return functools.partial(re.compile("|".join(patterns)).sub, _HIDDEN)


@functools.cache
def _client(host: str) -> AsyncClient:
    return AsyncClient(defaults.launcher_socket(host))


@functools.cache
def _crowd() -> Crowd:
    return Crowd()


@functools.cache
def _process_began() -> float:
    """When this triggerer began, as ``time.time()`` counts."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    running = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - running
