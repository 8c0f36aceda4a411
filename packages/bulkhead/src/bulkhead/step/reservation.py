"""The right to write a result, and room for it, both taken before the work."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bulkhead import untrusted
from bulkhead.errors import Busy, Refused
from bulkhead.files import SHARED_MODE, naming, sync_folder
from bulkhead.step import result

if TYPE_CHECKING:
    from bulkhead.step.result import StepResult

_ROOM = 1 << 16


class Reservation:
    """The right to write a result, and room for it, both taken before the work.

    The right, because two containers of one step on the same run folder would overwrite each other:
    the second is refused, whoever started it. The room, because a disk that fills up later must not
    keep a finished step from saying so.

    Raises:
        Busy: another container runs this step in this run folder.
        Refused: the result's place is taken.
        OSError: the run folder cannot be written.
    """

    def __init__(self, folder: Path, task_id: str) -> None:
        self._path = result.path_of(folder, task_id)
        self._lock = _Lock(folder / f".{task_id}.lock", task_id)
        # What an earlier attempt left is not this attempt's proof.
        try:
            self._path.unlink(missing_ok=True)
        except IsADirectoryError:
            self._lock.release()
            raise Refused(
                f"{self._path.name} is a folder where the result is to be. Remove it, then run this again."
            ) from None
        self._descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{self._path.name[:100]}.", suffix=".tmp")
        self._temporary = Path(name)
        try:
            with naming(self._path):
                os.posix_fallocate(self._descriptor, 0, _ROOM)
        except BaseException:
            self.drop()
            raise

    def fill(self, outcome: StepResult) -> None:
        """Write ``outcome`` and give it its name.

        Raises:
            Refused: it is larger than a result may be.
            OSError: the run folder cannot be written.
        """
        content = result.encode(outcome)
        if len(content) > untrusted.RESULT_LIMIT:
            raise Refused(
                f"the result would have {len(content)} bytes, and {untrusted.RESULT_LIMIT} are read at most."
                " Give columns shorter names, or fewer of them."
            )
        with naming(self._path), os.fdopen(os.dup(self._descriptor), "wb") as file:
            file.write(content)
            file.flush()
            file.truncate()
            os.fchmod(file.fileno(), SHARED_MODE)
            os.fsync(file.fileno())
        self._temporary.replace(self._path)
        sync_folder(self._path.parent)
        os.close(self._descriptor)
        self._lock.release()

    def drop(self) -> None:
        """Give the room back, unwritten."""
        os.close(self._descriptor)
        self._temporary.unlink(missing_ok=True)
        self._lock.release()


class _Lock:
    """A lock file; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path, task_id: str) -> None:
        self._path = path
        while True:
            self._descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, SHARED_MODE
            )
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists() and path.stat().st_ino == os.fstat(self._descriptor).st_ino:
                    return
            except BlockingIOError:
                os.close(self._descriptor)
                raise Busy(
                    f"another container runs {task_id} in this run folder."
                    " Wait for its end, or stop it, then run this again."
                ) from None
            os.close(self._descriptor)  # its holder removed the file between open and lock

    def release(self) -> None:
        """Remove the file while the lock is held, then let go."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
