"""Run Docker and show its progress to people: progress.py build IMAGE -- COMMAND..., up PROJECT -- COMMAND...

A line for each stage of a build, or for each service that starts: what it is, and how long it took. Where the command
fails, all that it said of what failed. On a terminal one more line says what goes on; elsewhere every line stays, and
none is written over. The exit code is the command's. ``--verbose`` of the recipes leaves all this out.

What is read is ``--progress plain`` of buildx and compose, which every version has; ``rawjson`` is in newer ones alone.
"""

from __future__ import annotations

import collections
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES = {
    "tools": "tools to build with",
    "dependencies": "locked packages",
    "code": "our packages",
    "step": "base of steps",
    "service": "base of services",
    "airflow": "base of Airflow",
    "": "put together",
}
"""What each stage of images/Dockerfile is for people; the last one there has no name."""
_MOST = 4000
"""Lines that are kept for the case that it fails."""
ENDS = {"Healthy": "up", "Exited": "done", "Error": "FAILED"}
"""What is said of a service that is waited for no more: ``Exited`` of one that has to end before others begin."""
_LONGEST = 100
_LOG_LINES = 40
"""Of a service that has failed."""


class Terminal:
    """What people see."""

    def __init__(self) -> None:
        self._is_one = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._lock = threading.Lock()
        self._going = ""
        self._since = 0.0

    def done(self, line: str) -> None:
        """Print ``line``, which stays."""
        with self._lock:
            sys.stdout.write(("\r\x1b[K" if self._is_one else "") + line + "\n")
            sys.stdout.flush()

    def failed(self, line: str) -> None:
        """Print ``line``, which says what failed, where a shell looks for that."""
        sys.stderr.write(line + "\n")

    def going_on(self, what: str) -> None:
        """Say what goes on, on the line that does not stay."""
        with self._lock:
            if what != self._going:
                self._going, self._since = what, time.monotonic()

    def tick(self) -> None:
        """Show for how long it has gone on."""
        with self._lock:
            if self._is_one and self._going:
                room = os.get_terminal_size(sys.stdout.fileno()).columns or 80
                told = f"  {self._going} ... {time.monotonic() - self._since:.0f} s"
                sys.stdout.write("\r\x1b[K" + told[: room - 1])
                sys.stdout.flush()

    def clear(self) -> None:
        """Take the line away that does not stay."""
        with self._lock:
            self._going = ""
            if self._is_one:
                sys.stdout.write("\r\x1b[K")
                sys.stdout.flush()


@dataclass
class Stage:
    """A stage of a build, as far as it is known."""

    size: int
    seen: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    seconds: float = 0
    was_built: bool = False
    is_told: bool = False

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is to come: its first instruction may be another stage's."""
        return self.done >= {*range(2, self.size + 1)} | self.seen


class Build:
    """Reads what buildx says."""

    _NAMED = re.compile(r"\[(?:\S+/\S+ )?(?:(\S+) )?(\d+)/(\d+)\] (.*)")

    def __init__(self, image: str, terminal: Terminal) -> None:
        self._image = image
        self._terminal = terminal
        self._stages: dict[str, Stage] = {}
        self._names: dict[str, str] = {}
        self._lines: dict[str, collections.deque[str]] = {}
        self._rest: collections.deque[str] = collections.deque(maxlen=_MOST)
        self._failed: list[str] = []

    def read(self, line: str) -> None:
        """Take in one line."""
        found = re.match(r"#(\d+) (.*)", line)
        if found is None:
            self._rest += [line] if line.strip() else []
            return
        number, text = found.groups()
        self._lines.setdefault(number, collections.deque(maxlen=_MOST)).append(text)
        if number not in self._names:
            self._names[number] = text
        if ended := re.fullmatch(r"(?:DONE (\d+\.\d+)s|(CACHED))", text):
            self._end(number, float(ended[1] or 0), was_cached=bool(ended[2]))
        elif text.startswith("ERROR"):
            self._failed.append(number)
        else:
            self._begin(number)

    def end(self, code: int) -> None:
        """Say what is not said yet."""
        if not code:
            for name in self._stages:
                self._tell(name)
            return
        self._terminal.clear()
        # Where no instruction is known to have failed, what was said beside them is why.
        for number in self._failed:
            self._terminal.failed(f"  {self._image:<11} failed: {_short(self._names[number])}")
            for text in self._lines[number]:
                self._terminal.failed(f"    {text}")
        for text in self._rest:
            self._terminal.failed(f"    {text}")

    def _place(self, number: str) -> tuple[str, int, int] | None:
        found = self._NAMED.match(self._names[number])
        return (found[1] or "", int(found[2]), int(found[3])) if found else None

    def _begin(self, number: str) -> None:
        if place := self._place(number):
            name, at, size = place
            stage = self._stages.setdefault(name, Stage(size))
            stage.seen.add(at)
            self._terminal.going_on(f"{self._image:<11} {_stage(name)}")
        elif self._names[number].startswith("exporting"):
            self._terminal.going_on(f"{self._image:<11} written")

    def _end(self, number: str, seconds: float, *, was_cached: bool) -> None:
        if self._names[number].startswith("exporting"):
            self._told("written", f"{seconds:.1f} s")
        if place := self._place(number):
            name, at, _ = place
            stage = self._stages[name]
            stage.done.add(at)
            if not was_cached and " FROM " not in self._names[number]:
                stage.was_built = True
                stage.seconds += seconds
            if stage.is_done:
                self._tell(name)

    def _tell(self, name: str) -> None:
        stage = self._stages[name]
        if not stage.is_told:
            stage.is_told = True
            self._told(_stage(name), f"{stage.seconds:.1f} s" if stage.was_built else "cached")

    def _told(self, what: str, how: str) -> None:
        self._terminal.done(f"  {self._image:<11} {what:<21} {how}")


