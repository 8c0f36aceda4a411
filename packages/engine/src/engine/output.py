"""Follows a container's output to its end in a thread, through every loss of the engine."""

from __future__ import annotations

import struct
import threading
import time
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException, NotFound
from urllib3.exceptions import HTTPError

from engine.transcript import Frames, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

    from engine.transcript import Position

_RECONNECT_SECONDS = 0.5
_STALLED_SECONDS = 300
"""How long the rest of an ended container's output may stand still before it is given up. A loaded engine takes
its time to find the place in a gigabyte."""
_LOST = (DockerException, OSError, ValueError, struct.error, HTTPError, HTTPException)
"""What docker-py, requests, urllib3 (no OSError) and Python raise where a stream ends in the middle."""

STALLED = f"The rest of the output is missing: the engine has sent nothing for {_STALLED_SECONDS} s."


class _Left(Exception):
    """Somebody else reads on."""


class Follower(threading.Thread):
    """Hands every line of ``container`` to ``emit(line, is_error)``, until :meth:`finish` or :meth:`leave`.

    Args:
        client: the engine.
        container: its id.
        emit: takes a line.
        transcript: what has been read of it.
    """

    def __init__(
        self, client: APIClient, container: str, emit: Callable[[str, bool], None], transcript: Transcript
    ) -> None:
        super().__init__(daemon=True, name=f"output of {container[:12]}")
        # docker-py's logs() mixes the two streams; the requests that it makes do not.
        self._client: Any = client
        self._container = container
        self._emit = emit
        self._transcript = transcript
        self._ended = threading.Event()
        self._moved = time.monotonic()
        self._telling = threading.Lock()
        self._left = False

    def run(self) -> None:
        """Follow, and follow again after each loss; once the container has ended, read what is left."""
        with suppress(_Left):
            while not self._ended.is_set():
                with suppress(*_LOST):
                    self._read(follow=False)
                    self._read(follow=True)
                self._ended.wait(_RECONNECT_SECONDS)
            while not self._is_read():
                time.sleep(_RECONNECT_SECONDS)
            self._tell(self._transcript.end())

    @property
    def kept_bytes(self) -> int:
        """How much of the output the engine keeps, as far as it has been read."""
        return self._transcript.kept_bytes

    @property
    def read_bytes(self) -> int:
        """How much has been read."""
        return self._transcript.read_bytes

    def finish(self, is_given_up: Callable[[], bool]) -> None:
        """The container has ended: wait for the rest of its output, as long as it comes."""
        self._moved = time.monotonic()
        self._ended.set()
        while self.is_alive() and not is_given_up():
            if time.monotonic() - self._moved > _STALLED_SECONDS:
                self._emit(STALLED, True)  # noqa: FBT003  # an error's line
                return
            self.join(0.2)

    def rest(self, is_given_up: Callable[[], bool]) -> None:
        """The container has ended before: hand on what is left of its output, instead of :meth:`start`."""
        self._ended.set()
        self.start()
        self.finish(is_given_up)

    def leave(self) -> Position:
        """Read no more, and say how far the output was told; a thread that waits for more ends with its process."""
        with self._telling:
            self._left = True
            self._ended.set()
            return self._transcript.position

    def _is_read(self) -> bool:
        try:
            self._read(follow=False)
        except NotFound:
            return True  # removed: there is nothing more
        except _LOST:
            return False
        return True

    def _read(self, *, follow: bool) -> None:
        params = self._transcript.request(follow=follow)
        url = self._client._url("/containers/{0}/logs", self._container)
        frames = Frames()
        with self._client._get(url, params=params, stream=True) as response:
            self._client._raise_for_status(response)
            while data := response.raw.read(frames.wanted):
                for source, entry in frames.feed(data):
                    self._moved = time.monotonic()
                    self._tell(self._transcript.take(source, entry))
                    if follow and self._transcript.is_behind(entry):
                        return
        frames.end()

    def _tell(self, lines: Any) -> None:
        with self._telling:
            if self._left:
                raise _Left
            for line, is_error in lines:
                self._emit(line, is_error)
