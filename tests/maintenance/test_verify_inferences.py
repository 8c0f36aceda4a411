"""verify: inferences against the models' records, and predictions against the inferences'."""

from __future__ import annotations

import errno
import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.project import NEXT
from tests.support.registry_project import DECIDED

from bulkhead import clock, untrusted
from bulkhead.maintenance.verify.inference_journal import BloomFilter
from bulkhead.registry import decisions, journal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.registry_project import RegistryProject

    from bulkhead.registry.records import InferenceRecord

GONE = "model_20260101T000000000000Z_abc.joblib"


def predictions_of(clean_project: RegistryProject, record: InferenceRecord) -> Path:
    return clean_project.folder / str(record.predictions_path)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"model_used": GONE}, "unknown_model"),
        ({"model_used": "../x\n\x1b[2J"}, "unknown_model"),
        ({"environment": "prd"}, "other_environment"),
        ({"environment": "é\u202e"}, "other_environment"),
        ({"model_hash": "0"}, "other_model"),
        ({"model_sha256": "0" * 64}, "other_model"),
        ({"predictions_path": "shared/runs/d/r/gone.parquet"}, "missing_predictions"),
        ({"predictions_path": "shared/runs/\x00"}, "missing_predictions"),
        ({"predictions_path": "shared/runs/" + "x" * 5000}, "missing_predictions"),
        ({"predictions_path": "/etc/passwd"}, "foreign_path"),
        ({"predictions_path": "shared/inputs/t.csv"}, "foreign_path"),
        ({"predictions_path": "shared/runs/../../../etc/passwd"}, "foreign_path"),
    ],
)
def test_an_inference_that_contradicts_the_models_records_is_found(
    changes: dict[str, str], kind: str, clean_project: RegistryProject
) -> None:
    clean_project.infer(clean_project.publish("dev"), **changes)
    (found,) = clean_project.verify()
    assert (found.kind, found.line, found.mended_by) == (kind, 3, "person")
    assert found.sentence.isprintable()
    assert NEXT.search(found.sentence) or "a person must decide" in found.sentence or "Find out" in found.sentence


def test_a_promoted_model_may_infer_in_both_environments_and_with_the_keys_it_lacks_unknown(
    clean_project: RegistryProject,
) -> None:
    dev = clean_project.publish("dev")
    clean_project.append(clean_project.promoted(dev, replaces=clean_project.registry.latest("prd").model_filename))
    clean_project.infer(dev, environment="prd")
    clean_project.infer(dev, model_hash=None, model_sha256=None, predictions_path=None, output_sha256=None)
    assert clean_project.verify() == []


def test_a_missing_predictions_file_is_found_with_and_without_reading_them(clean_project: RegistryProject) -> None:
    predictions_of(clean_project, clean_project.infer(clean_project.publish())).unlink()
    assert clean_project.damage(predictions=False) == clean_project.damage(predictions=True) == ["missing_predictions"]


def test_an_altered_predictions_file_is_found_when_they_are_read(clean_project: RegistryProject) -> None:
    path = predictions_of(clean_project, clean_project.infer(clean_project.publish()))
    path.write_bytes(path.read_bytes()[::-1])
    assert clean_project.damage(predictions=False) == []
    assert clean_project.damage(predictions=True) == ["altered_predictions"]


