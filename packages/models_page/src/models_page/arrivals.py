"""Tables on their way in: written to disk piece by piece as they arrive, bounded in bytes, time, number and disk."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import secrets
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from bulkhead import formatting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_PIECE = 1 << 20
"""Bytes that are written at once; no more than that, and what the server reads at once, is in memory."""
_LOOK = 16 << 20
"""Bytes after which it is looked again whether the disk has room."""
_KEPT_SHARE = 20
"""Of the disk a twentieth is kept free for what runs there, or ten uploads of the largest kind if that is less."""
_KEPT_UPLOADS = 10
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MODE = 0o600
"""Nobody else's business until the launcher has it."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LIMIT, SECONDS, MOST = 1 << 30, 600.0, 4


class NotTaken(Exception):
    """An upload that is refused before anybody has looked into it: a status, and what to do next."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Arrived:
    """A whole file, under a name of its own in the folder."""

    upload: str
    size: int
    sha256: str


class Arrivals:
    """The folder that tables arrive in, and how much of it.

    Args:
        folder: this process's to write; the launcher takes the files from there.
        limit: the most bytes of one.
        seconds: within which it must have arrived.
        most: so many at once.
    """

    def __init__(self, folder: Path, limit: int = LIMIT, seconds: float = SECONDS, most: int = MOST) -> None:
        self.limit = limit
        self._folder = folder
        self._seconds = seconds
        self._most = most
        self._now = 0
        self._making = threading.Lock()
        """A file that is made is nobody's until it is locked."""

    @asynccontextmanager
    async def receiving(self, body: AsyncIterator[bytes], length: int | None) -> AsyncIterator[Arrived]:
        """The file that ``body`` is; when the block ends it is gone, unless the launcher has taken it.

        Args:
            body: in pieces.
            length: how many bytes it has, as who sends it says; None: they do not.

        Raises:
            NotTaken: it is too large or too slow, there is no room, or it did not come to its end.
        """
        if length is not None and length > self.limit:
            raise self._too_large
        if self._now >= self._most:
            raise NotTaken(503, f"{self._most} tables are being uploaded already. Try again in a minute.")
        self._now += 1
        upload = secrets.token_hex(16)
        try:
            await run_in_threadpool(self.sweep)
            file = await run_in_threadpool(self._made, upload, length or 0)
            try:
                yield await self._received(body, file, upload)
            finally:
                await run_in_threadpool(self._end, file, upload)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            self._now -= 1

    def sweep(self) -> None:
        """Remove what nobody sends any more: a process that ended in the middle has left it."""
        with self._making, suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    continue
                with suppress(OSError):
                    self._remove_unlocked(entry.name)

    async def _received(self, body: AsyncIterator[bytes], file: int, upload: str) -> Arrived:
        digest, size, looked = hashlib.sha256(), 0, 0
        kept = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                async for piece in body:
                    size += len(piece)
                    if size > self.limit:
                        raise self._too_large
                    kept += piece
                    if len(kept) >= _PIECE:
                        await run_in_threadpool(_write, file, kept, digest)
                        kept.clear()
                    if size - looked >= _LOOK:
                        looked = size
                        await run_in_threadpool(self._refuse_if_full, 0)
        except TimeoutError:
            raise NotTaken(
                408,
                f"the table did not arrive within {self._seconds:g} s. Send it again on a faster line, or copy it into"
                " shared/inputs/.",
            ) from None
        except ClientDisconnect:
            raise NotTaken(400, "the table did not arrive to its end. Send it again.") from None
        await run_in_threadpool(_write, file, kept, digest)
        await run_in_threadpool(os.fsync, file)
        return Arrived(upload, size, digest.hexdigest())

    def _made(self, upload: str, length: int) -> int:
        self._refuse_if_full(length)
        with self._making:
            file = os.open(self._folder / upload, _NEW, _MODE)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file

    def _end(self, file: int, upload: str) -> None:
        with suppress(OSError):  # the launcher has taken it
            (self._folder / upload).unlink()
        os.close(file)

    def _remove_unlocked(self, name: str) -> None:
        path = self._folder / name
        if path.is_symlink():
            path.unlink()
            return
        file = os.open(path, _OLD)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where somebody is still writing
            path.unlink()
        finally:
            os.close(file)

    def _refuse_if_full(self, more: int) -> None:
        found = os.statvfs(self._folder)
        free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        kept = min(total // _KEPT_SHARE, _KEPT_UPLOADS * self.limit)
        if free - more < kept:
            raise NotTaken(
                507,
                f"the disk of shared/inputs/ has {formatting.size(free)} left, and {formatting.size(kept)} are kept"
                " free. Free some space, then send the table again.",
            )

    @property
    def _too_large(self) -> NotTaken:
        return NotTaken(
            413,
            f"the table is larger than {formatting.size(self.limit)}. Raise BULKHEAD_UPLOAD_LIMIT in .env and run"
            " 'just up', or copy the file into shared/inputs/.",
        )

    def _unwritable(self, error: OSError) -> NotTaken:
        if error.errno in _NO_ROOM:
            return NotTaken(507, "the disk of shared/inputs/ is full. Free some space, then send the table again.")
        return NotTaken(
            503, f"{self._folder.name}: {error.strerror}. Run 'just up' where Bulkhead runs, then send the table again."
        )


def _write(file: int, kept: bytearray, digest: hashlib._Hash) -> None:
    digest.update(kept)
    left = memoryview(kept)
    try:
        while left:
            left = left[os.write(file, left) :]
    finally:
        left.release()
