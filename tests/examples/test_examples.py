"""Each example from its copy into a clone to predictions, in the images that are built with it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from tests.containers.support import Docker, Folders, records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.examples.conftest import Example

pytestmark = pytest.mark.container


@pytest.fixture
def folders(tmp_path: Path, table: bytes) -> Folders:
    made = Folders(tmp_path / "models", tmp_path / "shared", tmp_path / "inputs")
    for folder in (made.models, made.shared, made.inputs):
        folder.mkdir()
        folder.chmod(0o775)
    (made.inputs / "churn.csv").write_bytes(table)
    return made


def steps(folders: Folders, tag: str, name: str, *commands: tuple[str, ...]) -> None:
    """Run steps of the model ``name`` one after the other; each must succeed."""
    for image, *command in commands:
        options = (*folders.mounts(), "--env", f"BULKHEAD_MODEL_NAME={name}")
        ended = Docker(f"io.bulkhead.test={tag}").run(image, *command, options=options, tag=tag)
        assert ended.returncode == 0, ended.stderr


def predicted(folders: Folders) -> pd.DataFrame:
    (record,) = records(folders.models / "log_inference.txt")
    return pd.read_parquet(folders.shared / record["predictions_path"].rpartition("/")[2])


def trained_promoted_and_predicted(folders: Folders, tag: str, name: str) -> None:
    steps(
        folders,
        tag,
        name,
        ("trainer", "preprocessing", "--source", "churn.csv"),
        ("trainer", "train_model"),
    )
    (published,) = records(folders.models / "log.txt")
    promotion = ("promote_model", "--model", published["model_filename"], "--by", "ada", "--reason", "good")
    steps(
        folders,
        tag,
        name,
        ("inference", *promotion),
        ("inference", "generate_inf_data", "--source", "churn.csv", "--environment", "prd"),
        ("inference", "preprocess_inf_data", "--environment", "prd"),
        ("inference", "model_inference", "--environment", "prd"),
    )


def test_churn_is_trained_gated_promoted_and_served_with_probabilities(
    example: Callable[..., Example], folders: Folders
) -> None:
    made = example("churn")
    made.just("build-images", "trainer", "inference")
    trained_promoted_and_predicted(folders, made.tag, "churn")
    first = records(folders.models / "log.txt")[0]
    assert first["metrics"]["roc_auc"] > 0.75
    assert next(iter(first["goals"])) == "roc_auc"
    assert (first["problem"], first["classes"], first["identifier"]) == ("binary", ["no", "yes"], "customer")
    assert first["missing"] == ["region", "monthly"]
    assert set(first["plots"]["calibration"]) == {"predicted", "observed"}
    frame = predicted(folders)
    assert list(frame.columns) == ["customer", "prediction", "probability_no", "probability_yes"]
    assert len(frame) == 20_000
    assert frame["customer"].is_unique
    assert ((frame["probability_no"] + frame["probability_yes"] - 1).abs() < 1e-12).all()
    made.just("test-project")


def test_lightgbm_is_in_both_images_by_two_lines_and_an_image_without_it_never_serves_it(
    example: Callable[..., Example], folders: Folders
) -> None:
    made = example("lightgbm")
    made.just("lock")
    made.just("build-images", "trainer", "inference")
    trained_promoted_and_predicted(folders, made.tag, "churn_lightgbm")
    first = records(folders.models / "log.txt")[0]
    assert {"lightgbm", "scipy", "scikit-learn"} <= set(first["libraries"])
    assert first["metrics"]["roc_auc"] > 0.75
    assert len(predicted(folders)) == 20_000

    # The same code without the library: such an image is never in use.
    (made.clone.folder / "project/requirements.in").write_text("")
    (made.clone.folder / "project/requirements.txt").write_text("")
    before = image_id(made.tag)
    assert "Add lightgbm to project/requirements.in" in made.refused("build-images", "inference")
    assert image_id(made.tag) == before


def image_id(tag: str) -> str:
    inspected = ["docker", "image", "inspect", "--format", "{{.Id}}", f"bulkhead/inference:{tag}"]
    return subprocess.run(inspected, capture_output=True, text=True, check=True).stdout


def test_a_library_that_debian_must_bring_is_named_by_the_build(example: Callable[..., Example]) -> None:
    made = example("lightgbm")
    (made.clone.folder / "project/apt.txt").write_text("")
    made.just("lock")
    said = made.refused("build-images", "trainer")
    assert "lightgbm cannot be imported here: OSError: libgomp.so.1" in said, said[-1500:]
    assert "project/apt.txt" in said
