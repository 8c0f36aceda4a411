"""The result file: a step's outcome and its proof of completion, written last.

It has a version (:mod:`bulkhead.protocol`), because an image may be older than the one that reads its result. Of
every version a reader can tell the version itself, the container, and the image that wrote it; a result of another
version is refused, with a sentence that names the image to rebuild. A key that a reader does not know is passed over.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import clock, protocol
from bulkhead.errors import Refused
from bulkhead.files import SHARED_MODE, naming, sync_folder, write_whole
from bulkhead.identity import Identity
from bulkhead.registry.records import author

if TYPE_CHECKING:
    from bulkhead.registry.records import Success

_UNMARKED = 1
"""The version of a file that names none: all were so before there was a second."""
_ROOM = 1 << 16


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a step left in the run folder; ``path`` is relative to that folder."""

    path: str
    sha256: str
    rows: int


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What ``/shared/<task_id>.json`` holds once the step has succeeded."""

    protocol: int = _UNMARKED
    """Of a version that is not :mod:`bulkhead.protocol`'s only this, the container and the identity's image count."""
    identity: Identity
    environment: str
    container: str
    """Short id of the container that wrote this: the proof that it is of this very attempt."""
    started: str
    finished: str
    outputs: dict[str, Output] = {}
    facts: dict[str, Any] = {}
    """What the next step, or a person, needs to know; small, and what XCom shows."""

    def is_by(self, container: str) -> bool:
        """Whether the container with the full id ``container`` wrote this."""
        return bool(self.container) and container.startswith(self.container)

    @property
    def is_readable(self) -> bool:
        """Whether this is of the version that is read here."""
        return self.protocol == protocol.PROTOCOL


class _AnyVersion(msgspec.Struct, frozen=True):
    """What every version of the file has."""

    protocol: int = _UNMARKED
    container: str = ""
    identity: dict[str, Any] = {}


def path_of(folder: Path, task_id: str) -> Path:
    """Where the result of ``task_id`` stands in the run folder."""
    return folder / f"{task_id}.json"


def read(folder: Path, task_id: str) -> StepResult | None:
    """The result of ``task_id``, or None where there is none that can be read."""
    try:
        content = path_of(folder, task_id).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=StepResult)
    except msgspec.DecodeError:
        return _of_another_version(content)


def _of_another_version(content: bytes) -> StepResult | None:
    """What can be told of a file that is not laid out as this version is; None: it is no other version either."""
    try:
        found = msgspec.json.decode(content, type=_AnyVersion)
    except msgspec.DecodeError:
        return None
    if found.protocol == protocol.PROTOCOL:
        return None
    image = found.identity.get("image")
    return StepResult(
        protocol=found.protocol,
        identity=Identity(image=image if isinstance(image, str) else None),
        environment="",
        container=found.container,
        started="",
        finished="",
    )


def rebuild(image: str | None) -> str:
    """The command that builds ``image`` anew, as ``BULKHEAD_IMAGE`` names it; None: nobody said which, so all."""
    name = (image or "").partition("@")[0].rpartition("/")[2].partition(":")[0]
    return f"'just build-images {name}'" if name else "'just build-images'"


REBUILD_AIRFLOW = "'just build-images airflow' and 'just up'"
"""The commands that bring the one who reads every step's result up to date."""


def write(folder: Path, result: StepResult) -> None:
    """Write ``result`` for a step that could not do so itself any more.

    Raises:
        OSError: the run folder cannot be written.
    """
    write_whole(path_of(folder, str(result.identity.task_id)), encode(result))


def from_record(record: Success, environment: str, container: str) -> StepResult:
    """The result of a step that died between its record in the journal and its file: the journal is the truth.

    Args:
        record: what the step left in the journal.
        environment: the step's.
        container: the full id of its container.
    """
    facts = set(record.__struct_fields__) - set(Identity.__struct_fields__) - {"predictions"}
    now = clock.in_record(clock.now())
    return StepResult(
        protocol=protocol.PROTOCOL,
        identity=Identity(**{key: getattr(author(record), key) for key in Identity.__struct_fields__}),
        environment=environment,
        container=container[:12],
        started=now,
        finished=now,
        facts={key: msgspec.to_builtins(getattr(record, key)) for key in sorted(facts)},
    )


def encode(result: StepResult) -> bytes:
    """``result`` as the file has it, for people too."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


class Reservation:
    """The right to write a result, and room for it, both taken before the work.

    The right, because two containers of one step on the same run folder would overwrite each other:
    the second is refused, whoever started it. The room, because a disk that fills up later must not
    keep a finished step from saying so.

    Raises:
        Refused: another container runs this step in this run folder.
        OSError: the run folder cannot be written.
    """

    def __init__(self, folder: Path, task_id: str) -> None:
        self._path = path_of(folder, task_id)
        self._lock = _Lock(folder / f".{task_id}.lock", task_id)
        # What an earlier attempt left is not this attempt's proof.
        self._path.unlink(missing_ok=True)
        self._descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{self._path.name[:100]}.", suffix=".tmp")
        self._temporary = Path(name)
        try:
            with naming(self._path):
                os.posix_fallocate(self._descriptor, 0, _ROOM)
        except BaseException:
            self.drop()
            raise

    def fill(self, result: StepResult) -> None:
        """Write ``result`` and give it its name."""
        with naming(self._path), os.fdopen(self._descriptor, "wb") as file:
            file.write(encode(result))
            file.flush()
            file.truncate()
            os.fchmod(file.fileno(), SHARED_MODE)
            os.fsync(file.fileno())
        self._temporary.replace(self._path)
        sync_folder(self._path.parent)
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
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, SHARED_MODE)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists() and path.stat().st_ino == os.fstat(self._descriptor).st_ino:
                    return
            except BlockingIOError:
                os.close(self._descriptor)
                raise Refused(
                    f"another container runs {task_id} in this run folder."
                    " Wait for its end, or stop it, then run this again."
                ) from None
            os.close(self._descriptor)  # its holder removed the file between open and lock

    def release(self) -> None:
        """Remove the file while the lock is held, then let go."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
