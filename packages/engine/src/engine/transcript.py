"""What has been read of a container's output, whoever reads it: which entry was the last, and which lines they make.

The engine keeps output as entries, each with a time stamp and the stream it went to. Whoever reads asks for them from
the last one seen, so a stream that is cut goes on where it stopped: nothing is lost, nothing comes twice, and one entry
is in memory at a time. stdout and stderr are put together into lines apart.

The engine keeps two files of a bounded size, and a step can print faster than Airflow takes it. A request that follows
skips a file, without a word, once the writer is more than one file ahead; one that reads what there is does not. So
whoever falls behind has to stop following and read; and where the last entry seen is not there any more, entries
between are lost, and a line says so.

How far it has been read can be handed to another process (:class:`Position`), which goes on there. Nothing here reads
or waits: bytes go in, lines come out.
"""

from __future__ import annotations

import struct
import time
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from engine.line_splitter import LineSplitter
from engine.values import in_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STDOUT, STDERR = 1, 2
MISSING = "Lines are missing here: the step printed more than the engine keeps of it (BULKHEAD_STEP_LOG), too fast."
_FASTEST_BYTES = 256 << 20
"""More than an engine writes in a second (measured: 66 MB)."""
_HEADER = struct.Struct(">BxxxL")

Line = tuple[str, bool]
"""A line, and whether it went to stderr."""


class StreamPosition(msgspec.Struct, frozen=True, array_like=True):
    """How far one stream has been read: to the end of its last whole line."""

    stamp: str = ""
    """Of the last entry; stamps never go back within a stream, and need not differ."""
    count: int = 0
    """How many entries had that stamp."""
    told: int = 0
    """How many lines of the entries after it have been told already: a progress bar's, pieces of a long one."""
    is_open: bool = False
    """Whether a line has begun after it whose end was not there yet; its beginning is read once more."""


class Position(msgspec.Struct, frozen=True):
    """How far a container's output has been read."""

    stdout: StreamPosition = StreamPosition()
    stderr: StreamPosition = StreamPosition()
    read_bytes: int = 0

    def encode(self) -> str:
        """As :meth:`decode` reads it; without a word of the output."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, text: object) -> Position | None:
        """What :meth:`encode` wrote; None where it is not that, and the output has to be read from its beginning."""
        try:
            return msgspec.json.decode(str(text), type=cls)
        except msgspec.DecodeError:
            return None


class Frames:
    """Puts the bytes of a log response together into entries: stream and content."""

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def wanted(self) -> int:
        """How many more bytes the entry that has begun is known to need."""
        if len(self._held) < _HEADER.size:
            return _HEADER.size - len(self._held)
        return _HEADER.size + int(_HEADER.unpack_from(self._held)[1]) - len(self._held)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The entries that ``data`` completes."""
        self._held += data
        while len(self._held) >= _HEADER.size:
            source, size = _HEADER.unpack_from(self._held)
            end = _HEADER.size + size
            if len(self._held) < end:
                return
            entry = bytes(self._held[_HEADER.size : end])
            del self._held[:end]
            yield source, entry

    def end(self) -> None:
        """The response has ended.

        Raises:
            ValueError: within an entry.
        """
        if self._held:
            raise ValueError("cut within an entry")


class _Stream:
    def __init__(self, at: StreamPosition, mask: Callable[[str], str]) -> None:
        self.stamp, self.count = self.clean = (at.stamp, at.count)
        self.told = 0
        self.skipped = at.told
        self.is_behind = at.is_open
        """Whether entries of it that were seen by another process have to be read again."""
        self.lines = LineSplitter(mask)

    @property
    def position(self) -> StreamPosition:
        return StreamPosition(*self.clean, max(self.told, self.skipped), self.is_behind or not self.lines.is_empty)

    def feed(self, content: bytes) -> Iterator[str]:
        for line in self.lines.feed(content):
            self.told += 1
            if self.told > self.skipped:
                yield line
        if self.lines.is_empty:
            self._settle()

    def end(self) -> Iterator[str]:
        for line in self.lines.end():
            self.told += 1
            if self.told > self.skipped:
                yield line
        self._settle()

    def _settle(self) -> None:
        self.clean = (self.stamp, self.count)
        self.told = self.skipped = 0


