"""Waits for a container's end without a thread or a process of its own: many at once, in one event loop.

What a task's process does with a container that runs (``engine.watch``, ``engine.output``), this does for hundreds: it
hands on the output as it comes, and looks now and then whether the container has ended, has run for too long or takes
too much disk. It decides nothing: whatever it sees, it ends and says why, and the task comes back, looks for itself,
stops and records. So it needs no right to stop anything, and its being killed or started twice harms nothing.

An engine or launcher that is away is waited for as long as a task's process would.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from engine.crowd import LINE_BYTES
from engine.disk import Watch
from engine.patience import ENGINE_SECONDS
from engine.state import ALIVE, age, memory_used
from engine.transcript import Frames, Position, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhead.unix_http.aio import AsyncClient
    from engine.crowd import Crowd

ENDED = "the container has ended"
OVER_TIME = "its time is over"
_OK, _NOT_FOUND, _SERVER_ERROR = 200, 404, 500
_RECONNECT_SECONDS = 0.5
_LONGEST_PAUSE = 5.0
_SOONEST_SECONDS = 0.2
_AT_ONCE = 50
"""Entries that are told before others have their turn."""
_LOST = (OSError, ValueError, msgspec.MsgspecError)
"""What the client, a torn stream and a torn answer raise."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is waited for; it survives the process that waits."""

    container: str
    seconds: float
    """How long it may run, from its start."""
    folder: str
    """Its run folder, as this process sees it."""
    disk: int
    """Bytes that the run folder and the output may take together."""
    kept: str
    """How much of the output the engine keeps, twice."""
    until: float | None = None
    """When Airflow's own time limit is over, as ``time.time()`` counts."""
    position: Position = Position()
    peak_memory_bytes: int | None = None
    host: str = ""
    """On which host it is; empty: there is but one."""
    patience: float = ENGINE_SECONDS
    """How long its engine may be away."""


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """Why the waiting has ended. It is no verdict: whoever is told looks for himself."""

    why: str
    position: Position | None = None
    """How far the output has been told; None: nobody knows."""
    peak_memory_bytes: int | None = None


class Telling:
    """What is done with a line, and with a word about the waiting itself.

    Args:
        emit: takes a line, and whether it went to stderr.
        mask: hides secrets.
    """

    def __init__(self, emit: Callable[[str, bool], None], mask: Callable[[str], str]) -> None:
        self.emit = emit
        self.mask = mask

    def line(self, line: str, is_error: bool) -> int:  # noqa: FBT001  # as the transcript has it
        """Hand on a line; returns what it has cost."""
        self.emit(self.mask(line), is_error)
        return len(line) + LINE_BYTES


class Waiting:
    """One container that is waited for.

    Args:
        client: the launcher.
        wanted: which container, and its limits.
        telling: takes its output.
        crowd: all that this process waits for.
    """

    def __init__(self, client: AsyncClient, wanted: Wanted, telling: Telling, crowd: Crowd) -> None:
        self._client = client
        self._wanted = wanted
        self._telling = telling
        self._crowd = crowd
        self._transcript = Transcript(telling.mask, wanted.kept, wanted.position)
        self._disk = Watch(Path(wanted.folder), wanted.disk)
        self._peak = wanted.peak_memory_bytes
        self._why: str | None = None
        self._look_now = asyncio.Event()

    async def end(self) -> Waited:
        """Wait; returns when the container has ended, or somebody has to look at it."""
        self._crowd.enter(self._wanted.container)
        output = asyncio.create_task(self._follow_output())
        output.add_done_callback(self._output_has_ended)
        try:
            why = await self._watch()
        finally:
            output.cancel()
            await asyncio.gather(output, return_exceptions=True)
            self._crowd.leave(self._wanted.container)
        return Waited(why=why, position=self._transcript.position, peak_memory_bytes=self._peak)

    async def _watch(self) -> str:
        away_since: float | None = None
        while self._why is None:
            try:
                found = await self._inspect()
                away_since = None
            except _LOST as error:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > self._wanted.patience:
                    return f"the engine has been away for {self._wanted.patience:.0f} s: {error}"
                await self._pause(1.0)
                continue
            if found is None or found["State"]["Status"] not in ALIVE:
                return ENDED
            left = self._seconds_left(found["State"])
            if left <= 0:
                return OVER_TIME
            loop = asyncio.get_running_loop()
            excess = await loop.run_in_executor(self._crowd.walkers, self._disk.excess, self._transcript.kept_bytes)
            if excess is not None:
                return f"{excess} are too much"
            await self._sample_memory()
            await self._pause(max(_SOONEST_SECONDS, min(self._crowd.pause, left)))
        return self._why

    async def _inspect(self) -> dict[str, Any] | None:
        status, body = await self._client.get(f"/containers/{self._wanted.container}/json")
        if status == _NOT_FOUND:
            return None
        if status != _OK:
            raise ConnectionError(f"the launcher says {status}: {body[:200].decode(errors='replace')}")
        return dict(msgspec.json.decode(body))

    def _seconds_left(self, state: dict[str, Any]) -> float:
        left = self._wanted.seconds - age(state)
        return left if self._wanted.until is None else min(left, self._wanted.until - time.time())

    async def _pause(self, seconds: float) -> None:
        """For so long, or until the output says that there is something to see."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._look_now.wait()
        self._look_now.clear()

    async def _sample_memory(self) -> None:
        with suppress(*_LOST, KeyError, TypeError):
            status, body = await self._client.get(f"/containers/{self._wanted.container}/stats?stream=0&one-shot=1")
            if status == _OK:
                self._peak = max(memory_used(msgspec.json.decode(body)), self._peak or 0)

    def _output_has_ended(self, output: asyncio.Task[None]) -> None:
        if not output.cancelled() and (error := output.exception()) is not None:
            self._why = f"its output cannot be followed: {type(error).__name__}: {error}"
            self._look_now.set()

    async def _follow_output(self) -> None:
        if self._crowd.streams.locked():
            where = f"docker logs {self._wanted.container[:12]}"
            self._telling.emit(f"So many steps wait that its output is shown here at its end; now: {where}", False)  # noqa: FBT003  # no error's line
        async with self._crowd.streams:
            pause = _RECONNECT_SECONDS
            while self._why is None:
                with suppress(*_LOST):
                    await self._read(follow=False)
                    await self._read(follow=True)
                    pause = _RECONNECT_SECONDS
                self._look_now.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _read(self, *, follow: bool) -> None:
        query = urlencode(self._transcript.request(follow=follow))
        frames = Frames()
        async with self._client.stream(f"/containers/{self._wanted.container}/logs?{query}") as answer:
            if answer.status != _OK:
                raise ConnectionError(f"the launcher says {answer.status}")
            async for data in answer.pieces():
                for number, (source, entry) in enumerate(frames.feed(data), start=1):
                    if self._is_too_much(source, entry) or (follow and self._transcript.is_behind(entry)):
                        return
                    if number % _AT_ONCE == 0:
                        await asyncio.sleep(0)
                await asyncio.sleep(0)
        frames.end()

    def _is_too_much(self, source: int, entry: bytes) -> bool:
        cost = sum(self._telling.line(*line) for line in self._transcript.take(source, entry))
        if self._crowd.is_too_loud(self._wanted.container, cost):
            self._why = "it prints more than can be shown here"
            self._look_now.set()
        return self._why is not None
