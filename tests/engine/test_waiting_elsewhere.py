"""Containers that nobody but one event loop waits for: before a launcher that does as the test says."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bulkhead.unix_http import Refusal, Request, Response, Server
from bulkhead.unix_http.aio import AsyncClient
from engine import crowd, waiting
from engine.crowd import Crowd
from engine.transcript import STDERR, STDOUT
from engine.waiting import ENDED, OVER_TIME, Telling, Waited, Waiting, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ONE = "a" * 64


class Launcher:
    """Its socket, and containers that print and end as they are told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "launcher.sock"
        self.states: dict[str, dict[str, Any]] = {}
        self.printed: dict[str, list[bytes]] = {}
        self.news = threading.Condition()
        self.streams = 0
        self.looks = 0
        self.answers: Callable[[], None] = lambda: None
        self._server: Server | None = None
        self.start()

    def start(self) -> None:
        self._server = Server(self.path, self._answer, most=256)
        self._server.start()

    def stop(self) -> None:
        with self.news:
            server, self._server = self._server, None
            self.news.notify_all()
        if server is not None:
            server.stop()

    def run(self, container: str = ONE, seconds: float = 0) -> None:
        """It has run for so long."""
        started = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
        self.states[container] = {"Status": "running", "StartedAt": started}
        self.printed.setdefault(container, [])

    def print(self, text: str, source: int = STDOUT, container: str = ONE) -> None:
        written = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        with self.news:
            for line in text.splitlines(keepends=True):
                content = f"{written} {line}".encode()
                self.printed[container].append(struct.pack(">BxxxL", source, len(content)) + content)
            self.news.notify_all()

    def end(self, container: str = ONE) -> None:
        with self.news:
            self.states[container]["Status"] = "exited"
            self.news.notify_all()

    def _answer(self, request: Request) -> Response:
        self.answers()
        _, _, container, what = request.path.split("/")
        if container not in self.states:
            raise Refusal(404, "No such container")
        if what == "json":
            self.looks += 1
            return Response.of({"State": self.states[container]})
        if what == "stats":
            return Response.of({"memory_stats": {"usage": 1000 + self.looks}})
        return Response(200, self._log(container, request.query["follow"] == "1", request), "text/plain")

    def _log(self, container: str, follow: bool, request: Request) -> Iterator[bytes]:  # noqa: FBT001  # the engine's
        gone = threading.Event()
        request.on_gone(gone.set)
        self.streams += follow
        given = 0
        while True:
            with self.news:
                if follow and given == len(self.printed[container]) and self._server is not None:
                    self.news.wait(0.2)
                entries = self.printed[container][given:]
                is_over = self.states[container]["Status"] == "exited" or not follow
            given += len(entries)
            yield b"".join(entries)
            if self._server is None:
                raise OSError("it ends in the middle")
            if gone.is_set() or (is_over and given == len(self.printed[container])):
                return


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    monkeypatch.setattr(crowd, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(waiting, "_RECONNECT_SECONDS", 0.05)
    made = Launcher(tmp_path)
    yield made
    made.stop()


class Waiter:
    """Waits in a thread of the test's, which has the one event loop."""

    def __init__(self, launcher: Launcher, folder: Path, **wanted: Any) -> None:
        self.lines: list[tuple[str, bool]] = []
        given = {"container": ONE, "seconds": 3600, "folder": str(folder), "disk": 1 << 40, "kept": "1g", **wanted}
        self._wanted = Wanted(**given)
        self._launcher = launcher
        self._telling = Telling(lambda *line: self.lines.append(line), lambda line: line.replace("secret", "***"))
        self.waited: Waited | None = None

    async def _run(self) -> None:
        client = AsyncClient(self._launcher.path, 5)
        self.waited = await Waiting(client, self._wanted, self._telling, Crowd()).end()

    @contextmanager
    def begun(self) -> Iterator[Waiter]:
        thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        thread.start()
        yield self
        thread.join(20)
        assert not thread.is_alive()

    def until(self, text: str) -> None:
        deadline = time.monotonic() + 10
        while text not in [line for line, _ in self.lines]:
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)

    @property
    def why(self) -> str:
        assert self.waited is not None
        return self.waited.why


def test_a_container_is_waited_for_and_its_output_told_as_it_comes(launcher: Launcher, tmp_path: Path) -> None:
    launcher.run()
    launcher.print("before\n")
    with Waiter(launcher, tmp_path).begun() as waiter:
        waiter.until("before")
        launcher.print("now secret\n")
        launcher.print("trouble\n", STDERR)
        waiter.until("trouble")
        launcher.end()
    assert waiter.why == ENDED
    assert waiter.lines == [("before", False), ("now ***", False), ("trouble", True)]
    assert waiter.waited is not None
    assert (waiter.waited.peak_memory_bytes or 0) > 1000


def test_who_waits_on_goes_on_where_the_output_was_told(launcher: Launcher, tmp_path: Path) -> None:
    launcher.run()
    launcher.print("one\ntwo\nbegun")
    with Waiter(launcher, tmp_path).begun() as first:
        first.until("two")
        launcher.end()
    assert first.waited is not None
    launcher.run()
    with Waiter(launcher, tmp_path, position=first.waited.position, peak_memory_bytes=1 << 40).begun() as second:
        launcher.print(" and done\n")
        second.until("begun and done")
        launcher.end()
    assert [line for line, _ in second.lines] == ["begun and done"]
    assert second.waited is not None
    assert second.waited.peak_memory_bytes == 1 << 40


