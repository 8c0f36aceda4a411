"""Both pipelines from end to end, checked against an independent computation."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import joblib
import msgspec
import numpy as np
import pandas as pd
import pytest
from tests.support.project import files_in, lines_of

from bulkhead import clock
from modeling.definition import Definition
from modeling.fingerprint import fingerprint
from trainer.training import _published

if TYPE_CHECKING:
    from tests.support.project import Project

KEYS_OF_A_RESULT = {
    *(
        "protocol",
        "identity",
        "environment",
        "model_name",
        "container",
        "started",
        "finished",
        "processor_seconds",
        "peak_memory_bytes",
        "outputs",
        "facts",
        "proposal",
    )
}


def result_of(project: Project, task: str) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode((project.shared / f"{task}.json").read_bytes())
    return decoded


@pytest.fixture
def diabetes(project: Project) -> pd.DataFrame:
    """Scikit-learn's diabetes table, in the inputs too."""
    from trainer.examples import diabetes_csv

    project.put("diabetes.csv", diabetes_csv())
    return pd.read_csv(project.inputs / "diabetes.csv")


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_the_sample_is_trained_and_predicted(environment: str, project: Project) -> None:
    project.train(environment=environment)
    record = project.infer(environment=environment)
    assert np.allclose(record["predictions"], np.arange(40, 60), rtol=0, atol=1e-9)
    assert record["environment"] == environment
    assert record["rows"] == 20


def test_the_transformation_doubles_feature1_in_both_pipelines(project: Project) -> None:
    project.train()
    project.infer()
    for name in ("preprocessing", "preprocess_inf_data"):
        frame = pd.read_parquet(project.shared / f"{name}.parquet")
        assert list(frame["feature1"]) == [2 * i for i in range(20)]
        assert list(frame["feature2"]) == [i + 20 for i in range(20)]


def test_the_diabetes_table_gives_the_model_that_scikit_learn_gives(project: Project, diabetes: pd.DataFrame) -> None:
    from sklearn.linear_model import LinearRegression

    record = project.train("--source", "diabetes.csv", fraction="0")
    given = diabetes.drop(columns="target")
    plain = LinearRegression().fit(given, diabetes["target"])
    model = project.registry.load(record)[-1]
    assert np.allclose(model.coef_, plain.coef_, rtol=1e-9, atol=0)
    assert model.intercept_ == pytest.approx(plain.intercept_, rel=1e-9)
    given.to_csv(project.inputs / "patients.csv", index=False)
    inferred = project.infer("patients.csv")
    assert np.allclose(inferred["predictions"], plain.predict(given), rtol=1e-9, atol=0)
    assert (inferred["rows"], inferred["inference_data"]) == (442, "shared/inputs/patients.csv")


