"""A model file's way into the registry.

Wherever it is cut off, it leaves either nothing a reader looks at or a whole model with its record: the file is copied
and synced under a temporary name, linked to its final name (a link never overwrites), and only then is the record
appended. A file without a record was never published, and no reader takes it.
"""

from __future__ import annotations

import io
import os
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import clock, untrusted
from bulkhead.errors import NotVerified
from bulkhead.files import copied_beside, sync_folder
from bulkhead.registry import believable, numbering
from bulkhead.registry.records import ModelRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from bulkhead.files import Copy
    from bulkhead.registry.lineage import Lineage
    from bulkhead.registry.store import Registry

_MODE = 0o444  # a published model never changes
_TEMPORARY = ".model_"
_LEFT_SECONDS = 3600.0


@contextmanager
def copied(folder: Path, root: Path, path: str, *, model_hash: str, sha256: str, size_bytes: int) -> Iterator[Copy]:
    """A copy of the model file ``path`` below ``root`` under a temporary name in the registry's ``folder``.

    It is hashed as it is copied. Needs no lock, however large it is; it goes when the block ends.

    Raises:
        Untrusted: it is no plain file below ``root``, or one with holes.
        NotVerified: it is not the one with this ``sha256`` and ``size_bytes``, or cannot be read.
        OSError: the registry cannot be written.
    """
    try:
        file = untrusted.open_file(root, path)
    except FileNotFoundError:
        raise NotVerified(f"{path} is missing from the run folder. Run the step again.") from None
    except OSError as error:
        if untrusted.is_steps_fault(error):
            raise NotVerified(f"{path} cannot be read ({error.strerror}). Nothing is published.") from None
        raise
    with file:
        if (found := untrusted.check_whole(file.fileno(), path)) != size_bytes:
            raise NotVerified(
                f"the model file has {found} bytes, and the step says it wrote {size_bytes}."
                " Nothing is published. Run the step again."
            )
        with _beside(folder, model_hash, file, size_bytes) as copy:
            _check_copy(copy, sha256)
            yield copy


def remove_leftovers(folder: Path) -> list[str]:
    """Remove the copies that a killed process has left in the registry's ``folder`` an hour ago or longer."""
    removed = []
    for path in folder.glob(f"{_TEMPORARY}*.tmp"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _LEFT_SECONDS:
                path.unlink()
                removed.append(path.name)
    return removed


def _check_copy(copy: Copy, sha256: str) -> None:
    if copy.sha256 != sha256:
        raise NotVerified(
            f"the model file's sha256 is {copy.sha256}, and the step says it wrote {sha256}."
            " Nothing is published. Run the step again."
        )


@contextmanager
def dumped(folder: Path, model: Any) -> Iterator[tuple[Copy, str]]:
    """As :func:`copied`, of ``model`` itself (anything joblib dumps); and its hash."""
    import joblib

    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    model_hash = joblib.hash(model)
    with _beside(folder, model_hash, buffer, buffer.getbuffer().nbytes) as copy:
        yield copy, model_hash


def publish(  # noqa: PLR0913  # what a record has
    registry: Registry,
    copy: Copy,
    *,
    model_hash: str,
    environment: str,
    lineage: Lineage,
    gate_sha256: str | None = None,
    serve: bool | None = None,
    first_try: str | None = None,
) -> ModelRecord:
    """Give ``copy`` its name in the registry, and append its record.

    Returns:
        The record, once it and the file are on disk.

    Raises:
        OSError: the registry cannot be written; no model and no record were added.
    """
    # Locked before the name exists: a journal that cannot be written must not leave a model behind.
    with registry.locked("training") as trainings:
        version = numbering.next_number(registry.training_journal, lineage.name)
        moment = clock.now()
        while True:
            final = registry.folder / f"model_{clock.in_filename(moment)}_{model_hash}.joblib"
            try:
                os.link(copy.path, final)
                break
            except FileExistsError:  # a clock set back, or one that ticks slowly
                moment += timedelta(microseconds=1)
        try:
            sync_folder(registry.folder)
            record = ModelRecord(
                model_hash=model_hash,
                model_filename=final.name,
                training_timestamp=clock.in_record(moment),
                environment=environment,
                sha256=copy.sha256,
                size_bytes=copy.size,
                gate_sha256=gate_sha256,
                serve=serve,
                first_try=first_try,
                version=version,
                **msgspec.structs.asdict(lineage),
            )
            believable.size(record)
            trainings.append(record)
        except BaseException:
            final.unlink()
            raise
    return record


def _beside(folder: Path, model_hash: str, source: BinaryIO, size_bytes: int) -> AbstractContextManager[Copy]:
    return copied_beside(folder / f"model_{model_hash}.joblib", source, _MODE, size_bytes)
