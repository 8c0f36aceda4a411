"""The registry: model files and two journals in one folder. The journals are the truth."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from bulkhead import environments, untrusted
from bulkhead.errors import NoModel, NotVerified, OutOfService, Refused, one_line
from bulkhead.files import sha256
from bulkhead.model_name import DEFAULT_NAME, named
from bulkhead.paths import JOURNALS
from bulkhead.registry import journal, publishing, serving
from bulkhead.registry.records import Failure, InferenceRecord, ModelRecord, Quarantine, Removal, Revocation, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bulkhead.paths import JournalName
    from bulkhead.registry.appender import Appender
    from bulkhead.registry.chain import KeyRing
    from bulkhead.registry.lineage import Lineage
    from bulkhead.registry.records import Record

TRAININGS = JOURNALS["training"]
INFERENCES = JOURNALS["inference"]

_SHOWN = f"models/{TRAININGS}"  # messages end up in records, which name paths from the project

MODEL_NAME = re.compile(r"model_(\d{8}T\d{12}Z)_([0-9a-f]+)\.joblib")
"""Time in UTC, and hash, of a published model's file."""


class Registry:
    """The registry in ``folder``.

    Args:
        folder: ``models/``.
        ring: what signs the records that are appended; None: nothing does, as by hand.
    """

    def __init__(self, folder: Path, ring: KeyRing | None = None) -> None:
        self.folder = folder
        self.ring = ring
        self.training_journal = folder / TRAININGS
        self.inference_journal = folder / INFERENCES

    def journal_of(self, name: JournalName) -> Path:
        """The journal called ``name``."""
        return self.folder / JOURNALS[name]

    def locked(self, name: JournalName) -> AbstractContextManager[Appender]:
        """The journal called ``name`` with the registry's lock held; what is appended is signed by this registry's key.

        Raises:
            Refused: another process held the lock for too long.
            OSError: the journal cannot be opened for writing.
        """
        return journal.locked(self.journal_of(name), self.ring)

    def publish(self, model: Any, environment: str, lineage: Lineage) -> ModelRecord:
        """Store ``model`` (anything joblib dumps) and append its record.

        Returns:
            The record, once it and the file are on disk.

        Raises:
            OSError: the registry cannot be written; no model and no record were added.
        """
        with publishing.dumped(self.folder, model) as (copy, model_hash):
            return publishing.publish(self, copy, model_hash=model_hash, environment=environment, lineage=lineage)

    def latest(self, environment: str, name: str = DEFAULT_NAME) -> ModelRecord:
        """The version of ``name`` that ``environment`` serves: the newest that was not rolled back or revoked.

        Reads the journal from its end: as fast in a long journal as in a short one.

        Raises:
            NoModel: there is none.
            OutOfService: its file was removed or quarantined; the sentence says by whom and why.
        """
        gone: list[Record] = []

        def looked_at() -> Iterator[Record]:
            for entry in self.records_newest_first():
                if isinstance(entry, Removal | Quarantine):
                    gone.append(entry)
                yield entry

        record = serving.served(looked_at(), environment, name)
        if record is not None:
            for entry in gone:
                _refuse_out_of_service(entry, record.model_filename)
            return record
        training = environments.dag_id(environment, "train_model", name)
        versions = (r for r in self.records_newest_first() if isinstance(r, ModelRecord))
        if any((r.environment, r.name) == (environment, name) for r in versions):
            raise NoModel(
                f"{_SHOWN}: every {named('model', name)} of the environment {environment} was revoked, rolled back or"
                f" published without being served. Run {training}, or promote a model."
            )
        raise NoModel(
            f"{_SHOWN}: no {named('model', name)} of the environment {environment} yet. Run {training} first."
        )

    def served(self, environment: str, name: str = DEFAULT_NAME) -> ModelRecord | None:
        """The version of ``name`` that ``environment`` serves, whatever has become of its file; None: it has none."""
        return serving.served(self.records_newest_first(), environment, name)

    def find(self, filename: str, environment: str | None = None) -> ModelRecord:
        """The record of the model file called ``filename``, in ``environment`` where one is named.

        Raises:
            OutOfService: it was revoked, removed or quarantined; the sentence says by whom and why.
            NoModel: the journal has none; or only in another environment.
        """
        elsewhere: str | None = None
        for record in self.records_newest_first():
            _refuse_out_of_service(record, filename)
            if isinstance(record, ModelRecord) and record.model_filename == filename:
                if environment in (None, record.environment):
                    return record
                elsewhere = record.environment
        if elsewhere is not None:
            otherwise = f"ask in {elsewhere}"
            if environment in environments.PROMOTED_TO and elsewhere == environments.origin_of(environment):
                otherwise = f"promote this one ({environments.promotion_command('MODEL', environment)})"
            raise NoModel(
                f"{filename} is a {elsewhere} model, and {environment} was asked for; they never mix."
                f" Name a {environment} model, or {otherwise}."
            )
        raise NoModel(f"{_SHOWN}: no record of a model file {filename!r}. 'just models' lists those that there are.")

    def load(self, record: ModelRecord) -> Any:
        """The model of ``record``: its file's bytes are hashed, and those same bytes unpickled.

        Raises:
            NotVerified: the record has no hash, the file is missing, or it is not the one recorded.
            Untrusted: it is no plain file.
        """
        import joblib

        name = self._name_of(record)
        try:
            with untrusted.open_file(self.folder, name, called=f"models/{name}") as file:
                content = file.read()
        except FileNotFoundError:
            raise _not_verified(record, None) from None
        found = sha256(content)
        if found != record.sha256:
            raise _not_verified(record, found)
        return joblib.load(io.BytesIO(content))

    def check_file(self, record: ModelRecord) -> None:
        """Refuse what :meth:`load` would, without unpickling: the file is read in pieces, and only hashed.

        Raises:
            NotVerified: as :meth:`load`.
            Untrusted: as :meth:`load`.
        """
        name = self._name_of(record)
        try:
            found: str | None = untrusted.hash_of(self.folder, name, called=f"models/{name}")
        except FileNotFoundError:
            found = None
        if found != record.sha256:
            raise _not_verified(record, found)

    def _name_of(self, record: ModelRecord) -> str:
        if record.sha256 is None:
            raise NotVerified(
                f"{record.model_filename}: its record in {_SHOWN} has no sha256 (a legacy record), so"
                " nobody can tell whether it is the file that was trained. Train a new model, and use that."
            )
        if not MODEL_NAME.fullmatch(record.model_filename):
            shown = one_line(record.model_filename, 80)
            raise NotVerified(f"{shown!r} in {_SHOWN} is not the name of a published model. Train a new model.")
        return record.model_filename

    def record_inference(self, record: InferenceRecord) -> None:
        """Append ``record`` to the inference journal.

        Raises:
            OSError: the journal cannot be written; it is as it was.
        """
        journal.append(self.inference_journal, record, self.ring)

    def record_failure(self, name: JournalName, failure: Failure) -> None:
        """Append ``failure`` to the journal called ``name``.

        Raises:
            OSError: the journal cannot be written; it is as it was.
        """
        journal.append(self.journal_of(name), failure, self.ring)

    def journal_size(self, name: JournalName) -> int:
        """How many bytes the journal called ``name`` has: a point in it that no clock can move."""
        try:
            return self.journal_of(name).stat().st_size
        except FileNotFoundError:
            return 0

    def check_writable(self, name: JournalName) -> None:
        """Refuse now what would fail at the end: a journal that cannot be appended to.

        Raises:
            Refused: the registry is not there.
            OSError: the journal cannot be opened for writing.
        """
        if not self.folder.is_dir():
            raise Refused(
                f"no registry at {self.folder}: nothing is mounted there."
                f' Add -v "$PWD/models:{self.folder}" to docker run.'
            )
        journal.make(self.journal_of(name))

    def records_newest_first(self) -> Iterator[Record]:
        """Every record of ``log.txt``, newest first; unreadable lines are reported and passed over."""
        for record in journal.read_newest_first(self.training_journal):
            if isinstance(record, Unreadable):
                journal.report(record, self.training_journal)
            else:
                yield record


def _not_verified(record: ModelRecord, found: str | None) -> NotVerified:
    path = f"models/{record.model_filename}"
    if found is None:
        return NotVerified(f"{path} is recorded in {_SHOWN} and missing. Restore it from a backup, or train a new one.")
    return NotVerified(
        f"{path} is not the file that was published: its sha256 is {found}, recorded is {record.sha256}."
        " Restore it from a backup, or train a new model."
    )


def _refuse_out_of_service(record: Record, filename: str) -> None:
    match record:
        case Revocation(model_filename=name) if name == filename:
            reason = serving.revoked(record)
        case Removal(paths=paths) if f"models/{filename}" in paths:
            reason = serving.removed(record)
        case Quarantine(path=path, offset=None) if path == f"models/{filename}":
            reason = serving.quarantined(record)
        case _:
            return
    raise OutOfService(f"{filename}: {reason}. Take another model: 'just models' lists them.")
