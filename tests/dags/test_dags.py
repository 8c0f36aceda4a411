"""What Airflow, in its own image, makes of the DAG files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.dags.described import describe
from tests.support.staging import import_path, tree_with_staging

from bulkhead.environments import FIRST, NAMES, PROMOTED_TO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.container

PIPELINES = {f"{environment}_{pipeline}_dag" for environment in NAMES for pipeline in ("train_model", "inference_pipe")}
SWITCHES = ("allow_unmeasured", "allow_signature_change")
DAG_IDS = PIPELINES | {"check_registry_dag", "promote_model_dag", "revoke_model_dag", "rollback_model_dag"}


ONE_STEP = """
from airflow.sdk import DAG
from bulkhead_airflow import StepOperator

with DAG("one_dag", schedule=None):
    StepOperator(task_id="profile", image="trainer", journal="training", environment="dev", {arguments})
"""


@pytest.fixture(scope="module")
def described(pytestconfig: pytest.Config) -> dict[str, Any]:
    return describe(pytestconfig.rootpath / "dags")


def test_every_dag_file_imports_and_gives_its_dags(described: dict[str, Any]) -> None:
    assert described["errors"] == {}
    assert set(described["dags"]) == DAG_IDS


def test_reading_the_dags_loads_no_ml_library(described: dict[str, Any]) -> None:
    assert set(described["heavy"]) <= {"docker"}  # the provider's own


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_a_dag_runs_only_when_asked_and_explains_itself(described: dict[str, Any], dag_id: str) -> None:
    dag = described["dags"][dag_id]
    assert dag["schedule"] == "NullTimetable"
    assert dag["catchup"] is False
    assert "bulkhead" in dag["tags"]
    assert set(NAMES) & set(dag["tags"])
    assert dag["doc"].strip()
    assert all(dag["descriptions"].values())
    for task in dag["tasks"].values():
        assert task["doc"].strip()


@pytest.mark.parametrize("dag_id", sorted(PIPELINES))
def test_every_task_is_a_docker_operator_of_the_dags_own_environment(described: dict[str, Any], dag_id: str) -> None:
    for task in described["dags"][dag_id]["tasks"].values():
        assert task["operator"] == "StepOperator"
        assert "DockerOperator" in task["bases"]
        assert dag_id == f"{task['environment']}_{dag_id.split('_', 1)[1]}"


@pytest.mark.parametrize("environment", NAMES)
def test_the_tasks_run_in_the_order_of_the_pipeline(described: dict[str, Any], environment: str) -> None:
    def edges(dag_id: str) -> dict[str, list[str]]:
        return {name: task["downstream"] for name, task in described["dags"][dag_id]["tasks"].items()}

    assert edges(f"{environment}_train_model_dag") == {"preprocessing": ["train_model"], "train_model": []}
    assert edges(f"{environment}_inference_pipe_dag") == {
        "generate_inf_data": ["preprocess_inf_data"],
        "preprocess_inf_data": ["model_inference"],
        "model_inference": [],
    }


def test_every_step_waits_in_the_pool_of_steps_and_knows_no_engine_but_the_launchers(described: dict[str, Any]) -> None:
    steps = [task for dag in described["dags"].values() for task in dag["tasks"].values() if task["command"]]
    assert {task["pool"] for task in steps} == {"steps"}
    assert {task["engine"] for task in steps} == {"unix:///run/bulkhead/launcher/launcher.sock"}
    # Who comes back from waiting needs a slot to judge its step, before the next run gets one to begin.
    assert {task["weight_rule"] for task in steps} == {"upstream"}


def test_the_launcher_is_where_its_setting_says(pytestconfig: pytest.Config) -> None:
    dags = describe(pytestconfig.rootpath / "dags", BULKHEAD_LAUNCHER_SOCKET="/elsewhere/l.sock")["dags"]
    assert dags["rollback_model_dag"]["tasks"]["rollback_model"]["engine"] == "unix:///elsewhere/l.sock"


def test_a_promotion_waits_for_a_persons_approval(described: dict[str, Any]) -> None:
    tasks = described["dags"]["promote_model_dag"]["tasks"]
    assert {name: task["downstream"] for name, task in tasks.items()} == {
        "check_model": ["approve"],
        "approve": ["promote_model"],
        "promote_model": [],
    }
    assert "ApprovalOperator" in tasks["approve"]["bases"]
    assert tasks["promote_model"]["approved_by"] == "approve"


def test_who_decides_is_no_argument_of_a_step_and_no_word_of_a_person_is_a_template(described: dict[str, Any]) -> None:
    """XCom and a run's parameters can be written by whoever may start a run; the registrar asks Airflow itself."""
    commands = [
        argument
        for dag in described["dags"].values()
        for task in dag["tasks"].values()
        for argument in task["command"] or ()
    ]
    assert not [argument for argument in commands if argument.startswith("--by") or "responded_by" in argument]
    assert described["dags"]["promote_model_dag"]["tasks"]["approve"]["templated"] == []


