"""What Airflow, in its own image, makes of a project of two models with a schedule; and what of its runs."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.dags.described import BOX, describe, in_image, of_project

from bulkhead.environments import FIRST, NAMES, PROMOTED_TO

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.container

OF_EVERY_PROJECT = {"check_registry_dag", "promote_model_dag", "revoke_model_dag", "rollback_model_dag"}

PARAMETERS = '''
from typing import Annotated, Literal

from bulkhead.parameters import TrainingParameters
from msgspec import Meta


class Parameters(TrainingParameters):
    """Of trees."""

    depth: Annotated[int, Meta(ge=1, le=20, title="Depth", description="How deep.")] = 3
    criterion: Literal["gini", "entropy"] = "gini"
'''
SCHEDULE = """
[prd.churn.train_model]
cron = "0 3 * * *"
source = "{year}-{month}-{day}T{hour}.csv"

[prd.churn.inference_pipe]
asset = "prd_churn_models"
source = "customers.csv"

[dev.churn.train_model]
cron = "@daily"
"""
MODEL_FACTS = {"model_filename": "m.joblib", "model_hash": "h", "sha256": "s"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "project"
    shutil.copytree(BOX, folder, ignore=shutil.ignore_patterns("__pycache__"))
    # Its import would fail in Airflow's image, which has no ML library: only parameters are imported.
    (folder / "churn.py").write_text("import sklearn\n")
    (folder / "churn_parameters.py").write_text(PARAMETERS)
    (folder / "schedule.toml").write_text(SCHEDULE)
    return folder


@pytest.fixture(scope="module")
def described(project: Path, pytestconfig: pytest.Config) -> dict[str, Any]:
    return describe(pytestconfig.rootpath / "dags", project=project)


def test_each_model_has_its_dags_in_each_environment(described: dict[str, Any]) -> None:
    assert described["errors"] == {}
    assert set(described["dags"]) == OF_EVERY_PROJECT | {
        f"{environment}_{middle}_dag"
        for environment in NAMES
        for middle in ("train_model", "inference_pipe", "churn_train_model", "churn_inference_pipe")
    }
    for name, dag_id in (("model", "prd_train_model_dag"), ("churn", "prd_churn_train_model_dag")):
        assert {task["model_name"] for task in described["dags"][dag_id]["tasks"].values()} == {name}
    assert set(described["heavy"]) <= {"docker"}


def test_each_model_has_its_own_form_and_flags(described: dict[str, Any]) -> None:
    form, other = (described["dags"][f"dev_{name}train_model_dag"]["params"] for name in ("churn_", ""))
    assert set(form) - set(other) == {"depth", "criterion"}
    assert (form["depth"]["type"], form["depth"]["minimum"], form["depth"]["maximum"]) == ("integer", 1, 20)
    assert sorted(form["criterion"]["enum"]) == ["entropy", "gini"]
    command = described["dags"]["dev_churn_train_model_dag"]["tasks"]["train_model"]["command"]
    assert "--depth={{ word(params['depth']) }}" in command


def test_schedules_are_those_of_the_file(described: dict[str, Any]) -> None:
    dags = described["dags"]
    training = dags["prd_churn_train_model_dag"]
    assert (training["schedule"], training["cron"]) == ("CronTriggerTimetable", "0 3 * * *")
    # Nothing runs at once for an hour that has passed, and a backfill may go back as far as it likes.
    assert (training["start"], training["at_once"]) == (None, False)
    assert dags["prd_churn_inference_pipe_dag"]["assets"] == ["bulkhead://models/prd/churn"]
    assert dags["dev_churn_train_model_dag"]["schedule"] == "CronTriggerTimetable"
    assert [dag_id for dag_id, dag in dags.items() if dag["catchup"]] == []
    assert dags["prd_train_model_dag"]["schedule"] == "NullTimetable"


def test_a_scheduled_dag_needs_no_source_and_has_no_default_but_its_pattern(described: dict[str, Any]) -> None:
    dags = described["dags"]
    for dag_id in ("prd_churn_train_model_dag", "prd_churn_inference_pipe_dag"):
        assert (dags[dag_id]["required"], dags[dag_id]["params"]["source"]["default"]) == ([], None)
    assert dags["dev_churn_train_model_dag"]["params"]["source"]["default"] == "sample"
    assert dags["prd_train_model_dag"]["required"] == ["source"]


def test_a_training_updates_its_models_asset_and_a_promotion_any(described: dict[str, Any]) -> None:
    outlets = {
        task: one["outlets"]
        for dag in described["dags"].values()
        for task, one in dag["tasks"].items()
        if one["outlets"]
    }
    assert outlets["promote_model"] == sorted(f"{e}{name}_models" for e in PROMOTED_TO for name in ("", "_churn"))
    training = described["dags"]["prd_churn_train_model_dag"]["tasks"]["train_model"]
    assert training["outlets"] == ["prd_churn_models"]


def test_a_rollback_knows_both_models(described: dict[str, Any]) -> None:
    assert described["dags"]["rollback_model_dag"]["params"]["name"]["enum"] == ["model", "churn"]


def test_a_wrong_schedule_is_an_import_error_of_the_pipelines_alone(
    project: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    wrong = shutil.copytree(project, tmp_path / "project")
    (wrong / "schedule.toml").write_text("[prd.churn.train_model]\ncron = '0 3 * * *'\n")
    found = describe(pytestconfig.rootpath / "dags", project=wrong)
    assert set(found["dags"]) == OF_EVERY_PROJECT
    assert len(found["errors"]) == 2
    for error in found["errors"].values():
        assert "project/schedule.toml, table prd.churn.train_model: it has no source. Only dev has a sample" in error


def operated(project: Path, root: Path, dag_id: str, task_id: str, conf: dict[str, Any], **more: Any) -> dict[str, Any]:
    asked = {"dag_id": dag_id, "task_id": task_id, "conf": conf, "facts": {}, **more}
    mounts = ("-v", f"{root / 'dags'}:/dags:ro", *of_project(project))
    variables = {"BULKHEAD_HOST_DIR": "/x", "BULKHEAD_UID": "1", **more.get("variables", {})}
    return in_image("operate.py", "/dags", json.dumps(asked), mounts=mounts, **variables)


def test_a_mistyped_key_starts_nothing(project: Path, pytestconfig: pytest.Config) -> None:
    said = operated(project, pytestconfig.rootpath, f"{FIRST}_train_model_dag", "preprocessing", {"sorce": "x.csv"})
    assert said["refused"].startswith("the conf of this run has 'sorce', which its DAG does not know. Trigger it with")
    assert "source, target, features" in said["refused"]
    assert said["raised"].startswith("AirflowFailException: ")  # without a retry
    assert "connected" not in said


def test_a_run_for_which_nobody_names_a_table_starts_nothing(project: Path, pytestconfig: pytest.Config) -> None:
    follows = {"BULKHEAD_INFERENCE_FOLLOWS": "prd"}
    said = operated(
        project, pytestconfig.rootpath, "prd_inference_pipe_dag", "generate_inf_data", {}, variables=follows
    )
    assert said["refused"].startswith("no source table is named for this run")
    assert "connected" not in said


@pytest.mark.parametrize(
    ("conf", "dates", "source"),
    [
        ({}, {"logical_date": "2026-03-04T03:00:00+00:00"}, "2026-03-04T03.csv"),
        ({}, {"run_after": "2026-03-05T04:30:00+00:00"}, "2026-03-05T04.csv"),
        ({"source": "mine.csv"}, {"logical_date": "2026-03-04T03:00:00+00:00"}, "mine.csv"),
    ],
    ids=["by its date", "without one", "by hand"],
)
def test_a_scheduled_run_takes_the_table_of_its_date_and_a_trigger_its_own(
    project: Path, pytestconfig: pytest.Config, conf: dict[str, Any], dates: dict[str, str], source: str
) -> None:
    dag_id = "prd_churn_train_model_dag"
    said = operated(project, pytestconfig.rootpath, dag_id, "preprocessing", conf, dates=dates)
    assert said["command"] == ["preprocessing", f"--source={source}", "--target=", "--features="]
    assert (said["connected"], said["model_name"]) == (True, "churn")


@pytest.mark.parametrize(
    ("conf", "run_type", "served"),
    [({}, "scheduled", "true"), ({}, "backfill", "false"), ({"serve": True}, "backfill", "true")],
)
def test_a_backfill_is_not_served(
    project: Path, pytestconfig: pytest.Config, conf: dict[str, Any], run_type: str, served: str
) -> None:
    given = {"facts": {**MODEL_FACTS, "model_name": "churn"}, "run_type": run_type}
    said = operated(project, pytestconfig.rootpath, "prd_churn_train_model_dag", "train_model", conf, **given)
    assert said["command"][0] == "train_model"
    assert sorted(said["command"][1:]) == sorted(
        [
            *("--test-fraction=0.2", "--seed=0", "--depth=3", "--criterion=gini", f"--serve={served}"),
            *("--allow-unmeasured=false", "--allow-signature-change=false"),
        ]
    )
    assert said["events"] == {"bulkhead://models/prd/churn": MODEL_FACTS}


@pytest.mark.parametrize(
    ("facts", "uris"),
    [
        ({"model_name": "churn"}, ["bulkhead://models/prd/churn"]),
        ({"model_name": "model"}, ["bulkhead://models/prd"]),
        ({}, ["bulkhead://models/prd"]),
        ({"model_name": "gone"}, []),
        ({"model_name": "churn", "serve": False}, []),
    ],
    ids=["of one name", "of the first", "of before names", "of none in project/", "not served"],
)
def test_a_promotion_updates_the_asset_of_the_model_that_the_outcome_names(
    project: Path, pytestconfig: pytest.Config, facts: dict[str, Any], uris: list[str]
) -> None:
    conf = {"model": "m.joblib", "environment": "prd", "reason": "better"}
    given = {"facts": {**MODEL_FACTS, **facts}}
    said = operated(project, pytestconfig.rootpath, "promote_model_dag", "promote_model", conf, **given)
    assert "raised" not in said
    assert said["outlets"] == uris
    assert said["events"] == dict.fromkeys(uris, MODEL_FACTS)