class Up:
    """Reads what compose says."""

    _STATE = re.compile(r"\s*(?:Container|Network|Volume) (\S+)\s+(\w+)")

    def __init__(self, project: str, terminal: Terminal) -> None:
        self._project = project
        self._terminal = terminal
        self._rest: collections.deque[str] = collections.deque(maxlen=_MOST)
        self._began: dict[str, float] = {}
        self._told: dict[str, str] = {}

    def read(self, line: str) -> None:
        """Take in one line."""
        found = self._STATE.match(line)
        if found is None:
            self._rest += [line] if line.strip() else []
            return
        name, state = found.groups()
        if name not in self._began or state == "Starting":
            self._began[name] = time.monotonic()
        how = ENDS.get(state)
        # Each that depends on it waits for it, and says so.
        if how is not None and name not in self._told:
            self._told[name] = how
            self._terminal.done(f"  {self._service(name):<15} {how:<7} {time.monotonic() - self._began[name]:.1f} s")
        if how is None:
            self._terminal.going_on(f"{self._service(name)}: {state.lower()}")

    def end(self, code: int) -> None:
        """Say what is not said yet."""
        self._terminal.clear()
        if not code:
            return
        for line in self._rest:
            self._terminal.failed(f"    {line}")
        named = {name for line in self._rest for name in re.findall(r"[cC]ontainer (\S+)", line)}
        for name in (name for name in self._began if self._told.get(name) == "FAILED" or name in named):
            self._terminal.failed(f"  {self._service(name)} said last:")
            self._show_log(name)

    def _show_log(self, name: str) -> None:
        command = ["docker", "logs", "--tail", str(_LOG_LINES), name]
        said = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
        ).stdout
        for line in said.splitlines():
            self._terminal.failed(f"    {line}")

    def _service(self, container: str) -> str:
        """``bulkhead-2-api-server-1`` is the service ``api-server`` of the project ``bulkhead-2``."""
        return re.sub(r"-\d+$", "", container.removeprefix(f"{self._project}-"))


def _stage(name: str) -> str:
    return STAGES.get("" if name.startswith("stage-") else name, name)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _read(stream: Iterable[str], reader: Build | Up) -> None:
    for line in stream:
        reader.read(line.rstrip("\n"))


def run(command: list[str], reader: Build | Up, terminal: Terminal) -> int:
    """Run ``command``, told by ``reader``; returns its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: started.send_signal(number))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, errors="replace") as started:
        stream: IO[str] = started.stdout  # type: ignore[assignment]  # it was asked for
        reading = threading.Thread(target=_read, args=(stream, reader))
        reading.start()
        try:
            while reading.is_alive():
                reading.join(0.5)
                terminal.tick()
            code = started.wait()
            reader.end(code)
        except KeyboardInterrupt:  # the command has got it, too; what it says of that is nobody's question
            code = started.wait() or 128 + signal.SIGINT
            reading.join()
    terminal.clear()
    return code if code >= 0 else 128 - code


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    at = argv.index("--")
    what, command = argv[:at], argv[at + 1 :]
    terminal = Terminal()
    reader = Build(what[1], terminal) if what[0] == "build" else Up(what[1], terminal)
    return run(command, reader, terminal)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
