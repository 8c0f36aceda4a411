"""The state of the registry in memory, kept in step with ``log.txt``.

What is served is decided by :class:`~bulkhead.registry.serving.RegistryState` alone. Every line is decoded as
everywhere else, so that a line which the command line leaves out is left out here too. Only what lists and charts
need is kept: a model of a thousand features takes no more memory than one of three.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec

from bulkhead.index import file_state, journal_file
from bulkhead.index.filling import moment
from bulkhead.registry import metrics
from bulkhead.registry.records import ModelRecord, Unreadable
from bulkhead.registry.serving import RegistryState
from bulkhead.untrusted import Untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_AT_ONCE = 1 << 20
"""Bytes that a reader waits for; what is more is read by a thread, in pieces of this size."""
_PAUSE_SECONDS = 0.005
"""Between two pieces: whoever waits for an answer goes first."""


class ModelSummary(ModelRecord, frozen=True, kw_only=True):
    """A model's record as far as lists and charts need it; the rest is None here, and in the journal at ``offset``."""

    offset: int
    """Of its line in ``log.txt``."""
    number: int
    """Its place among all publications and promotions; the first has 1."""
    time: int
    """Of its publication or promotion, in microseconds since 1970; where the record has none, of the one before it."""
    # ``version`` is its number among the versions of its name, where its record says none, too.
    metrics: dict[str, float]
    """Those that its goals name and that are numbers, the leading one first."""


class LoadedState(RegistryState):
    """The state, and how much of ``log.txt`` is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = file_state.NOTHING
        self.is_complete = False
        """It once had all that the journal had."""

    @property
    def summaries(self) -> Sequence[ModelSummary]:
        """Every publication and promotion, in the order of the journal."""
        return cast("list[ModelSummary]", self.records)


class StateReader:
    """Keeps the state of the registry in ``models``; threads share it."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._state = LoadedState()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def refresh(self) -> int:
        """Read what was appended, where that takes no time; else begin to, in a thread.

        Returns:
            How much of the journal is read, in percent; 100: all that there is.

        Raises:
            OSError: it cannot be read; what was read before is kept.
            Untrusted: it is a link, no plain file, or sparse; likewise.
        """
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                behind = max(1, (journal_file.size(self._models, "training") or 0) - self._state.seen.upto)
            else:
                behind = self._read_on()
                if behind:
                    self._thread = threading.Thread(target=self._catch_up, name="registry-state", daemon=True)
                    self._thread.start()
            upto = self._state.seen.upto
            return min(99, 100 * upto // (upto + behind)) if behind else 100

    @contextmanager
    def reading(self) -> Iterator[LoadedState | None]:
        """The state, which does not change meanwhile; None: the journal was not read to its end yet."""
        with self._lock:
            yield self._state if self._state.is_complete else None

    def distrust(self) -> None:
        """Read everything anew: a record is not where it was, so the journal was edited in its middle."""
        with self._lock:
            self._state = LoadedState()

    def wait(self, seconds: float = 600) -> None:
        """Refresh until everything is read.

        Raises:
            TimeoutError: it is not, after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while self.refresh() < 100:  # noqa: PLR2004  # percent
            if time.monotonic() > deadline:
                raise TimeoutError(f"models/log.txt is not read after {seconds} s")
            time.sleep(0.01)

    def close(self) -> None:
        """Stop the thread, if there is one."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _catch_up(self) -> None:
        try:
            while not self._closed.is_set():
                with self._lock:
                    if not self._read_on():
                        return
                time.sleep(_PAUSE_SECONDS)
        except (OSError, Untrusted):
            return  # the next request meets it too, and says so

    def _read_on(self) -> int:
        """Read the next piece; returns how many bytes are left."""
        file = journal_file.opened(self._models, "training")
        if file is None:
            self._state = LoadedState() if self._state.seen.inode != file_state.NO_FILE else self._state
            self._state.seen = msgspec.structs.replace(file_state.NOTHING, inode=file_state.NO_FILE)
            self._state.is_complete = True
            return 0
        with file:
            found = os.fstat(file.fileno())
            if file_state.unchanged(self._state.seen, found):
                return 0
            if not file_state.has_grown(file, self._state.seen, found):
                self._state = LoadedState()
            more = self._read_piece(file)
            upto = self._state.seen.upto
            self._state.is_complete = self._state.is_complete or not more
            return max(1, found.st_size - upto) if more else 0

    def _read_piece(self, file: BinaryIO) -> bool:
        """Whether there is more."""
        found = os.fstat(file.fileno())
        begin = upto = self._state.seen.upto
        for line in journal_file.lines(file, begin):
            if not line.is_blank:
                record = line.decoded()
                if isinstance(record, Unreadable) and not line.has_end:
                    break  # it may become a record yet
                self._state.feed(self._summary(record, upto) if isinstance(record, ModelRecord) else record)
            upto += line.size
            if upto - begin > _AT_ONCE:
                break
        more = upto - begin > _AT_ONCE and upto < found.st_size
        self._state.seen = file_state.look(file, found, upto, more=more)
        return more

    def _summary(self, record: ModelRecord, offset: int) -> ModelSummary:
        known = self._state.summaries
        version = self._state.models.get(record.model_filename)
        published = record.promotion.promotion_time if record.promotion else record.training_timestamp
        return ModelSummary(
            model_name=record.model_name,
            goals=None if record.goals is None else dict(islice(record.goals.items(), metrics.MOST_SHOWN)),
            serve=record.serve,
            version=self._state.next_number(record) if version is None else version.number,
            model_hash=record.model_hash,
            model_filename=record.model_filename,
            training_timestamp=record.training_timestamp,
            environment=record.environment,
            sha256=record.sha256,
            promotion=record.promotion,
            data=record.data,
            offset=offset,
            number=len(known) + 1,
            time=moment(published, known[-1].time if known else 0),
            metrics=metrics.measured(record),
        )
