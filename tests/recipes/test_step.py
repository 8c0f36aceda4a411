"""``just step`` and ``just models``, as a person runs them."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import TAG, records
from tests.support.clone import settings

if TYPE_CHECKING:
    from tests.support.clone import Clone

pytestmark = pytest.mark.container

REFUSED = {
    "preprocessing": ("--source", "nowhere.csv"),
    "model_inference": (),
    "promote_model": ("--model", "model_of_nobody.joblib", "--reason", "none"),
}


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
    assert "0.4554" in listed.stdout


def test_what_a_step_by_hand_proposes_is_recorded_signed_by_a_registrar_of_its_own(clone: Clone) -> None:
    chosen = {"BULKHEAD_ENVIRONMENT": "prd", "BULKHEAD_RUN_FOLDER": "mine"}
    prepared = clone.run("just", "step", "trainer", "preprocessing", **chosen)
    assert prepared.returncode == 0, prepared.stderr
    ended = clone.run("just", "step", "trainer", "train_model", **chosen)
    assert ended.returncode == 0, ended.stderr
    (record,) = records(clone.folder / "models/log.txt")
    assert (record["environment"], record["run_id"], record["task_id"]) == ("prd", "mine", "train_model")
    assert record["image"].startswith(f"bulkhead/trainer:{TAG}@sha256:")
    assert record["git_commit"]
    key = hashlib.sha256(settings(clone)["BULKHEAD_REGISTRY_KEY"].encode()).hexdigest()[:8]
    assert record["key"] == key
    assert record["hmac"]
    assert record["model_filename"] in ended.stdout + ended.stderr
    assert (clone.folder / "models" / record["model_filename"]).is_file()


def test_the_registrar_that_runs_records_what_a_step_by_hand_proposes(clone: Clone) -> None:
    real = shutil.which("docker")
    assert clone.run("just", "step", "trainer", "preprocessing").returncode == 0
    # One of compose's service by its labels, as far as the step is concerned.
    labels = {"com.docker.compose.project": clone.project, "com.docker.compose.service": "registrar"}
    labels["io.bulkhead.project"] = clone.project
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    folders = ("--volume", f"{clone.folder}/models:/models", "--volume", f"{clone.folder}/shared:/shared:ro")
    secret = ("--env", "BULKHEAD_REGISTRY_KEY=0123456789abcdef0123456789abcdef")
    user = ("--user", f"{settings(clone)['BULKHEAD_UID']}:0")
    start = ["docker", "run", "--detach", "--init", *words, *folders, *secret, *user, "--entrypoint", "sleep"]
    assert clone.run(*start, f"bulkhead/registrar:{TAG}", "600").returncode == 0
    # And no other one is started.
    only = f'case "$*" in *registrar*run*--entrypoint*registrar*) exit 99;; esac\nexec {real} "$@"\n'
    ended = clone.run("just", "step", "trainer", "train_model", PATH=clone.with_docker(only))
    assert ended.returncode == 0, ended.stderr
    (record,) = records(clone.folder / "models/log.txt")
    assert record["key"]
    assert record["key"] != hashlib.sha256(settings(clone)["BULKHEAD_REGISTRY_KEY"].encode()).hexdigest()[:8]


def test_a_refused_step_exits_with_one_and_its_sentence(clone: Clone) -> None:
    ended = clone.run("just", "step", "trainer", "preprocessing", "--source", "nowhere.csv")
    assert ended.returncode == 1
    assert "no such file in shared/inputs/" in ended.stderr
    (record,) = records(clone.folder / "models/log.txt")
    assert record["cause"] == "refused"


def test_a_look_at_a_table_is_no_step_and_records_nothing(clone: Clone) -> None:
    ended = clone.run("just", "step", "trainer", "check_input", "--source", "diabetes.csv")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("diabetes.csv: 442 rows, 11 columns, sha256 ")
    refused = clone.run("just", "step", "trainer", "check_input", "--source", "nowhere.csv")
    assert refused.returncode == 1
    assert "no such file in shared/inputs/" in refused.stderr
    assert records(clone.folder / "models/log.txt") == []


def test_a_steps_environment_has_a_short_name_and_an_alias(clone: Clone) -> None:
    assert clone.run("just", "step", "trainer", "preprocessing", "-e", "prd").returncode == 0
    ended = clone.run("just", "step", "trainer", "train_model", "--env", "prd")
    assert ended.returncode == 0, ended.stderr
    (record,) = records(clone.folder / "models/log.txt")
    assert record["environment"] == "prd"


def test_an_image_that_is_not_there_names_the_command_that_builds_it(clone: Clone) -> None:
    ended = clone.run("just", "step", "trainer", "preprocessing", BULKHEAD_TAG="never-built")
    assert ended.returncode == 1
    assert "just build-images" in ended.stderr


@pytest.mark.parametrize(
    ("image", "task", "variables", "journal"),
    [
        ("trainer", "preprocessing", {}, "training"),
        ("inference", "model_inference", {}, "inference"),
        ("inference", "promote_model", {}, "training"),
        ("inference", "model_inference", {"BULKHEAD_JOURNAL": "training"}, "training"),
        ("inference", "model_inference", {"BULKHEAD_PIPELINE": "training"}, "training"),
        ("trainer", "preprocessing", {"BULKHEAD_PIPELINE": "inference"}, "inference"),
    ],
)
def test_a_failure_goes_to_the_journal_of_the_steps_image_or_the_one_that_is_named(
    clone: Clone, image: str, task: str, variables: dict[str, str], journal: str
) -> None:
    name = {"training": "log.txt", "inference": "log_inference.txt"}[journal]
    ended = clone.run("just", "step", image, task, *REFUSED[task], **variables)
    assert ended.returncode == 1, ended.stderr
    (failure,) = records(clone.folder / "models" / name)
    assert failure["cause"] == "refused"
    assert [path.name for path in (clone.folder / "models").glob("log*")] == [name]


def test_no_step_by_hand_sees_a_writable_registry(clone: Clone) -> None:
    arguments = clone.docker_run("just", "step", "trainer", "train_model")
    mounts = [argument for argument in arguments if argument.startswith("type=bind,")]
    assert [mount.partition(",target=")[2] for mount in mounts] == ["/shared", "/inputs,readonly", "/models,readonly"]
    assert not [argument for argument in arguments if "KEY" in argument]


def test_a_step_is_told_what_the_shell_says_of_it(clone: Clone) -> None:
    said = {"BULKHEAD_RUN_FOLDER": "a/b", "BULKHEAD_RUN_ID": "manual+1", "BULKHEAD_ENVIRONMENT": "prd"}
    said["BULKHEAD_MODEL_NAME"] = "churn"
    arguments = clone.docker_run("just", "step", "trainer", "preprocessing", "--source", "a b.csv", **said)
    assert {"BULKHEAD_RUN_ID=manual+1", "BULKHEAD_ENVIRONMENT=prd", "BULKHEAD_MODEL_NAME=churn"} <= set(arguments)
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
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 2), ended.stderr
    assert "usage: just step IMAGE STEP" in ended.stderr
