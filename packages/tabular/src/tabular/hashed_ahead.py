"""Hashing a file while it is read, always ahead of who reads it: nothing is read that was not hashed before."""

from __future__ import annotations

import hashlib
import io
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedReader

_PIECE = 1 << 20


class HashedAhead(io.RawIOBase):
    """A file, to be read anywhere; a thread hashes it from its beginning to its end meanwhile.

    A place that the thread has not come to yet is waited for. If the file has the same hash afterwards, what was read
    is what was hashed, as if it had been hashed before.

    Args:
        file: to be read; who opened it closes it.
        ahead: the same file, opened once more: for the thread, which closes it.
    """

    def __init__(self, file: BufferedReader, ahead: BufferedReader) -> None:
        self._file = file
        self._ahead = ahead
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._is_over = False
        self._failed: OSError | None = None
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._hash, name="hashes ahead", daemon=True)
        self._thread.start()

    def sha256(self) -> str:
        """Of the whole file, in hex, once the thread has come to its end.

        Raises:
            OSError: it could not read it.
        """
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        return self._digest.hexdigest()

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
                        self._moved.notify_all()
        except OSError as error:
            self._failed = error
        finally:
            with self._moved:
                self._is_over = True
                self._moved.notify_all()
