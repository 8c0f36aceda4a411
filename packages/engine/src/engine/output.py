"""Follows a container's output to its end, through every loss of the engine.

The engine keeps output as entries, each with a time stamp and the stream it went to. A thread asks
for them from the last one it has seen, so a stream that is cut (by a proxy, by a restarted engine)
goes on where it stopped: nothing is lost, nothing comes twice, and one entry is in memory at a
time. stdout and stderr are put together into lines apart.

The engine keeps two files of a bounded size, and a step can print faster than Airflow takes it. A
request that follows skips a file, without a word, once the writer is more than one file ahead; one
that reads what there is does not. So whoever falls behind stops following and reads; and where the
last entry seen is not there any more, entries between are lost, and a line says so.
"""

from __future__ import annotations

import struct
import threading
import time
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException, NotFound
from docker.utils import parse_bytes
from urllib3.exceptions import HTTPError

from engine.line_splitter import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker import APIClient

STDERR = 2
_RECONNECT_SECONDS = 0.5
_STALLED_SECONDS = 300
"""How long the rest of an ended container's output may stand still before it is given up. A loaded engine takes
its time to find the place in a gigabyte."""
_FASTEST_BYTES = 256 << 20
"""More than an engine writes in a second (measured: 66 MB)."""
_LOST = (DockerException, OSError, ValueError, struct.error, HTTPError, HTTPException)
"""What docker-py, requests, urllib3 (no OSError) and Python raise where a stream ends in the middle."""

MISSING = "Lines are missing here: the step printed more than the engine keeps of it (BULKHEAD_STEP_LOG), too fast."
STALLED = f"The rest of the output is missing: the engine has sent nothing for {_STALLED_SECONDS} s."


class Follower(threading.Thread):
    """Hands every line of ``container`` to ``emit(line, is_error)``, until :meth:`finish`.

    Args:
        client: the engine.
        container: its id.
        emit: takes a line.
        mask: hides secrets; for lines that are cut, where a secret could be cut too.
        kept: the size of one of the engine's files, in Docker's notation.
    """

    def __init__(
        self,
        client: APIClient,
        container: str,
        emit: Callable[[str, bool], None],
        mask: Callable[[str], str],
        kept: str,
    ) -> None:
        super().__init__(daemon=True, name=f"output of {container[:12]}")
        # docker-py's logs() mixes the two streams; the requests that it makes do not.
        self._client: Any = client
        self._container = container
        self._emit = emit
        # As long as what is read is younger than this, the writer cannot be a whole file ahead.
        self._behind_seconds = parse_bytes(kept) / _FASTEST_BYTES
        self._kept_bytes = int(2 * parse_bytes(kept))
        self._read_bytes = 0
        self._ended = threading.Event()
        self._moved = time.monotonic()
        # By stream, the last entry's time stamp and how many entries had it: stamps need not differ, and
        # only within a stream do they never go back.
        self._seen = {1: ("", 0), STDERR: ("", 0)}
        self._lines = {1: LineSplitter(mask), STDERR: LineSplitter(mask)}

    def run(self) -> None:
        """Follow, and follow again after each loss; once the container has ended, read what is left."""
        while not self._ended.is_set():
            with suppress(*_LOST):
                self._read(follow=False)
                self._read(follow=True)
            self._ended.wait(_RECONNECT_SECONDS)
        while not self._is_read():
            time.sleep(_RECONNECT_SECONDS)
        self._end_lines()

    @property
    def kept_bytes(self) -> int:
        """How much of the output the engine keeps, as far as it has been read: two files of a bounded size."""
        return min(self._read_bytes, self._kept_bytes)

    def finish(self, is_given_up: Callable[[], bool]) -> None:
        """The container has ended: wait for the rest of its output, as long as it comes."""
        self._moved = time.monotonic()
        self._ended.set()
        while self.is_alive() and not is_given_up():
            if time.monotonic() - self._moved > _STALLED_SECONDS:
                self._emit(STALLED, True)  # noqa: FBT003  # an error's line
                return
            self.join(0.2)

    def _is_read(self) -> bool:
        try:
            self._read(follow=False)
        except NotFound:
            return True  # removed: there is nothing more
        except _LOST:
            return False
        return True

    def _read(self, *, follow: bool) -> None:
        before = dict(self._seen)
        newest = max(before, key=lambda source: before[source][0])
        params = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), "since": _since(before[newest][0])}
        url = self._client._url("/containers/{0}/logs", self._container)
        begun = time.monotonic()
        with self._client._get(url, params=params, stream=True) as response:
            self._client._raise_for_status(response)
            for source, entry in _frames(response.raw):
                self._moved = time.monotonic()
                written, _, content = entry.partition(b" ")
                this = written.decode()
                stamp, count = before[source]
                if this < stamp:
                    continue
                if this == stamp and count > 0:
                    before[source] = (stamp, count - 1)
                    continue
                if before[newest][1] > 0:  # the engine would have told it again
                    before[newest] = (before[newest][0], 0)
                    self._end_lines()
                    self._emit(MISSING, True)  # noqa: FBT003  # an error's line
                self._read_bytes += len(entry)
                last, times = self._seen[source]
                self._seen[source] = (this, times + 1 if this == last else 1)
                for line in self._lines[source].feed(content):
                    self._emit(line, source == STDERR)
                if follow and self._moved - begun > self._behind_seconds < time.time() - _moment(this):
                    return

    def _end_lines(self) -> None:
        for source, lines in self._lines.items():
            for line in lines.end():
                self._emit(line, source == STDERR)


def _moment(stamp: str) -> float:
    """``2026-11-23T05:19:56.123456789Z`` as ``time.time()`` counts."""
    return datetime.fromisoformat(stamp[:26] + "+00:00").timestamp()


def _since(stamp: str) -> str:
    """The engine's parameter for a stamp, a second earlier: streams overtake each other."""
    return str(int(_moment(stamp)) - 1) if stamp else "0"


def _frames(raw: Any) -> Iterator[tuple[int, bytes]]:
    """The multiplexed entries of a log response: stream (1 stdout, 2 stderr) and content."""
    while header := raw.read(8):
        source, size = struct.unpack(">BxxxL", header)
        content = raw.read(size)
        if len(content) < size:
            raise ValueError("cut within an entry")
        yield source, content
