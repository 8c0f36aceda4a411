"""``shared/inputs/.uploads``: what was sent from a browser is taken out of the API server's reach, and given its name.

The API server writes ``arriving/`` below it, and nothing else here. A file that was taken can be exchanged by nobody
any more: what is mounted into the check is what was looked at, no link, and what is linked to its final name.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bulkhead import untrusted
from bulkhead.errors import short
from bulkhead.unix_http import Refusal
from bulkhead.uploads import ARRIVING, UPLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INPUTS = "shared/inputs"
_MODE = 0o644
"""As a file has that its owner puts there."""
_CONFLICT, _AWAY = 409, 503


class UploadFolder:
    """The folder below the project ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def taken(self, upload: str) -> Iterator[Taken]:
        """A file that has arrived; when the block ends it is gone from here, whatever has become of it.

        Raises:
            Refusal: there is none, or it is no plain file.
        """
        try:
            with self._open(ARRIVING) as arriving, self._open(UPLOADS) as uploads, self._open(INPUTS) as inputs:
                os.rename(upload, upload, src_dir_fd=arriving, dst_dir_fd=uploads)
                try:
                    yield Taken(self._root, upload, uploads, inputs)
                finally:
                    _remove(upload, uploads)
        except (OSError, untrusted.Untrusted) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise Refusal(_AWAY, f"{UPLOADS}: {why}. Send the table again.") from error

    def has(self, name: str) -> bool:
        """Whether something in ``shared/inputs/`` is called ``name``.

        Raises:
            Refusal: nobody can tell.
        """
        try:
            with self._open(INPUTS) as inputs:
                os.lstat(name, dir_fd=inputs)
        except FileNotFoundError:
            return False
        except (OSError, untrusted.Untrusted) as error:
            raise Refusal(_AWAY, f"{INPUTS}: {error}") from error
        return True

    def sweep(self) -> list[str]:
        """Remove what an earlier launcher had taken, and could not put in its place; what that was."""
        gone = []
        with suppress(OSError, untrusted.Untrusted), self._open(UPLOADS) as uploads:
            for name in os.listdir(uploads):  # noqa: PTH208  # of a descriptor
                if not stat.S_ISDIR(os.lstat(name, dir_fd=uploads).st_mode):
                    _remove(name, uploads)
                    gone.append(name)
        return gone

    @contextmanager
    def _open(self, relative: str) -> Iterator[int]:
        folder = untrusted.open_folder(self._root, relative)
        try:
            yield folder
        finally:
            os.close(folder)


class Taken:
    """A plain file that nobody else can exchange, rename or remove any more."""

    def __init__(self, root: Path, upload: str, uploads: int, inputs: int) -> None:
        self._upload = upload
        self._uploads = uploads
        self._inputs = inputs
        with untrusted.open_file(root, f"{UPLOADS}/{upload}", called="the upload") as file:
            if os.fstat(file.fileno()).st_nlink != 1:
                raise untrusted.Untrusted("the upload: has another name, under which it could be changed")
            os.fchmod(file.fileno(), _MODE)
            self._seen = _seen(os.fstat(file.fileno()))

    def place(self, name: str) -> None:
        """Give it its name in ``shared/inputs/``, whole and for good.

        Raises:
            Refusal: the name is taken (409), or the file has changed since it was taken.
        """
        if _seen(os.lstat(self._upload, dir_fd=self._uploads)) != self._seen:
            raise Refusal(_AWAY, "the table has changed while it was checked. Send it again.")
        try:
            os.link(self._upload, name, src_dir_fd=self._uploads, dst_dir_fd=self._inputs, follow_symlinks=False)
        except FileExistsError:
            raise taken_name(name) from None
        os.fsync(self._inputs)


def taken_name(name: str) -> Refusal:
    """There is such a file: none is ever overwritten."""
    return Refusal(
        _CONFLICT,
        f"{short(name, 80)}: is there already in shared/inputs/, and no table is overwritten. Give it another name, or"
        " remove the one that is there.",
    )


def _seen(found: os.stat_result) -> tuple[int, ...]:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _remove(name: str, folder: int) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)