def test_approvers_and_the_time_they_have_are_settings(described: dict[str, Any], pytestconfig: pytest.Config) -> None:
    def approve(dags: dict[str, Any]) -> tuple[Any, Any]:
        task = dags["promote_model_dag"]["tasks"]["approve"]
        return task["assigned"], task["waits_days"]

    assert approve(described["dags"]) == (None, None)
    set_so = describe(pytestconfig.rootpath / "dags", BULKHEAD_APPROVERS="ann, bob", BULKHEAD_APPROVAL_DAYS="3")
    assert approve(set_so["dags"]) == ([{"id": "ann", "name": "ann"}, {"id": "bob", "name": "bob"}], 3)


def test_training_and_promoting_update_the_asset_of_their_environments_models(described: dict[str, Any]) -> None:
    updating = {
        f"{dag_id}.{task_id}": task["outlets"]
        for dag_id, dag in described["dags"].items()
        for task_id, task in dag["tasks"].items()
        if task["outlets"]
    }
    assert updating == {
        **{f"{name}_train_model_dag.train_model": [f"{name}_models"] for name in NAMES},
        "promote_model_dag.promote_model": sorted(f"{name}_models" for name in PROMOTED_TO),
    }


def test_a_promotion_goes_to_prd_unless_its_form_says_otherwise(described: dict[str, Any]) -> None:
    asked = described["dags"]["promote_model_dag"]["params"]
    assert set(asked) == {"model", "reason", "environment"}
    assert (asked["environment"]["default"], asked["environment"]["enum"]) == ("prd", list(PROMOTED_TO))


def test_an_added_environment_has_its_dags_and_its_place_in_every_form(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    tree = tree_with_staging(pytestconfig.rootpath, tmp_path / "tree")
    inside = import_path(tree).replace(str(tree), "/tree")
    found = describe(tree / "dags", "-v", f"{tree}:/tree:ro", packages=inside, BULKHEAD_INFERENCE_FOLLOWS="staging")
    dags = found["dags"]
    assert found["errors"] == {}
    assert set(dags) == DAG_IDS | {"staging_train_model_dag", "staging_inference_pipe_dag"}
    assert dags["staging_inference_pipe_dag"]["schedule"] == "AssetTriggeredTimetable"
    assert dags["staging_train_model_dag"]["tasks"]["train_model"]["environment"] == "staging"
    assert dags["promote_model_dag"]["params"]["environment"]["enum"] == ["staging", "prd"]
    assert dags["promote_model_dag"]["tasks"]["promote_model"]["outlets"] == ["prd_models", "staging_models"]
    assert dags["rollback_model_dag"]["params"]["environment"]["enum"] == ["dev", "staging", "prd"]


def test_an_inference_pipe_can_be_switched_to_follow_its_models(pytestconfig: pytest.Config) -> None:
    dags = describe(pytestconfig.rootpath / "dags", BULKHEAD_INFERENCE_FOLLOWS="prd")["dags"]
    assert dags["prd_inference_pipe_dag"]["required"] == []
    assert dags["prd_inference_pipe_dag"]["params"]["source"]["default"] is None
    assert dags["prd_inference_pipe_dag"]["schedule"] == "AssetTriggeredTimetable"
    assert dags["dev_inference_pipe_dag"]["schedule"] == "NullTimetable"


def test_a_crashed_step_is_tried_twice_more_by_default_and_as_often_as_is_set(pytestconfig: pytest.Config) -> None:
    def retries(**variables: Any) -> set[int]:
        dags = describe(pytestconfig.rootpath / "dags", **variables)["dags"].values()
        return {task["retries"] for dag in dags for task in dag["tasks"].values() if task["command"]}

    assert retries() == {2}
    assert retries(BULKHEAD_STEP_RETRIES="0") == {0}


def test_a_step_has_limits_of_its_own_where_its_dag_gives_them(one_step: Callable[[str], Path]) -> None:
    dags = one_step("seconds=90, cpus=0.5, memory='512m', disk='1g', retries=5")
    (task,) = describe(dags, BULKHEAD_STEP_RETRIES="0")["dags"]["one_dag"]["tasks"].values()
    assert task["limits"] == {"seconds": 90, "cpus": 0.5, "memory": "512m", "disk": "1g"}
    assert task["retries"] == 5


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("seconds='soon'", "seconds is 'soon', which is no number of seconds above 0. Fix it in the DAG."),
        ("memory='2x'", "memory is '2x', which is no size (like 2g or 512m). Fix it in the DAG."),
        ("retries=-1", "retries is -1, which is below 0. Fix it in the DAG."),
    ],
)
def test_a_limit_that_is_none_is_refused_when_airflow_reads_the_dag(
    one_step: Callable[[str], Path], argument: str, sentence: str
) -> None:
    read = describe(one_step(argument))
    (error,) = read["errors"].values()
    assert sentence in error
    assert read["dags"] == {}


