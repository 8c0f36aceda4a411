"""What the tests of verify, repair and gc share: a project whose registry and runs belong together."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from tests.support.project import publish

from bulkhead import clock
from bulkhead.files import sha256
from bulkhead.maintenance.repair import Repair
from bulkhead.maintenance.verify import Finding, SeenHead, verify
from bulkhead.registry import chain, journal, record_lines
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.records import InferenceRecord, ModelRecord, Quarantine, Removal
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from bulkhead.identity import Environment
    from bulkhead.registry.chain import KeyRing
    from bulkhead.registry.records import Record


def head_of(path: Path) -> SeenHead:
    """What the registrar has seen of a journal that is as it should be."""
    last = path.read_bytes().splitlines()[-1]
    link = chain.parse(last)
    assert link is not None
    return SeenHead(seq=link.seq, hash=sha256(last), seen_at="2026-11-27T12:00:00.000000+00:00")


def rechain(path: Path) -> None:
    """Make a chain without signatures of the lines of a journal that a test has edited."""
    before, number, lines = chain.ZEROS, 0, []
    for line in path.read_bytes().splitlines():
        content = line[: line.rindex(b',"seq":')] + b"}" if chain.parse(line) else line
        if chain.parse(line):
            number += 1
            content = chain.link(content, number, before, None).rstrip(b"\n")
        lines.append(content)
        before = sha256(content)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


DECIDED = DecisionContext("a person", "a test")
BY_HAND = {"by_hand", "head_unknown", "predictions_not_compared"}
"""Notes: nothing is signed here, there is no registrar to ask, and the predictions files hold no table."""


class RegistryProject:
    """A project with a registry and run folders, and what a test does with them."""

    def __init__(self, folder: Path, ring: KeyRing | None = None) -> None:
        self.folder = folder
        self.registry = Registry(folder / "models", ring)
        self.shared = folder / "shared"
        for made in (self.registry.folder, self.shared / "runs"):
            made.mkdir(parents=True)
        self._number = 0

    @property
    def models(self) -> Path:
        return self.registry.folder

    def publish(self, environment: Environment = "prd", **changes: Any) -> ModelRecord:
        """A model of a run of its own."""
        self._number += 1
        given = {"run_id": f"manual__{self._number}", **changes}
        return publish(self.registry, environment, {"weights": [float(self._number)]}, **given)

    def file_of(self, model: ModelRecord) -> Path:
        return self.models / model.model_filename

    def infer(self, model: ModelRecord, **changes: Any) -> InferenceRecord:
        """An inference with ``model``, its predictions file, and its record with ``changes`` applied."""
        self._number += 1
        run = f"shared/runs/{model.environment}_inference_pipe_dag/manual__{self._number}"
        moment = clock.now()
        path = f"{run}/predictions_{clock.in_filename(moment)}.parquet"
        content = path.encode()
        (self.folder / run).mkdir(parents=True)
        (self.folder / path).write_bytes(content)
        given: dict[str, Any] = {
            "inference_time": clock.in_record(moment),
            "environment": model.environment,
            "inference_data": "shared/inputs/t.csv",
            "model_used": model.model_filename,
            "predictions": [1.0, 2.5],
            "model_hash": model.model_hash,
            "model_sha256": model.sha256,
            "predictions_path": path,
            "rows": 2,
            "input_sha256": "0" * 64,
            "output_sha256": sha256(content),
            "dag_id": f"{model.environment}_inference_pipe_dag",
            "run_id": f"manual__{self._number}",
            "task_id": "model_inference",
            "try_number": 1,
            "map_index": -1,
        }
        record = InferenceRecord(**{**given, **changes})
        self.registry.record_inference(record)
        return record

    def append(self, *added: Record) -> None:
        """Append to ``log.txt``."""
        for record in added:
            journal.append(self.registry.training_journal, record)

    def promoted(self, model: ModelRecord, **changes: Any) -> ModelRecord:
        """The record of a promotion of ``model`` to prd, not appended."""
        from bulkhead.registry.records import Promotion

        given: dict[str, Any] = {
            "promotion_time": clock.in_record(clock.now()),
            "origin": "dev",
            "replaces": None,
            "by": "b",
            "reason": "r",
            "first_try": None,
        }
        promotion = Promotion(**{**given, **{k: v for k, v in changes.items() if k in given}})
        others = {key: value for key, value in changes.items() if key not in given}
        return msgspec.structs.replace(model, **{"environment": "prd", "promotion": promotion, **others})

    def verify(self, *, predictions: bool = True) -> list[Finding]:
        """What is found, but for the notes about every registry that is written by hand."""
        found = verify(self.registry, self.shared, predictions=predictions)
        return [one for one in found if one.kind not in BY_HAND]

    def damage(self, *, predictions: bool = True) -> list[str]:
        """The kinds of damage, sorted."""
        return sorted(found.kind for found in self.verify(predictions=predictions) if found.is_damage)

    def notes(self) -> list[str]:
        """The kinds of notes, sorted."""
        return sorted(found.kind for found in self.verify() if not found.is_damage)

    def the(self, kind: str) -> Finding:
        """The one finding of ``kind``."""
        (found,) = [found for found in self.verify() if found.kind == kind]
        return found

    def repair(self) -> list[Quarantine]:
        """All that repair can do."""
        fixer = Repair(self.registry, DECIDED)
        done = [fixer.fix(found) for found in self.verify() if found.mended_by == "repair"]
        return [record for record in done if record is not None]

    def alter(self, path: Path, content: bytes | None = None) -> bytes:
        """Overwrite a published file as no program of ours does; returns what is in it now."""
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"?" if content is None else content)
        return path.read_bytes()

    def quarantined(self) -> list[bytes]:
        """The contents of the quarantine, but for what a killed repair left under a hidden name."""
        return sorted(path.read_bytes() for path in self.models.glob("quarantine/[!.]*"))

    def age(self, days: float) -> None:
        """Make every file of the runs look ``days`` older than now."""
        moment = (clock.now() - timedelta(days=days)).timestamp()
        for place, folders, names in os.walk(self.shared / "runs"):
            for name in [*folders, *names]:
                os.utime(Path(place, name), (moment, moment), follow_symlinks=False)

    def republished(self, model: ModelRecord, days: float) -> ModelRecord:
        """``model``, as if it had been published ``days`` ago; file and record are exchanged for older ones."""
        moment = clock.parse(model.training_timestamp) - timedelta(days=days)
        name = f"model_{clock.in_filename(moment)}_{model.model_hash}.joblib"
        old = msgspec.structs.replace(model, model_filename=name, training_timestamp=clock.in_record(moment))
        self.file_of(model).rename(self.models / name)
        path = self.registry.training_journal
        before, after = (record_lines.encode(record).rstrip(b"\n}") for record in (model, old))
        content = path.read_bytes()
        assert before in content
        path.write_bytes(content.replace(before, after))
        rechain(path)
        return old

    def removed(self, *paths: str, **changes: Any) -> Removal:
        """A removal of ``paths``, appended."""
        given: dict[str, Any] = {
            "removal_time": clock.in_record(clock.now()),
            "size_bytes": 1,
            "by": "b",
            "reason": "r",
        }
        record = Removal(paths=list(paths), **{**given, **changes})
        self.append(record)
        return record
