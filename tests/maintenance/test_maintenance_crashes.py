"""repair and gc killed at each of their steps: nothing is lost, verify tells the truth, the next one ends the work."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.programs.maintain_and_die import GC, REPAIR
from tests.support.registry_project import DECIDED, RegistryProject

from bulkhead.maintenance.gc import GarbageCollector, RetentionRule

PROGRAMS = Path(__file__).parents[1] / "programs"
# Of three old run folders: two of a DAG that has three, one of a DAG that has two.
UNFINISHED_RUNS = {
    "before the first run folder": 3,
    "in the middle of a run folder": 3,
    "after the first run folder": 2,
}
ORPHAN = "model_20260101T000000000000Z_abc.joblib"


def killed(clean_project: RegistryProject, what: str, stage: str) -> None:
    command = [sys.executable, str(PROGRAMS / "maintain_and_die.py"), str(clean_project.folder), what, stage]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={"PYTHONPATH": str(PROGRAMS.parents[1])}
    )
    assert ended.returncode == -9, f"it did not reach {stage!r}: {ended.stderr}"


CASES = [
    (damage, stage)
    for damage in ("orphan", "altered", "line")
    for stage in REPAIR
    if damage == "line" or "of a line" not in stage
    if damage != "line" or "of a file" not in stage
]


@pytest.mark.parametrize(("damage", "stage"), CASES)
def test_a_killed_repair_loses_nothing_and_the_next_one_does_the_rest(
    damage: str, stage: str, clean_project: RegistryProject
) -> None:
    if damage == "line":
        lost = b"torn line"
        clean_project.registry.training_journal.write_bytes(
            lost + b"\n" + clean_project.registry.training_journal.read_bytes()
        )
    elif damage == "orphan":
        lost = b"orphan"
        (clean_project.models / ORPHAN).write_bytes(lost)
    else:
        model = clean_project.publish()
        clean_project.publish()
        lost = clean_project.alter(clean_project.file_of(model))
    before = clean_project.damage()
    log_before = clean_project.registry.training_journal.read_bytes()
    killed(clean_project, "repair", stage)
    everything = b"".join(path.read_bytes() for path in clean_project.models.rglob("*") if path.is_file())
    assert lost in everything
    assert clean_project.registry.training_journal.read_bytes().startswith(log_before)
    left = clean_project.damage()
    done = stage == ("after the record" if damage == "line" else "after the move of a file")
    assert [kind for kind in before if kind in left] == ([] if done else before)
    clean_project.repair()
    assert clean_project.damage() == []
    assert clean_project.quarantined().count(lost) == 1


@pytest.mark.parametrize("stage", GC)
def test_a_killed_gc_leaves_what_verify_names_and_the_next_one_removes(
    stage: str, clean_project: RegistryProject
) -> None:
    old = [clean_project.republished(clean_project.publish("dev"), 90) for _ in range(3)]
    for _ in range(2):
        clean_project.publish("dev")
    for number in range(3):
        folder = clean_project.shared / "runs" / "a_dag" / f"run{number}"
        folder.mkdir(parents=True)
        for name in ("a.json", "b.parquet"):
            (folder / name).write_bytes(b"x")
    clean_project.age(60)
    assert clean_project.damage() == []
    killed(clean_project, "gc", stage)
    there = [clean_project.file_of(model).exists() for model in old]
    unrecorded = stage in ("before the record", "in the middle of the record")
    assert all(there) == (unrecorded or stage == "after the record")
    assert clean_project.damage().count("removal_unfinished") == (0 if unrecorded else sum(there))
    assert clean_project.notes().count("unfinished_run_removal") == UNFINISHED_RUNS.get(stage, 0)
    clean_project.repair()  # of a torn record
    list(
        GarbageCollector(clean_project.registry, clean_project.shared, RetentionRule(1, timedelta(days=30))).collect(
            DECIDED
        )
    )
    assert clean_project.damage() == []
    assert clean_project.notes() == ["out_of_order"]  # the old models were recorded after younger ones
    assert not any(clean_project.file_of(model).exists() for model in old)
    assert len(list((clean_project.shared / "runs" / "a_dag").iterdir())) == 1