def test_a_number_of_retries_in_env_that_is_none_is_refused_by_its_name(pytestconfig: pytest.Config) -> None:
    errors = describe(pytestconfig.rootpath / "dags", BULKHEAD_STEP_RETRIES="often")["errors"]
    assert all("BULKHEAD_STEP_RETRIES is 'often'" in error for error in errors.values())
    assert errors


@pytest.fixture
def one_step(tmp_path: Path) -> Callable[[str], Path]:
    """A function that makes a folder with a DAG of one step, which has these arguments more."""

    def written(arguments: str) -> Path:
        folder = tmp_path / "dags"
        folder.mkdir(mode=0o755)
        (folder / "one.py").write_text(ONE_STEP.replace("{arguments}", arguments))
        return folder

    return written


@pytest.mark.parametrize("pipeline", ["train_model", "inference_pipe"])
def test_the_twins_differ_in_their_environment_and_in_what_is_safe_by_default(
    described: dict[str, Any], pipeline: str
) -> None:
    def without_environment(environment: str) -> str:
        dag = described["dags"][f"{environment}_{pipeline}_dag"]
        dag = dag | {"tags": sorted(set(dag["tags"]) - {environment}), "required": []}
        for form in ("params", "descriptions"):
            dag[form] = {name: one for name, one in dag[form].items() if name not in {"source", *SWITCHES}}
        for task in dag["tasks"].values():
            task["command"] = [word for word in task["command"] if not word.startswith("--allow-")]
        return json.dumps(dag, sort_keys=True).replace(environment, "ENV")

    assert without_environment("dev") == without_environment("prd")


def test_only_the_first_environment_falls_back_on_the_sample(described: dict[str, Any]) -> None:
    for dag_id in PIPELINES:
        dag, is_first = described["dags"][dag_id], dag_id.startswith(f"{FIRST}_")
        assert dag["required"] == ([] if is_first else ["source"]), dag_id
        assert dag["params"]["source"]["default"] == ("sample" if is_first else None), dag_id


def test_only_where_the_gate_can_refuse_is_there_a_switch_that_allows(described: dict[str, Any]) -> None:
    for environment in NAMES:
        form = described["dags"][f"{environment}_train_model_dag"]["params"]
        assert set(SWITCHES) & set(form) == (set() if environment == FIRST else set(SWITCHES))
        assert all(form[switch]["default"] is False for switch in SWITCHES if switch in form)


@pytest.mark.parametrize("dag_id", sorted(PIPELINES))
def test_a_click_on_trigger_needs_no_other_than_what_is_required(described: dict[str, Any], dag_id: str) -> None:
    """Airflow's form takes an empty string for a field that is still to be filled in, and waits."""
    for name, param in described["dags"][dag_id]["params"].items():
        assert param["default"] != "", name


def test_every_text_of_a_form_has_a_longest(described: dict[str, Any]) -> None:
    longest = {"source": 500, "target": 200, "features": 8000, "model": 200, "to": 200, "reason": 500, "confirm": 200}
    for dag in described["dags"].values():
        for name, param in dag["params"].items():
            if "string" in str(param.get("type")) and "enum" not in param:
                assert param["maxLength"] == longest[name]


def test_the_form_checks_the_hold_out_share(described: dict[str, Any]) -> None:
    share = described["dags"]["prd_train_model_dag"]["params"]["test_fraction"]
    assert (share["minimum"], share["exclusiveMaximum"], share["default"]) == (0, 1, 0.2)


def test_a_rollback_is_of_a_model_that_is_named(described: dict[str, Any]) -> None:
    dag = described["dags"]["rollback_model_dag"]
    assert (dag["params"]["name"]["default"], dag["params"]["name"]["enum"]) == ("model", ["model"])
    assert dag["tasks"]["rollback_model"]["model_name"] == "{{ params.name }}"
