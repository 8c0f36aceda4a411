"""How large a piece of a table is that is looked at at once, and reading the next one meanwhile."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

_CELLS = 1 << 21
_MOST_ROWS = 1 << 15
_FEWEST_ROWS = 512
_OVER = object()

UNREADABLE = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    pa.ArrowKeyError,
    pa.ArrowTypeError,
    pa.ArrowIndexError,
    pa.ArrowSerializationError,
    UnicodeDecodeError,
)
"""What pyarrow raises for a file that is not what it should be; not for want of memory or threads."""


def rows_at_once(columns: int) -> int:
    """How many rows of a table with so many columns are looked at at once: some megabytes of numbers."""
    return max(_FEWEST_ROWS, min(_MOST_ROWS, _CELLS // max(columns, 1)))


def read_ahead(pieces: Iterator[T]) -> Iterator[T]:
    """``pieces``, the next one of which is made by a thread while one is looked at.

    Raises:
        Exception: what ``pieces`` raises, in its place.
    """
    ready: queue.Queue[tuple[T | object, BaseException | None]] = queue.Queue(1)
    is_over = threading.Event()

    def make() -> None:
        failed = None
        try:
            for piece in pieces:
                if not _put(ready, (piece, None), is_over):
                    return
        except BaseException as error:  # noqa: BLE001  # raised again, by the one who reads
            failed = error
        finally:
            pieces.close()  # type: ignore[attr-defined]  # they are a generator
        _put(ready, (_OVER, failed), is_over)

    maker = threading.Thread(target=make, name="reads ahead", daemon=True)
    maker.start()
    try:
        while True:
            piece, failed = ready.get()
            if failed is not None:
                raise failed
            if piece is _OVER:
                return
            yield piece  # type: ignore[misc]  # all others are pieces
            del piece
    finally:
        is_over.set()
        maker.join()


def _put(ready: queue.Queue[T], item: T, is_over: threading.Event) -> bool:
    """Whether somebody still waits for ``item``; then it is there for them."""
    while not is_over.is_set():
        try:
            ready.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False
