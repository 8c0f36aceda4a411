"""``log_inference.txt`` against what the models' records say, a line at a time.

No more of a record is kept than its predictions path, and that as four bits of a table of fixed size
(:class:`BloomFilter`): a million records need no more memory than a thousand. The two journals have no order
in common but their times, and clocks are set back; what only times tell is a note.
"""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock, untrusted
from bulkhead.errors import short
from bulkhead.maintenance.run_folders import RUNS
from bulkhead.maintenance.verify import predictions_file
from bulkhead.maintenance.verify.findings import finding, unreadable
from bulkhead.maintenance.verify.journal_lines import JournalLines, end_of
from bulkhead.maintenance.verify.training_journal import outcomes
from bulkhead.registry.record_lines import decode_slim
from bulkhead.registry.records import Acceptance, Anchor, InferenceFailure, InferenceRecord, Quarantine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bulkhead.maintenance.verify.chain import ChainCheck
    from bulkhead.maintenance.verify.findings import Finding
    from bulkhead.maintenance.verify.journal_lines import Progress
    from bulkhead.maintenance.verify.training_journal import RegistryHistory
    from bulkhead.registry.store import Registry


_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}


class ModelUses(msgspec.Struct):
    """What the training journal says of a model file, and how its inferences went."""

    name: str
    """Of which model it is a version."""
    environments: list[str]
    model_hash: str
    sha256: str | None
    file_is_lost: bool
    """Its file is gone, and no record says why."""
    out_of_service_since: str | None
    uses: int = 0
    late: int = 0
    """Uses dated after it was out of service."""
    first_line: int = 0
    first_late_line: int = 0


class BloomFilter:
    """The paths seen so far, in 16 MiB: it may take a new path for a seen one, never a seen one for new.

    (A Bloom filter of four bits. At a million paths one in a million new ones passes for a seen one.)
    """

    _BITS = 1 << 27

    def __init__(self) -> None:
        self._table = bytearray(self._BITS >> 3)

    def perhaps(self, path: str) -> bool:
        """Whether ``path`` may have been here before; now it has."""
        table, last = self._table, self._BITS - 1
        number = hash(path)
        bit, step = number & last, (number >> 27 & last) | 1
        seen = True
        for _ in range(4):
            place, mask = bit >> 3, 1 << (bit & 7)
            if not table[place] & mask:
                table[place] |= mask
                seen = False
            bit = (bit + step) & last
        return seen


def _itself(record: InferenceRecord) -> str | None:
    """What no two inferences have in common: a predictions file of their own, and when; None: it has no file."""
    return None if record.predictions_path is None else f"{record.predictions_path} of {record.inference_time}"


