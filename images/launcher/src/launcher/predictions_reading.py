"""A container that prints predictions, from its making to its removal; whatever it prints is handed on as it comes.

Nothing of it is kept: the engine writes none of its output down, and where nobody reads, the container waits.
"""

from __future__ import annotations

import http.client
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import EXIT_USAGE, one_line, short
from bulkhead.prediction_files import LONGEST_HEAD, LONGEST_ROWS, TASK, Head
from bulkhead.unix_http import Refusal
from launcher import looks
from launcher.upstream import message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bulkhead.prediction_files import PredictionsRequest
    from engine.settings import Settings
    from launcher.upstream import Engine, Stream

_COMPLAINT = 4 << 10
"""The last bytes of stderr."""
_ANOTHER, _UNUSABLE, _AWAY, _ERROR = 409, 422, 503, 400


class PredictionsReading:
    """An iterator of pieces: a line of JSON (:class:`Head`), then rows.

    Args:
        engine: the real one.
        settings: its limits.
        asked: what is read.
        container: its id; created, and not started.
        on_end: called once, when the container is removed, with why that was before its end, or nothing.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        asked: PredictionsRequest,
        container: str,
        on_end: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._asked = asked
        self._container = container
        self._on_end = on_end
        self._calls: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._is_closed = self._is_whole = False
        self._why: Refusal | None = None
        """Why the end of the output is none of the container's."""
        self._complaint = b""
        self._stream: Stream | None = None
        self._output: Iterator[bytes] = iter(())
        self._begun: list[bytes] = []
        self._timer = threading.Timer(settings.seconds, self._end_late)
        self._timer.daemon = True

    def begin(self, on_gone: Callable[[Callable[[], None]], None]) -> None:
        """Start it, and wait for its first line.

        Args:
            on_gone: registers what is called when nobody waits for the answer any more.

        Raises:
            Refusal: the container, or the engine, has refused; it says why.
        """
        on_gone(self._end_unread)
        query = {"stream": "1", "stdout": "1", "stderr": "1"}
        # Before the start: not a byte of the output may be missed.
        self._stream = stream = self._engine.stream(
            "POST", f"/containers/{self._container}/attach", query, self._calls.append
        )
        if stream.status >= _ERROR:
            raise away(message_of(stream.whole()))
        self._output = self._printed(stream.pieces())
        status, content = self._engine.ask("POST", f"/containers/{self._container}/start")
        if status >= _ERROR:
            raise away(message_of(content))
        self._timer.start()
        line, rest = self._first_line()
        try:
            head = msgspec.json.decode(line, type=Head)
        except msgspec.DecodeError:
            raise self._ended(self._not_read()) from None
        if head.refused is not None:
            raise self._ended(Refusal(_ANOTHER if head.is_another else _UNUSABLE, head.refused))
        self._begun = [piece for piece in (line, b"\n", rest) if piece]

    def whole(self) -> bytes:
        """All of it, where it is short.

        Raises:
            Refusal: it is not, or is not whole.
        """
        found = bytearray()
        try:
            for piece in self:
                found += piece
                if len(found) > LONGEST_HEAD + 2 * LONGEST_ROWS:
                    raise self._ended(self._not_read())
        except ConnectionError as error:
            raise self._why or away(str(error)) from None
        finally:
            self.close()
        return bytes(found)

    def __iter__(self) -> Iterator[bytes]:
        """Itself."""
        return self

    def __next__(self) -> bytes:
        """The next piece.

        Raises:
            ConnectionAbortedError: the container has not printed all; whoever reads must not take it for the end.
        """
        if self._begun:
            return self._begun.pop(0)
        piece = next(self._output, None)
        if piece is not None:
            return piece
        self._why = self._why or self._not_whole()
        if self._why is not None:
            raise ConnectionAbortedError(self._why.message)
        self._is_whole = True
        raise StopIteration

    def end(self, why: Refusal) -> None:
        """Have whoever reads meet the end now; may be called by any thread."""
        self._why = self._why or why
        for call in tuple(self._calls):
            with suppress(OSError):
                call()

    def close(self) -> None:
        """Remove the container; a second time nothing happens."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._timer.cancel()
        if not self._is_whole:
            self.end(away("who reads them has stopped"))
        looks.remove(self._engine, self._container)
        if self._stream is not None:
            self._stream.close()
        self._on_end(self._why.message if self._why else "")

    def _end_unread(self) -> None:
        """Called by the server's watch, which must not wait: what reads may never be asked for another piece."""
        if not self._is_closed:
            self.end(away("nobody waits for them any more"))
            threading.Thread(target=self.close, name="ends predictions", daemon=True).start()

    def _end_late(self) -> None:
        self.end(
            Refusal(
                _UNUSABLE,
                f"{self._shown}: to read it takes longer than {self._settings.seconds:g} s. Raise"
                f" BULKHEAD_STEP_SECONDS_{TASK.upper()} in .env and run 'just up', or use 'just registry predictions'.",
            )
        )

    def _printed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        # The engine's end of it, or ours; how the container ended is asked then.
        with suppress(OSError, http.client.HTTPException, ValueError):
            for stream, piece in looks.output(pieces):
                if stream == looks.STDOUT:
                    yield piece
                else:
                    self._complaint = (self._complaint + piece)[-_COMPLAINT:]

    def _first_line(self) -> tuple[bytes, bytes]:
        found = bytearray()
        for piece in self._output:
            found += piece
            end = found.find(b"\n", max(0, len(found) - len(piece)))
            if end >= 0:
                return bytes(found[:end]), bytes(found[end + 1 :])
            if len(found) > LONGEST_HEAD:
                break
        raise self._ended(self._not_read())

    def _ended(self, why: Refusal) -> Refusal:
        self._why = self._why or why
        return self._why

    def _not_whole(self) -> Refusal | None:
        """Why the output that has ended is not all of it; None: it is."""
        try:
            return None if self._exit_code() == 0 else self._not_read()
        except Refusal as refusal:
            return away(refusal.message)

    def _exit_code(self) -> int:
        # The output may end a moment before the container has.
        status, content = self._engine.ask("POST", f"/containers/{self._container}/wait", {"condition": "not-running"})
        if status >= _ERROR:
            raise away(message_of(content))
        return int(msgspec.json.decode(content)["StatusCode"])

    def _not_read(self) -> Refusal:
        """Why the container has printed nothing that can be handed on."""
        if self._why is not None:
            return self._why
        try:
            code = self._exit_code()
            state = self._engine.get(f"/containers/{self._container}/json")["State"]
        except Refusal as refusal:
            return away(refusal.message)
        if state.get("OOMKilled") or code == looks.KILLED:
            return Refusal(
                _UNUSABLE,
                f"{self._shown}: to read it takes more than {self._settings.memory} of memory. Raise"
                f" BULKHEAD_STEP_MEMORY_{TASK.upper()} in .env and run 'just up'.",
            )
        if code == EXIT_USAGE:
            image = self._settings.tag_of("inference")
            return away(f"the image {image} is of another version. Run 'just build-images', 'just up'")
        last = self._complaint.decode(errors="replace").strip().rpartition("\n")[2]
        return Refusal(
            _UNUSABLE,
            f"{self._shown}: cannot be read: what reads it ended with exit code {code}"
            f" ({one_line(last, 300) or 'and said nothing'}). Run the inference again.",
        )

    @property
    def _shown(self) -> str:
        return short(self._asked.path, 200)


def away(why: str) -> Refusal:
    """Nobody can read predictions now."""
    return Refusal(_AWAY, f"the predictions were not read: {why.rstrip('.')}. Try again later.")
