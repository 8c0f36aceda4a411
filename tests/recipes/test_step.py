"""``just step`` and ``just models``, as a person runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.containers.support import records

if TYPE_CHECKING:
    from tests.support.clone import Clone

pytestmark = pytest.mark.container


def test_the_steps_by_hand_train_predict_and_are_listed(clone: Clone) -> None:
    for image, step, *flags in (
        ("trainer", "preprocessing", "--source", "diabetes.csv"),
        ("trainer", "train_model"),
        ("inference", "generate_inf_data", "--source", "diabetes.csv"),
        ("inference", "preprocess_inf_data"),
        ("inference", "model_inference"),
    ):
        ended = clone.run("just", "step", image, step, *flags)
        assert ended.returncode == 0, ended.stderr
    (model,) = records(clone.folder / "models/log.txt")
    (inference,) = records(clone.folder / "models/log_inference.txt")
    assert inference["model_used"] == model["model_filename"]
    assert inference["inference_data"] == "shared/inputs/diabetes.csv"
    assert model["image"].startswith("bulkhead/trainer:")
    listed = clone.run("just", "models")
    assert model["model_filename"] in listed.stdout
    assert "0.3322" in listed.stdout


def test_a_refused_step_exits_with_one_and_its_sentence(clone: Clone) -> None:
    ended = clone.run("just", "step", "trainer", "preprocessing", "--source", "nowhere.csv")
    assert ended.returncode == 1
    assert "no such file in shared/inputs/" in ended.stderr
    (record,) = records(clone.folder / "models/log.txt")
    assert record["cause"] == "refused"


def test_an_image_that_is_not_there_names_the_command_that_builds_it(clone: Clone) -> None:
    ended = clone.run("just", "step", "trainer", "preprocessing", BULKHEAD_TAG="never-built")
    assert ended.returncode == 1
    assert "just build-images" in ended.stderr


@pytest.mark.parametrize(
    ("image", "task", "variables", "journal"),
    [
        ("trainer", "preprocessing", {}, "log.txt"),
        ("inference", "model_inference", {}, "log_inference.txt"),
        ("inference", "promote_model", {}, "log.txt"),
        ("inference", "model_inference", {"BULKHEAD_JOURNAL": "training"}, "log.txt"),
        ("inference", "model_inference", {"BULKHEAD_PIPELINE": "training"}, "log.txt"),
        ("trainer", "preprocessing", {"BULKHEAD_PIPELINE": "inference"}, "log_inference.txt"),
    ],
)
def test_a_step_may_write_the_journal_of_its_image_or_the_one_that_is_named(
    clone: Clone, image: str, task: str, variables: dict[str, str], journal: str
) -> None:
    arguments = clone.docker_run("just", "step", image, task, **variables)
    (writable,) = (a for a in arguments if a.startswith("type=bind,") and ",target=/models/" in a)
    assert writable.endswith(f",target=/models/{journal}")
    assert (clone.folder / "models" / journal).stat().st_mode & 0o777 == 0o664


def test_a_step_is_told_what_the_shell_says_of_it(clone: Clone) -> None:
    said = {"BULKHEAD_RUN_FOLDER": "a/b", "BULKHEAD_RUN_ID": "manual+1", "BULKHEAD_ENVIRONMENT": "prd"}
    arguments = clone.docker_run("just", "step", "trainer", "preprocessing", "--source", "a b.csv", **said)
    assert {"BULKHEAD_RUN_ID=manual+1", "BULKHEAD_ENVIRONMENT=prd"} <= set(arguments)
    assert f"type=bind,source={clone.folder}/shared/runs/a/b,target=/shared" in arguments
    assert arguments[-3:] == ["preprocessing", "--source", "a b.csv"]


@pytest.mark.parametrize(
    ("variables", "fragment"),
    [
        ({"BULKHEAD_RUN_FOLDER": "../models"}, "no plain name"),
        ({"BULKHEAD_JOURNAL": "trainings"}, "BULKHEAD_JOURNAL is 'trainings', which is no journal."),
        ({"BULKHEAD_STEP_MEMORY": "much"}, "BULKHEAD_STEP_MEMORY is 'much', which is no size"),
    ],
)
def test_what_the_shell_says_wrongly_is_refused(clone: Clone, variables: dict[str, str], fragment: str) -> None:
    ended = clone.run("just", "step", "trainer", "preprocessing", **variables)
    assert ended.returncode == 1
    assert fragment in ended.stderr


def test_a_step_without_a_name_says_how_it_is_called(clone: Clone) -> None:
    ended = clone.run("just", "step")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 2), ended.stderr
    assert "usage: just step IMAGE TASK" in ended.stderr
