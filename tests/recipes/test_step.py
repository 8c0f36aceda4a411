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