@pytest.mark.parametrize("call", ["lstat", "hash"])
def test_predictions_that_cannot_be_read_are_not_called_missing(
    call: str, clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = predictions_of(clean_project, clean_project.infer(clean_project.publish()))
    real_lstat, real_hash = os.lstat, untrusted.hash_of
    refusal = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def lstat(asked: str | Path) -> os.stat_result:
        if str(asked) == str(path):
            raise refusal
        return real_lstat(asked)

    def hash_of(root: Path, relative: str, **options: Any) -> str:
        if relative.endswith(path.name):
            raise refusal
        return real_hash(root, relative, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", lstat) if call == "lstat" else patch.setattr(untrusted, "hash_of", hash_of)
        found = [one for one in clean_project.verify(predictions=call == "hash") if one.is_damage]
    assert [one.kind for one in found] == ["unreadable_file"]


def test_a_folder_or_link_in_place_of_predictions_is_found(clean_project: RegistryProject) -> None:
    first, second = (predictions_of(clean_project, clean_project.infer(clean_project.publish())) for _ in range(2))
    first.unlink()
    first.mkdir()
    second.rename(clean_project.folder / "moved")
    second.symlink_to(clean_project.folder / "moved")
    assert clean_project.damage(predictions=False) == ["missing_predictions", "missing_predictions"]
    assert clean_project.damage() == ["unreadable_file", "unreadable_file"]


def test_predictions_that_went_with_their_run_folder_are_no_finding_later_ones_are(
    clean_project: RegistryProject,
) -> None:
    model = clean_project.publish()
    record = clean_project.infer(model)
    path = predictions_of(clean_project, record)
    path.unlink()
    path.parent.rmdir()
    clean_project.removed(str(record.predictions_path).rpartition("/")[0])
    assert clean_project.damage() == []
    # The same folder is used again, as by hand (debug): what is lost of it now, no removal explains.
    later = clock.in_record(clock.now() + timedelta(seconds=1))
    again = f"{str(record.predictions_path).rpartition('/')[0]}/predictions_later.parquet"
    clean_project.infer(model, predictions_path=again, inference_time=later)
    assert clean_project.damage() == ["missing_predictions"]


def test_a_removed_run_folder_that_is_still_there_is_a_note_until_it_is_used_again(
    clean_project: RegistryProject,
) -> None:
    path = predictions_of(clean_project, clean_project.infer(clean_project.publish()))
    clean_project.age(1)
    clean_project.removed(f"shared/runs/prd_inference_pipe_dag/{path.parent.name}")
    assert (clean_project.damage(), clean_project.notes()) == ([], ["unfinished_run_removal"])
    (path.parent / "new.json").touch()
    os.utime(path.parent / "new.json", (time.time() + 5,) * 2)
    assert clean_project.verify() == []


def test_an_inference_that_is_recorded_twice_is_found(clean_project: RegistryProject) -> None:
    record = clean_project.infer(clean_project.publish())
    assert clean_project.verify() == []
    journal.append(clean_project.registry.inference_journal, record)
    found = clean_project.the("inferred_twice")
    assert (found.line, found.path, found.mended_by) == (4, "models/log_inference.txt", "person")


def test_a_table_of_paths_that_takes_every_path_for_a_seen_one_changes_no_finding(
    clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table may err: what it suspects is looked up."""
    monkeypatch.setattr(BloomFilter, "perhaps", lambda *_: True)
    record = clean_project.infer(clean_project.publish())
    assert clean_project.verify() == []
    journal.append(clean_project.registry.inference_journal, record)
    assert clean_project.damage() == ["inferred_twice"]


def test_the_table_of_paths_knows_every_path_again_and_hardly_ever_a_new_one() -> None:
    seen = BloomFilter()
    assert sum(seen.perhaps(f"shared/runs/r{number}/p.parquet") for number in range(20_000)) < 5
    assert all(seen.perhaps(f"shared/runs/r{number}/p.parquet") for number in range(20_000))


@pytest.mark.parametrize("way", ["revoked", "removed"])
def test_an_inference_dated_after_its_model_was_out_of_service_is_a_note(
    way: str, clean_project: RegistryProject
) -> None:
    """Only two clocks say so, and clocks are set back."""
    model = clean_project.publish("dev")
    clean_project.publish("dev")
    clean_project.infer(model)
    if way == "revoked":
        decisions.revoke(clean_project.registry, model.model_filename, DECIDED)
    else:
        clean_project.removed(f"models/{model.model_filename}")
        clean_project.file_of(model).unlink()
    assert clean_project.verify() == []
    clean_project.infer(model)
    assert (clean_project.damage(), clean_project.notes()) == ([], ["late_inference"])
    assert clean_project.the("late_inference").sentence.startswith("1 inferences, the first in line 4 ")


def test_what_a_killed_step_left_in_its_run_folder_is_a_note_when_runs_are_read(clean_project: RegistryProject) -> None:
    folder = predictions_of(clean_project, clean_project.infer(clean_project.publish())).parent
    for name in (".model_inference.lock", ".model_inference.json.abc.tmp"):
        (folder / name).touch()
    assert clean_project.notes() == []
    clean_project.age(1)
    assert clean_project.notes() == ["leftover", "leftover"]


@pytest.mark.parametrize("field", ["inference_time", "environment", "model_used", "run_id"])
@pytest.mark.parametrize("text", ["", "\x00", "x" * 100_000, "\u202e\x1b[31m", '"}'])
def test_verify_survives_any_text_in_a_record(field: str, text: str, clean_project: RegistryProject) -> None:
    changes: dict[str, Any] = {field: text}
    clean_project.infer(clean_project.publish(), **changes)
    assert all(found.sentence.isprintable() and len(found.sentence) <= 2000 for found in clean_project.verify())
