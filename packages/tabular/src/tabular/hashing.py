"""Hashing a file while it is read, always ahead of who reads it, and once more afterwards."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

_PIECE = 1 << 20


class Hashed:
    """What a file was when it was hashed.

    Attributes:
        sha256: in hex.
    """

    def __init__(self, middle: int, first_half: hashlib._Hash, sha256: str) -> None:
        self.sha256 = sha256
        self._middle = middle
        self._first_half = first_half

    def is_of(self, opened: Callable[[], BufferedReader]) -> bool:
        """Whether the file that ``opened`` opens is the same; its halves are hashed side by side."""
        with ThreadPoolExecutor(1, "hashes") as thread:
            rest = thread.submit(_hash, opened, self._first_half.copy(), self._middle, sys.maxsize)
            begin = _hash(opened, hashlib.sha256(), 0, self._middle)
            return begin == self._first_half.hexdigest() and rest.result() == self.sha256


def _hash(opened: Callable[[], BufferedReader], digest: hashlib._Hash, begin: int, end: int) -> str:
    """What ``digest`` is after the bytes of the file from ``begin`` to ``end``, or its own end."""
    with opened() as file:
        file.seek(begin)
        while piece := file.read(min(_PIECE, end - file.tell())):
            digest.update(piece)
    return digest.hexdigest()


class HashedAhead(io.RawIOBase):
    """A file, to be read anywhere; a thread hashes it from its beginning to its end meanwhile.

    A place that the thread has not come to yet is waited for. If the file is the same afterwards
    (:meth:`Hashed.is_of`), what was read is what was hashed, as if it had been hashed before.

    Args:
        file: to be read; who opened it closes it.
        ahead: the same file, opened once more: for the thread, which closes it.
    """

    def __init__(self, file: BufferedReader, ahead: BufferedReader) -> None:
        self._file = file
        self._ahead = ahead
        self._digest = hashlib.sha256()
        self._half = os.fstat(ahead.fileno()).st_size // 2
        self._middle, self._first_half = 0, self._digest.copy()
        self._hashed = 0
        self._is_over = False
        self._failed: OSError | None = None
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._hash, name="hashes ahead", daemon=True)
        self._thread.start()

    def hashed(self) -> Hashed:
        """What the whole file was, once the thread has come to its end.

        Raises:
            OSError: it could not read it.
        """
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        return Hashed(self._middle, self._first_half, self._digest.hexdigest())

    def close(self) -> None:
        """Let the thread end where it is."""
        self._is_over = True
        self._thread.join()
        super().close()

    def readable(self) -> bool:
        """That it is."""
        return True

    def seekable(self) -> bool:
        """That it is."""
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Go to ``place``."""
        return self._file.seek(place, whence)

    def tell(self) -> int:
        """Where reading goes on."""
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # as io calls it
        """Fill ``buffer``, when all that goes into it has been hashed."""
        end = self._file.tell() + len(buffer)
        with self._moved:
            self._moved.wait_for(lambda: self._hashed >= end or self._is_over)
        return self._file.readinto(buffer)

    def _hash(self) -> None:
        try:
            with self._ahead as file:
                while not self._is_over and (piece := file.read(_PIECE)):
                    self._digest.update(piece)
                    with self._moved:
                        self._hashed += len(piece)
                        if self._hashed <= self._half:
                            self._middle, self._first_half = self._hashed, self._digest.copy()
                        self._moved.notify_all()
        except OSError as error:
            self._failed = error
        finally:
            with self._moved:
                self._is_over = True
                self._moved.notify_all()