@pytest.mark.parametrize(("fraction", "held"), [("0.2", 89), ("0.5", 221), ("0.001", 1)])
@pytest.mark.parametrize("seed", ["0", "7"])
def test_held_out_metrics_are_those_of_an_independent_computation(
    fraction: str, held: int, seed: str, project: Project, diabetes: pd.DataFrame
) -> None:
    """NumPy alone: rows drawn by the seed, least squares by lstsq, metrics by their definitions."""
    record = project.train("--source", "diabetes.csv", fraction=fraction, seed=seed)
    measured = np.random.default_rng([int(seed), 0]).choice(442, held, replace=False, shuffle=False)
    trained = np.setdiff1d(np.arange(442), measured)
    table = np.column_stack([diabetes.drop(columns="target").to_numpy(float), np.ones(442)])
    truth = diabetes["target"].to_numpy(float)
    coefficients = np.linalg.lstsq(table[trained], truth[trained], rcond=None)[0]
    error = table[measured] @ coefficients - truth[measured]
    metrics = record.metrics or {}
    assert metrics["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-9)
    assert metrics["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-9)
    if held > 1:
        spread = np.sum((truth[measured] - truth[measured].mean()) ** 2)
        assert metrics["r2"] == pytest.approx(1 - np.sum(error**2) / spread, rel=1e-9)
    else:
        assert metrics["r2"] is None
    assert (metrics["train_rows"], metrics["test_rows"]) == (442 - held, held)
    assert metrics["evaluated_on"] == "held-out rows"
    # The model that was measured is the model that ships.
    assert np.allclose(project.registry.load(record)[-1].coef_, coefficients[:-1], rtol=1e-8, atol=0)


def test_a_share_of_zero_trains_on_all_rows_and_says_that_nothing_was_measured(project: Project) -> None:
    metrics = project.train(fraction="0").metrics
    assert metrics == {
        "evaluated_on": "nothing: all rows trained",
        "r2": None,
        "rmse": None,
        "mae": None,
        "train_rows": 20,
        "test_rows": 0,
    }


def test_the_record_says_who_trained_what_from_what(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_DAG_ID", "prd_train_model_dag")
    monkeypatch.setenv("BULKHEAD_RUN_ID", "manual__2026-01-01T00:00:00+00:00")
    monkeypatch.setenv("BULKHEAD_TRY_NUMBER", "2")
    monkeypatch.setenv("BULKHEAD_IMAGE", "bulkhead/trainer@sha256:1")
    monkeypatch.setenv("BULKHEAD_GIT_COMMIT", "abc")
    table = "a,left,b,y\n" + "".join(f"{i},{i % 3},{i * i}.5,{i}\n" for i in range(9))
    project.put("my.csv", table)
    record = project.train(
        "--source", "my.csv", "--target", "y", "--features", "b,a", environment="prd", fraction="0.3", seed="5"
    )
    (line,) = lines_of(project.registry.training_journal)
    estimator = project.registry.load(record)[-1]
    assert line["model_hash"] == joblib.hash(_published(Definition("model"), estimator))
    assert (line["dag_id"], line["run_id"]) == ("prd_train_model_dag", "manual__2026-01-01T00:00:00+00:00")
    assert (line["task_id"], line["try_number"], line["environment"]) == ("train_model", 2, "prd")
    assert (line["image"], line["git_commit"]) == ("bulkhead/trainer@sha256:1", "abc")
    assert (set(line["features"]), line["target"], line["left_out"]) == ({"a", "b"}, "y", ["left"])
    assert line["dtypes"] == {"b": "double", "a": "int64"}
    assert line["transformation"] == fingerprint("model")
    assert line["data"] == {
        "path": "shared/inputs/my.csv",
        "sha256": hashlib.sha256(table.encode()).hexdigest(),
        "rows": 9,
        "source": "my.csv",
    }
    assert line["parameters"] == {"estimator": "LinearRegression", "test_fraction": 0.3, "seed": 5}
    assert {"scikit-learn", "pandas", "numpy", "joblib", "scipy", "threadpoolctl"} < set(line["libraries"])
    assert line["libraries"].pop("python") == platform.python_version()
    assert line["libraries"] == {name: version(name) for name in line["libraries"]}
    assert str(project.folder) not in project.registry.training_journal.read_text()


def test_the_inference_record_says_what_was_predicted_from_what_by_what(project: Project) -> None:
    trained = project.train(environment="prd")
    line = project.infer(environment="prd")
    output = project.shared / line["predictions_path"].removeprefix("shared/runs/debug/")
    assert line["predictions_path"].startswith("shared/runs/debug/predictions_")
    assert line["output_sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    assert line["predictions"] == list(pd.read_parquet(output)["prediction"])
    assert (line["model_used"], line["model_hash"]) == (trained.model_filename, trained.model_hash)
    assert line["inference_data"] == "shared/runs/debug/generate_inf_data.parquet"
    sample = "feature1,feature2\n" + "".join(f"{i},{i + 20}\n" for i in range(20))
    assert line["input_sha256"] == hashlib.sha256(sample.encode()).hexdigest()
    assert (line["run_id"], line["task_id"], line["try_number"]) == ("debug", "model_inference", 1)
    assert str(project.folder) not in project.registry.inference_journal.read_text()


TASKS = ("preprocessing", "train_model", "generate_inf_data", "preprocess_inf_data", "model_inference")


def test_each_step_ends_with_a_result_file_that_describes_its_outputs(project: Project) -> None:
    project.train()
    project.infer()
    for task in TASKS:
        result = result_of(project, task)
        assert set(result) == KEYS_OF_A_RESULT
        assert result["identity"]["task_id"] == task
        assert result["environment"] == "dev"
        assert result["container"] == platform.node()
        assert clock.parse(result["started"]) <= clock.parse(result["finished"])
        for output in result["outputs"].values():
            content = (project.shared / output["path"]).read_bytes()
            assert output["sha256"] == hashlib.sha256(content).hexdigest()
            assert output["rows"] == 20


def test_the_result_of_training_names_the_model(project: Project) -> None:
    record = project.train()
    assert result_of(project, "train_model")["facts"] == {
        "model_name": "model",
        "model_filename": record.model_filename,
        "model_hash": record.model_hash,
        "sha256": record.sha256,
        "metrics": record.metrics,
    }


def test_the_result_of_inference_names_the_model_and_the_predictions(project: Project) -> None:
    project.train()
    line = project.infer()
    facts = result_of(project, "model_inference")["facts"]
    assert facts == {key: line[key] for key in ("model_used", "predictions_path", "rows")}


@pytest.mark.parametrize("rows", [20, 1001])
def test_a_result_file_is_small_enough_for_xcom_however_many_rows_there_are(rows: int, project: Project) -> None:
    project.put("t.csv", "a,target\n" + "".join(f"{i},{i * 2}\n" for i in range(rows)))
    project.train("--source", "t.csv")
    project.infer("t.csv")
    for task in TASKS:
        assert (project.shared / f"{task}.json").stat().st_size < 4096


@pytest.mark.parametrize(("rows", "inline"), [(1000, True), (1001, False)])
def test_predictions_are_inline_up_to_a_thousand_rows_and_always_in_the_file(
    rows: int,
    inline: bool,  # noqa: FBT001  # a parameter of the test
    trained_project: Project,
) -> None:
    trained_project.put("many.csv", "feature1,feature2\n" + "".join(f"{i},{i + 20}\n" for i in range(rows)))
    line = trained_project.infer("many.csv")
    (name,) = trained_project.predictions_files()
    stored = pd.read_parquet(trained_project.shared / name)["prediction"]
    assert np.allclose(stored, np.arange(rows) + 40, rtol=1e-9, atol=1e-9)
    assert line["predictions"] == (list(stored) if inline else None)
    assert line["rows"] == rows


def test_a_second_inference_in_the_same_folder_leaves_the_first_record_true(trained_project: Project) -> None:
    first, second = trained_project.infer(), trained_project.infer()
    assert first["predictions_path"] != second["predictions_path"]
    for line in (first, second):
        path = trained_project.shared / line["predictions_path"].rpartition("/")[2]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == line["output_sha256"]


def test_what_a_step_leaves_is_readable_and_writable_by_the_group(project: Project) -> None:
    """Every container runs with group 0, whatever its user."""
    project.train()
    project.infer()
    for path in project.shared.iterdir():
        assert path.stat().st_mode & 0o777 == 0o664, path.name


def test_a_run_leaves_only_what_the_design_names(project: Project) -> None:
    project.train()
    line = project.infer()
    assert set(files_in(project.shared)) == {
        *(f"{task}.json" for task in TASKS),
        *("preprocessing.parquet", "generate_inf_data.parquet", "preprocess_inf_data.parquet"),
        *("preprocessing.profile.json", "generate_inf_data.sample.parquet"),
        line["predictions_path"].rpartition("/")[2],
    }
    assert set(files_in(project.models)) == {".lock", "log.txt", "log_inference.txt", *project.model_files()}


def test_the_example_table_is_printed_whole(project: Project) -> None:
    ended = project.trainer("example_data")
    assert ended.code == 0
    header, *rows = ended.out.splitlines()
    assert header.endswith(",target")
    assert len(rows) == 442


def test_two_trainings_of_the_same_table_give_the_same_model_in_two_files(project: Project) -> None:
    first, second = project.train(), project.train()
    assert first.model_hash == second.model_hash
    assert len(set(project.model_files())) == 2
    assert first.model_filename != second.model_filename