class Transcript:
    """The lines of a container's output, from a position on.

    Args:
        mask: hides secrets; for lines that are cut, where a secret could be cut too.
        kept: the size of one of the engine's files, in Docker's notation.
        position: where to begin; at the beginning, if not given.
    """

    def __init__(self, mask: Callable[[str], str], kept: str, position: Position | None = None) -> None:
        at = position or Position()
        self._streams = {STDOUT: _Stream(at.stdout, mask), STDERR: _Stream(at.stderr, mask)}
        self._handed_over = max(at.stdout.stamp, at.stderr.stamp)
        self._before: dict[int, tuple[str, int]] = {}
        self._newest = STDOUT
        self._begun = 0.0
        self._kept = in_bytes(kept)
        self.read_bytes = at.read_bytes

    @property
    def kept_bytes(self) -> int:
        """How much of the output the engine keeps, as far as it has been read: two files of a bounded size."""
        return min(self.read_bytes, 2 * self._kept)

    @property
    def position(self) -> Position:
        """How far it has been read by now."""
        stdout, stderr = (self._streams[source].position for source in (STDOUT, STDERR))
        return Position(stdout, stderr, self.read_bytes)

    def request(self, *, follow: bool) -> dict[str, int | str]:
        """The parameters of a request for what has not been read; its answer is given to :meth:`take`."""
        streams = self._streams
        self._before = {source: (stream.stamp, stream.count) for source, stream in streams.items()}
        self._newest = max(streams, key=lambda source: streams[source].stamp)
        self._begun = time.monotonic()
        stamps = [self._before[self._newest][0], *(one.stamp for one in streams.values() if one.is_behind)]
        return {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), "since": _since(min(stamps))}

    def take(self, source: int, entry: bytes) -> Iterator[Line]:
        """The lines that an entry completes; none where it was seen before. To be read to their end."""
        stream, before = self._streams[source], self._before
        written, _, content = entry.partition(b" ")
        this = written.decode()
        stamp, count = before[source]
        if this < stamp:
            return
        if this == stamp and count > 0:
            before[source] = (stamp, count - 1)
            return
        newest, unseen = before[self._newest]
        if unseen > 0 and not (stream.is_behind and this <= newest):  # the engine would have told it again
            before[self._newest] = (newest, 0)
            yield from self.end()
            yield MISSING, True
        self.read_bytes += len(entry)
        if this > self._handed_over:
            stream.is_behind = False
        stream.stamp, stream.count = this, stream.count + 1 if this == stream.stamp else 1
        for line in stream.feed(content):
            yield line, source == STDERR

    def end(self) -> Iterator[Line]:
        """The last lines, where they had no end."""
        for source, stream in self._streams.items():
            for line in stream.end():
                yield line, source == STDERR

    def is_behind(self, entry: bytes) -> bool:
        """Whether the writer can be a whole file ahead of ``entry``, so that who follows has to read instead."""
        # As long as what is read is younger than this, it cannot.
        limit = self._kept / _FASTEST_BYTES
        return time.monotonic() - self._begun > limit < time.time() - _moment(entry.partition(b" ")[0].decode())


def _moment(stamp: str) -> float:
    """``2026-11-23T05:19:56.123456789Z`` as ``time.time()`` counts."""
    return datetime.fromisoformat(stamp[:26] + "+00:00").timestamp()


def _since(stamp: str) -> str:
    """The engine's parameter for a stamp, a second earlier: streams overtake each other."""
    return str(int(_moment(stamp)) - 1) if stamp else "0"