class InferenceCheck:
    """The check of one inference journal, up to byte ``end``."""

    def __init__(
        self,
        registry: Registry,
        shared: Path,
        end: int,
        history: RegistryHistory,
        progress: Progress,
        chain: ChainCheck | None = None,
    ) -> None:
        self.lines = JournalLines(registry.inference_journal, progress, chain)
        self._path = registry.inference_journal
        self._end = end
        self._history = history
        self._shared = shared
        self._runs = str(shared / "runs")
        self._suspects: set[str] = set()
        self.not_compared = 0
        """Inferences whose predictions stand in the record and in a file, which could not be compared."""

    def check(self, models: Mapping[str, ModelUses], *, predictions: bool) -> Iterator[Finding]:
        """Everything that is wrong with an inference; with ``predictions`` its file is read and hashed too."""
        seen = BloomFilter()
        for line in self.lines.until(self._end):
            yield from self.lines.told()
            record = decode_slim(line.rstrip(b"\n"), self.lines.offset)
            if isinstance(record, InferenceRecord):
                yield from self._check_record(record, models.get(record.model_used), hashed=predictions)
                for once in (_itself(record), record.first_try):
                    if once is not None and seen.perhaps(once):
                        self._suspects.add(once)
            elif isinstance(record, Quarantine):
                self.lines.is_quarantined(record)
            elif not isinstance(record, InferenceFailure | Anchor | Acceptance):
                self.lines.is_bad()
        if self._suspects:
            yield from self._inferred_twice()
        for name, model in models.items():
            yield from _summary(name, model)

    def _check_record(self, record: InferenceRecord, model: ModelUses | None, *, hashed: bool) -> Iterator[Finding]:
        if model is None:
            yield self._unknown(record)
        else:
            yield from self._check_link(record, model)
        if record.predictions_path is not None:
            yield from self._check_file(record, record.predictions_path, hashed=hashed)

    def _unknown(self, record: InferenceRecord) -> Finding:
        return self.lines.at(
            "unknown_model",
            f"{self._where}: the inference used {short(record.model_used, 100)}, and models/log.txt has no record of"
            " it: the model is gone. Restore models/log.txt from a backup.",
        )

    def _check_link(self, record: InferenceRecord, model: ModelUses) -> Iterator[Finding]:
        model.uses += 1
        model.first_line = model.first_line or self.lines.number
        if record.environment not in model.environments:
            yield self.lines.at(
                "other_environment",
                f"{self._where}: the inference ran in {short(record.environment)} with"
                f" {short(record.model_used, 100)}, which was only ever in {', '.join(map(short, model.environments))}."
                " Find out which record is true; a person must decide whether to use these predictions.",
            )
        if record.name != model.name:
            yield self.lines.at(
                "other_name",
                f"{self._where}: the inference was for the model {short(record.name)}, and used"
                f" {short(record.model_used, 100)}, a version of {short(model.name)}. Find out which record is true; a"
                " person must decide whether to use these predictions.",
            )
        if (record.model_hash not in (None, model.model_hash)) or (
            model.sha256 is not None and record.model_sha256 not in (None, model.sha256)
        ):
            yield self.lines.at(
                "other_model",
                f"{self._where}: the inference used a {short(record.model_used, 100)} with another hash than was"
                " published. Find out which model it was; a person must decide whether to use these predictions.",
            )
        since = model.out_of_service_since
        if since is not None and record.inference_time > since:
            model.late += 1
            model.first_late_line = model.first_late_line or self.lines.number

    def _check_file(self, record: InferenceRecord, path: str, *, hashed: bool) -> Iterator[Finding]:
        if not path.startswith(RUNS) or (".." in path and ".." in path.split("/")):
            yield self.lines.at(
                "foreign_path",
                f"{self._where}: the predictions are recorded at {short(path, 100)}, which is no file of a run."
                " It is not looked at. Find out who wrote the record.",
            )
            return
        try:
            found = self._hash_of(path) if hashed else None
            is_file = hashed or stat.S_ISREG(os.lstat(self._runs + path[len(RUNS) - 1 :]).st_mode)
        except ValueError:  # a NUL in the name
            found, is_file = None, False
        except untrusted.Untrusted as error:
            yield self.lines.at("unreadable_file", f"{self._where}: {error}")
            return
        except OSError as error:
            if error.errno not in _NO_SUCH_FILE:
                yield self.lines.at("unreadable_file", f"{self._where}: {unreadable(path, error)}")
                return
            found, is_file = None, False
        if not is_file:
            yield from self._missing(record, path)
        elif hashed and record.output_sha256 not in (None, found):
            yield self.lines.at(
                "altered_predictions",
                f"{self._where}: {short(path, 200)} is not the file that was written: sha256 {found}, recorded is"
                f" {record.output_sha256}. Restore it from a backup, or run the inference again.",
            )
        elif hashed and record.output_sha256 is not None:
            yield from self._compare(record, path)

    def _hash_of(self, path: str) -> str:
        return untrusted.hash_of(self._shared, path.removeprefix("shared/"), called=path)

    def _missing(self, record: InferenceRecord, path: str) -> Iterator[Finding]:
        yield from self._history.catch_up()
        removed = self._history.removed_runs.get(path.rpartition("/")[0])
        # A folder can be made again after its removal: by a cleared task, or by hand (debug).
        if removed is None or removed < record.inference_time:
            yield self.lines.at(
                "missing_predictions",
                f"{self._where}: {short(path, 200)} is missing, and no removal is recorded. Restore it from a"
                " backup, or run the inference again.",
            )

    def _compare(self, record: InferenceRecord, path: str) -> Iterator[Finding]:
        """The predictions in the record with those in the file, whose hash is the recorded one."""
        kept = predictions_file.in_record(record)
        if kept is None:
            return
        try:
            why = predictions_file.difference(self._shared, path, kept)
        except predictions_file.NotComparable:
            self.not_compared += 1
            return
        if why is not None:
            yield self.lines.at(
                "edited_predictions",
                f"{self._where}: the record's predictions are not those of {short(path, 200)}, which is the file that"
                f" was written: {why}. Either the step has said so, or the record was edited: then its signature is"
                " wrong too. Take the file's predictions.",
            )

    def _inferred_twice(self) -> Iterator[Finding]:
        """Read the journal once more, for the inferences and the outcomes that may be in it twice."""
        seen: dict[str, int] = {}
        lines = JournalLines(self._path)
        for line in lines.until(self._end):
            record = decode_slim(line.rstrip(b"\n"), lines.offset)
            if not isinstance(record, InferenceRecord):
                continue
            if record.first_try in self._suspects:
                first = seen.setdefault(record.first_try, lines.number)
                if first != lines.number:
                    where = f"{lines.shown}, line {lines.number}"
                    yield lines.at("two_outcomes", outcomes(where, record, first))
            if (itself := _itself(record)) in self._suspects:
                if itself in seen:
                    yield lines.at(
                        "inferred_twice",
                        f"{lines.shown}, line {lines.number}: {short(itself, 200)} is recorded again; an inference is"
                        " recorded once. Find out who wrote the line; a person must decide which is true.",
                    )
                seen[itself] = lines.number

    @property
    def _where(self) -> str:
        return f"{self.lines.shown}, line {self.lines.number}"