def test_what_waits_is_told_at_once_when_a_container_ends(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the next look: the stream of its output has ended."""
    monkeypatch.setattr(crowd, "LOOK_SECONDS", 60)
    launcher.run()
    launcher.print("up\n")
    with Waiter(launcher, tmp_path).begun() as waiter:
        waiter.until("up")
        launcher.end()
        ended = time.monotonic()
    assert time.monotonic() - ended < 5
    assert waiter.why == ENDED


@pytest.mark.parametrize("wanted", [{"seconds": 5}, {"seconds": 3600, "until": 1.0}], ids=["its own", "Airflow's"])
def test_a_container_over_a_time_limit_is_somebody_elses_to_stop(
    launcher: Launcher, tmp_path: Path, wanted: dict[str, float]
) -> None:
    launcher.run(seconds=4.5)
    with Waiter(launcher, tmp_path, **wanted).begun() as waiter:
        pass
    assert waiter.why == OVER_TIME
    assert launcher.states[ONE]["Status"] == "running"


def test_a_container_that_takes_too_much_disk_is_somebody_elses_to_stop(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/large").write_bytes(b"x" * 100_000)
    launcher.run()
    with Waiter(launcher, tmp_path / "run", disk=50_000).begun() as waiter:
        pass
    assert "too much" in waiter.why


def test_a_container_that_has_gone_has_ended(launcher: Launcher, tmp_path: Path) -> None:
    with Waiter(launcher, tmp_path).begun() as waiter:
        pass
    assert waiter.why == ENDED


def test_a_launcher_that_goes_and_comes_back_is_waited_for_and_no_line_is_lost(
    launcher: Launcher, tmp_path: Path
) -> None:
    launcher.run()
    launcher.print("one\n")
    with Waiter(launcher, tmp_path).begun() as waiter:
        waiter.until("one")
        launcher.stop()
        launcher.print("two\n")
        time.sleep(0.5)
        launcher.start()
        waiter.until("two")
        launcher.end()
    assert [line for line, _ in waiter.lines] == ["one", "two"]
    assert waiter.why == ENDED


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_engine_that_stays_away_is_given_up_and_the_task_told(
    launcher: Launcher, tmp_path: Path, status: int
) -> None:
    def away() -> None:
        raise Refusal(status, "the engine does not answer")

    launcher.run()
    launcher.answers = away
    with Waiter(launcher, tmp_path, patience=0.5).begun() as waiter:
        pass
    assert "has been away" in waiter.why
    assert str(status) in waiter.why


def test_a_bug_in_what_follows_the_output_ends_the_waiting_and_says_so(launcher: Launcher, tmp_path: Path) -> None:
    launcher.run()
    launcher.print("a line\n")
    waiter = Waiter(launcher, tmp_path)
    waiter._telling.emit = lambda *_: 1 / 0  # type: ignore[assignment]
    with waiter.begun():
        pass
    assert "ZeroDivisionError" in waiter.why


def test_who_prints_more_than_all_may_is_sent_back_and_who_does_not_is_kept(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "LOUDEST_BYTES", 50_000)
    launcher.run()
    with Waiter(launcher, tmp_path).begun() as waiter:
        launcher.print("".join(f"{number}\n" for number in range(2_000)))
    assert "more than can be shown" in waiter.why
    told = [int(line) for line, _ in waiter.lines]
    assert told == list(range(len(told)))
    assert waiter.waited is not None
    other = Waiter(launcher, tmp_path, position=waiter.waited.position)
    monkeypatch.setattr(crowd, "LOUDEST_BYTES", 1 << 30)
    with other.begun():
        other.until("1999")
        launcher.end()
    assert [int(line) for line, _ in other.lines] == list(range(len(told), 2_000))


def test_of_many_only_so_many_are_followed_at_once_and_every_end_is_seen(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "STREAMS", 10)
    names = [f"{number:064x}" for number in range(40)]
    for name in names:
        launcher.run(name)
    lines: list[str] = []

    async def all_of_them() -> list[Waited]:
        client, one = AsyncClient(launcher.path, 20), Crowd()
        given: dict[str, Any] = {"seconds": 3600, "folder": str(tmp_path), "disk": 1 << 40, "kept": "1g"}
        telling = Telling(lambda line, _: lines.append(line), str)
        waits = [Waiting(client, Wanted(container=name, **given), telling, one).end() for name in names]
        tasks = [asyncio.create_task(wait) for wait in waits]
        await asyncio.sleep(2)
        assert threading.active_count() < before + 60  # the launcher's own, and two that walk
        assert launcher.streams <= 10 + 10
        for name in names:
            launcher.end(name)
        return await asyncio.gather(*tasks)

    before = threading.active_count()
    found = asyncio.run(all_of_them())
    assert {one.why for one in found} == {ENDED}
    assert sum("docker logs" in line for line in lines) == 30


def test_a_wait_that_is_cancelled_leaves_nothing_behind(launcher: Launcher, tmp_path: Path) -> None:
    launcher.run()

    async def run() -> int:
        client, one = AsyncClient(launcher.path, 5), Crowd()
        wanted = Wanted(container=ONE, seconds=9, folder=str(tmp_path), disk=1, kept="1g")
        task = asyncio.create_task(Waiting(client, wanted, Telling(lambda *_: None, str), one).end())
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return len(asyncio.all_tasks()) - 1

    assert asyncio.run(run()) == 0


def test_what_is_wanted_survives_as_json() -> None:
    wanted = Wanted(container=ONE, seconds=1.5, folder="/f", disk=1, kept="1g", until=2.5)
    assert msgspec.json.decode(msgspec.json.encode(wanted), type=Wanted) == wanted
    assert json.loads(msgspec.json.encode(Waited(why="x"))) == {"why": "x", "position": None, "peak_memory_bytes": None}
