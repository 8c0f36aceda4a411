"""``log.txt`` from its beginning: each record against everything that was recorded before it.

All of it stands in one journal, so what came first is certain, whatever the clocks said.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock
from bulkhead.errors import short
from bulkhead.files import sha256
from bulkhead.maintenance.run_folders import RUNS
from bulkhead.maintenance.verify import journal_lines
from bulkhead.maintenance.verify.journal_lines import JournalLines, end_of, nobody
from bulkhead.model_name import DEFAULT_NAME, is_number
from bulkhead.registry.notes import Note, Tag
from bulkhead.registry.record_lines import encode
from bulkhead.registry.records import (
    Acceptance,
    Anchor,
    ModelRecord,
    Promotion,
    Quarantine,
    Rejection,
    Removal,
    Revocation,
    Rollback,
    TrainingFailure,
    author,
)
from bulkhead.registry.serving import RegistryState
from bulkhead.registry.store import MODEL_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bulkhead.identity import AttemptKey
    from bulkhead.maintenance.verify.chain import ChainCheck
    from bulkhead.maintenance.verify.findings import Finding
    from bulkhead.maintenance.verify.journal_lines import Progress
    from bulkhead.registry.records import Record, Success, Unreadable
    from bulkhead.registry.store import Registry


_OUR_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
_ASK = "Find out who wrote it and which is true; a person must decide what to serve."


class QuarantinedBytes(msgspec.Struct, frozen=True):
    """Where quarantined bytes were put."""

    path: str
    moved_to: str
    sha256: str


class RegistryHistory:
    """What ``log.txt`` says, as far as it was read."""

    def __init__(self, registry: Registry, progress: Progress = nobody, chain: ChainCheck | None = None) -> None:
        self.lines = JournalLines(registry.training_journal, progress, chain)
        self.state = RegistryState()
        """With records that hold no more than verify needs."""
        self.removed_runs: dict[str, str] = {}
        """When each run folder was last recorded as removed."""
        self.moved: list[QuarantinedBytes] = []
        self.places: dict[str, int] = {}
        """By model file, the line of its publication."""
        self._said: dict[str, str] = {}
        """By model file, a hash of everything that its publication says, which a promotion repeats."""
        self._last_time = ""
        self._attempts: set[AttemptKey] = set()
        self._patience: float | None = None
        self.late: list[Finding] = []
        """How lines contradict what came before that were read on the way."""
        self._numbered: dict[tuple[str, int], str] = {}
        """By name and number, the file of the model version that had it first."""
        self._outcomes: dict[str, int] = {}
        """By the first try of a logical task, the line of its outcome."""
        self.newest_gate: tuple[str, int] | None = None
        """Hash of the gate that judged the newest model, and its line; None: it was judged by none."""

    def read(self, end: int) -> Iterator[Finding]:
        """Take in the lines before byte ``end``; yields how they contradict what came before."""
        for line in self.lines.until(end):
            yield from self.lines.told()
            record = self.lines.decoded(line)
            yield from self._dated(record)
            match record:
                case ModelRecord(promotion=None):
                    yield from self._published(record)
                    record = _slim(record)
                case ModelRecord():
                    yield from self._promoted(record)
                    record = _slim(record)
                case Rollback():
                    yield from self._rolled_back(record)
                    continue
                case Revocation():
                    yield from self._revoked(record)
                case Removal():
                    yield from self._removed(record)
                    record = msgspec.structs.replace(record, paths=[p for p in record.paths if p[:7] == "models/"])
                case Quarantine():
                    self.lines.is_quarantined(record)
                    self.moved.append(QuarantinedBytes(record.path, record.moved_to, record.sha256))
                case Note() | Tag():
                    yield from self._annotated(record)
                case TrainingFailure() | Rejection() | Anchor() | Acceptance():
                    pass
                case _:
                    self.lines.is_bad()
            self.state.feed(record)

    def catch_up(self) -> Iterator[Finding]:
        """Take in what was appended since: asked before something is said to be missing."""
        end = end_of(self.lines.path)
        if end > self.lines.offset:
            yield from self.read(end)

    def settled(self, since: float, is_so: Callable[[], bool]) -> bool:
        """Whether ``is_so``, as far as records and files go by now.

        A model's file comes before its record, and a removal's record before the file goes: what began at ``since``
        is waited for, where that is not long ago; all of it together for no longer than a moment.
        """
        if self._patience is None:
            self._patience = time.monotonic() + journal_lines.PATIENCE_SECONDS
        while True:
            self.late += self.catch_up()
            if is_so():
                return True
            if time.time() > since + journal_lines.IN_THE_MAKING or time.monotonic() > self._patience:
                return False
            time.sleep(0.05)

    def served_in(self) -> dict[str, list[str]]:
        """By model file, the environments that serve it."""
        served: dict[str, list[str]] = {}
        for environment, name in self.state.places:
            record = self.state.served(environment, name)
            if record is not None:
                served.setdefault(record.model_filename, []).append(environment)
        return served

    def _published(self, record: ModelRecord) -> Iterator[Finding]:
        name = record.model_filename
        known = self.state.models.get(name)
        if known is not None:
            same = (known.record.sha256, known.record.model_hash) == (record.sha256, record.model_hash)
            how = "with the same" if same else "with another"
            yield self.lines.at(
                "published_twice",
                f"{self._where}: {short(name, 100)} is published again, {how} hash; it was published in line"
                f" {self.places[name]}, and a file is published once. {_ASK}",
            )
        else:
            yield from self._misnumbered(record)
        self.places.setdefault(name, self.lines.number)
        self._said.setdefault(name, _said(record))
        yield from self._attempted(record)
        self.newest_gate = None if record.gate_sha256 is None else (record.gate_sha256, self.lines.number)
        if record.sha256 is not None:
            yield from self._misnamed(record)

    def _dated(self, record: Record | Unreadable) -> Iterator[Finding]:
        """Each of these takes its time under the registry's lock, so only a clock or a hand turns them round.

        An anchor does not: it is made with the record behind it, which has its time already.
        """
        match record:
            case ModelRecord(promotion=Promotion(promotion_time=moment)):
                pass
            case (
                ModelRecord(training_timestamp=moment)
                | Rollback(rollback_time=moment)
                | Revocation(revocation_time=moment)
                | Removal(removal_time=moment)
                | Quarantine(quarantine_time=moment)
                | Rejection(rejection_time=moment)
                | Note(note_time=moment)
                | Tag(tag_time=moment)
            ):
                pass
            case _:
                return
        if not _OUR_TIME.fullmatch(moment):  # legacy records have no zone
            return
        if moment < self._last_time:
            yield self.lines.at(
                "out_of_order",
                f"{self._where}: the record is of {moment}, and one of {self._last_time} stands before it: the clock"
                " was set back, or lines were moved. What is served goes by the lines.",
            )
        self._last_time = moment

    def _misnumbered(self, record: ModelRecord) -> Iterator[Finding]:
        if record.version is not None and not is_number(record.version):
            yield self.lines.at(
                "contradictory_record",
                f"{self._where}: the version of {short(record.model_filename, 100)} is {record.version}, and no model"
                f" has such a number. It goes by its place among the versions of {short(record.name)}. {_ASK}",
            )
        number = self.state.next_number(record)
        first = self._numbered.setdefault((record.name, number), record.model_filename)
        if first != record.model_filename:
            yield self.lines.at(
                "version_twice",
                f"{self._where}: {short(record.model_filename, 100)} is the version {number} of {short(record.name)},"
                f" and so is {short(first, 100)} in line {self.places[first]}: the short name means neither. Name each"
                f" by its file. {_ASK}",
            )

    def _misnamed(self, record: ModelRecord) -> Iterator[Finding]:
        name = MODEL_NAME.fullmatch(record.model_filename)
        try:
            moment = clock.in_filename(clock.parse(record.training_timestamp))
        except ValueError:
            moment = None
        if name is None or name.groups() != (moment, record.model_hash):
            yield self.lines.at(
                "contradictory_record",
                f"{self._where}: the name {short(record.model_filename, 100)} does not say the record's time"
                f" {short(record.training_timestamp)} and hash {short(record.model_hash)}. {_ASK}",
            )

    def _attempted(self, record: Success) -> Iterator[Finding]:
        who = author(record)
        first_try = first_try_of(record)
        if first_try is not None:
            if first_try in self._outcomes:
                yield self.lines.at("two_outcomes", outcomes(self._where, record, self._outcomes[first_try]))
            self._outcomes.setdefault(first_try, self.lines.number)
        if who.dag_id is None:  # by hand: every one is an attempt of its own
            return
        attempt = who.attempt_key
        if attempt in self._attempts:
            yield self.lines.at("attempt_twice", twice(self._where, attempt))
        self._attempts.add(attempt)

    def _promoted(self, record: ModelRecord) -> Iterator[Finding]:
        model, promotion = self.state.models.get(record.model_filename), record.promotion
        if promotion is None:
            return
        served = self.state.served(record.environment, record.name)
        now = served.model_filename if served else None
        wrong = None
        if model is None:
            wrong = "which was never published before"
        elif promotion.origin not in model.environments:
            wrong = f"from {short(promotion.origin)}, where it never was"
        elif model.name != record.name:
            wrong = f"as a version of {short(record.name)}, and it was published as one of {short(model.name)}"
        elif (model.record.sha256, model.record.model_hash) != (record.sha256, record.model_hash):
            wrong = "with another hash than it was published with"
        elif self._said.get(record.model_filename) != _said(record):
            wrong = "which says something else of the model than its publication did"
        elif model.out_of_service is not None:
            wrong = f"though {model.out_of_service}"
        elif promotion.replaces != now:
            wrong = f"in place of {short(str(promotion.replaces), 100)}, and {short(str(now), 100)} was served then"
        if wrong is not None:
            who = f"a promotion of {short(record.model_filename, 100)} to {short(record.environment)}"
            yield self.lines.at("unfounded_promotion", f"{self._where}: {who}, {wrong}. {_ASK}")
        self.places.setdefault(record.model_filename, self.lines.number)
        yield from self._attempted(record)

    def _rolled_back(self, record: Rollback) -> Iterator[Finding]:
        model = self.state.models.get(record.model_filename)
        # Each model has an order of its own: what is withdrawn must be a version of what is served again.
        called = model.name if model else DEFAULT_NAME
        serving_order = {one.model_filename for one in self.state.serving_order(record.environment, called)}
        named = [record.model_filename, *record.withdrawn]
        other = next((name for name in named if (one := self.state.models.get(name)) and one.name != called), None)
        never = next((name for name in named if name not in serving_order), None)
        self.state.feed(record)
        served = self.state.served(record.environment, called)
        wrong = None
        if other is not None:
            wrong = f"{short(other, 100)} is a version of another model than {short(called)}"
        elif never is not None:
            wrong = f"{short(never, 100)} was not there to be served or withdrawn"
        elif served is None or served.model_filename != record.model_filename:
            wrong = "another model lies on top after it"
        if wrong is not None:
            what = f"a rollback of {short(record.environment)} to {short(record.model_filename, 100)}"
            yield self.lines.at("unfounded_rollback", f"{self._where}: {what}, but {wrong}. {_ASK}")
        yield from self._attempted(record)

    def _revoked(self, record: Revocation) -> Iterator[Finding]:
        model = self.state.models.get(record.model_filename)
        what = f"{self._where}: a revocation of {short(record.model_filename, 100)}"
        if model is None:
            yield self.lines.at("unfounded_revocation", f"{what}, which was never published before. {_ASK}")
        elif model.revocation is not None:
            yield self.lines.at("unfounded_revocation", f"{what}, which was revoked before. {_ASK}")
        elif model.record.model_hash != record.model_hash:
            yield self.lines.at("unfounded_revocation", f"{what}, with another hash than was published. {_ASK}")
        yield from self._attempted(record)

    def _annotated(self, record: Note | Tag) -> Iterator[Finding]:
        if record.model_filename not in self.state.models:
            what = f"{self._where}: a {type(record).__name__.lower()} of {short(record.model_filename, 100)}"
            yield self.lines.at("unfounded_note", f"{what}, which was never published before. {_ASK}")

    def _removed(self, record: Removal) -> Iterator[Finding]:
        for path in record.paths:
            if path.startswith(RUNS):
                self.removed_runs[path] = record.removal_time
            elif path.removeprefix("models/") not in self.state.models:
                what = f"{self._where}: a removal of {short(path, 100)}, which was never published before"
                yield self.lines.at("unfounded_removal", f"{what}. {_ASK}")

    @property
    def _where(self) -> str:
        return f"{self.lines.shown}, line {self.lines.number}"


def twice(where: str, attempt: AttemptKey) -> str:
    """The sentence about a second success of one attempt."""
    dag, run, task, number, index = attempt
    mapped = "" if index in (None, -1) else f" (map index {index})"
    return (
        f"{where}: try {number} of {short(str(task))}{mapped} in the run {short(str(run))} of {short(str(dag))}"
        f" succeeds a second time; an attempt succeeds once. {_ASK}"
    )


def first_try_of(record: Success) -> str | None:
    """What tells the logical task of ``record`` from all others; None: it is not known."""
    made_by = record.promotion if isinstance(record, ModelRecord) and record.promotion else record
    return made_by.first_try


def outcomes(where: str, record: Success, line: int) -> str:
    """The sentence about a second outcome of one logical task, whose first stands in ``line``."""
    who = author(record)
    return (
        f"{where}: a second outcome of {short(str(who.task_id))} in the run {short(str(who.run_id))} of"
        f" {short(str(who.dag_id))}, whose first is in line {line}; a task has one outcome. {_ASK}"
    )


def _said(record: ModelRecord) -> str:
    return sha256(encode(msgspec.structs.replace(record, environment="", promotion=None)))


def _slim(record: ModelRecord) -> ModelRecord:
    # Ten thousand models with a thousand coefficients each would fill a gigabyte.
    return ModelRecord(
        model_name=record.model_name,
        serve=record.serve,
        version=record.version,
        model_hash=record.model_hash,
        model_filename=record.model_filename,
        training_timestamp=record.training_timestamp,
        environment=record.environment,
        sha256=record.sha256,
        size_bytes=record.size_bytes,
        promotion=record.promotion,
    )
