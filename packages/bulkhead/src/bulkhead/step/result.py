"""The result file: a step's outcome and its proof of completion, written last."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import clock
from bulkhead.errors import Refused
from bulkhead.files import SHARED_MODE, naming, sha256, sync_folder, write_whole
from bulkhead.identity import Identity
from bulkhead.registry.records import author

if TYPE_CHECKING:
    from bulkhead.registry.records import Success

_ROOM = 1 << 16


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a step left in the run folder; ``path`` is relative to that folder."""

    path: str
    sha256: str
    rows: int


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What ``/shared/<task_id>.json`` holds once the step has succeeded."""

    identity: Identity
    environment: str
    container: str
    """Short id of the container that wrote this: the proof that it is of this very attempt."""
    started: str
    finished: str
    outputs: dict[str, Output] = {}
    facts: dict[str, Any] = {}
    """What the next step, or a person, needs to know; small, and what XCom shows."""


def path_of(folder: Path, task_id: str) -> Path:
    """Where the result of ``task_id`` stands in the run folder."""
    return folder / f"{task_id}.json"


def read(folder: Path, task_id: str) -> StepResult | None:
    """The result of ``task_id``, or None where there is none that can be read."""
    try:
        return msgspec.json.decode(path_of(folder, task_id).read_bytes(), type=StepResult)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write(folder: Path, result: StepResult) -> None:
    """Write ``result`` for a step that could not do so itself any more.

    Raises:
        OSError: the run folder cannot be written.
    """
    write_whole(path_of(folder, str(result.identity.task_id)), encode(result))


def from_record(record: Success, environment: str, container: str) -> StepResult:
    """The result of a step that died between its record in the log and its file: the log is the truth.

    Args:
        record: what the step left in the log.
        environment: the step's.
        container: the full id of its container.
    """
    facts = set(record.__struct_fields__) - set(Identity.__struct_fields__) - {"predictions"}
    now = clock.in_record(clock.now())
    return StepResult(
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


def checked_output(folder: Path, result: StepResult, name: str) -> bytes:
    """The bytes of the output ``name`` of ``result``, proven to be those it wrote.

    Raises:
        Refused: the file is missing or is another one by now.
    """
    step = result.identity.task_id
    output = result.outputs.get(name)
    if output is None:
        raise Refused(f"{step}.json names no output {name!r}, so {step} did not write it. Run {step} again.")
    try:
        content = (folder / output.path).read_bytes()
    except FileNotFoundError:
        raise Refused(f"{output.path} is missing from the run folder. Run {step} again.") from None
    if sha256(content) != output.sha256:
        raise Refused(f"{output.path} has changed since {step} wrote it. Run {step} again.")
    return content


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