class LastUses:
    """When each model was last used, by the inferences' own times."""

    def __init__(self, registry: Registry) -> None:
        self.lines = JournalLines(registry.inference_journal)
        self.last: dict[str, datetime] = {}
        self.catch_up()

    def catch_up(self) -> None:
        """Take in what was recorded since."""
        for line in self.lines.until(end_of(self.lines.path)):
            record = decode_slim(line.rstrip(b"\n"), self.lines.offset)
            match record:
                case InferenceRecord():
                    moment = _moment(record.inference_time)
                    self.last[record.model_used] = max(moment, self.last.get(record.model_used, moment))
                case Quarantine():
                    self.lines.is_quarantined(record)
                case InferenceFailure() | Anchor() | Acceptance():
                    pass
                case _:
                    self.lines.is_bad()


def _moment(text: str) -> datetime:
    try:
        return clock.parse(text)
    except ValueError:  # edited by hand: as if it had just been used
        return datetime.max.replace(tzinfo=UTC)


def _summary(name: str, model: ModelUses) -> Iterator[Finding]:
    shown, path = short(name, 100), f"models/{name}"
    if model.uses and model.file_is_lost:
        yield finding(
            "model_file_gone",
            path,
            f"{model.uses} inferences, the first in line {model.first_line} of models/log_inference.txt, used {shown},"
            " whose file is gone without a record of it. Restore it from a backup.",
        )
    if model.late:
        yield finding(
            "late_inference",
            path,
            f"{model.late} inferences, the first in line {model.first_late_line} of models/log_inference.txt, used"
            f" {shown} and are dated after it was out of service. By the clocks only; they may have been set back.",
        )
