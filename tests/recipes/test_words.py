"""What ``just step`` and ``just demo`` make of words and records, without an engine."""

from __future__ import annotations

from typing import Any

import demo
import pytest

import step

RECORD: dict[str, Any] = {
    "model_filename": "m.joblib",
    "data": {"path": "shared/inputs/t.csv", "rows": 10, "sha256": "0" * 64},
    "features": ["a", "b"],
    "target": "y",
}


@pytest.mark.parametrize(
    ("command", "variable", "name"),
    [
        (["train_model"], None, "model"),
        (["train_model"], "", "model"),
        (["train_model"], "churn", "churn"),
        (["train_model", "--name", "other"], "churn", "other"),
        (["train_model", "--name=other"], "churn", "other"),
        (["train_model", "--name=first", "--name", "last"], None, "last"),
        (["train_model", "--named=other"], "churn", "churn"),
    ],
)
def test_a_steps_model_is_its_flags_or_the_shells_word(
    monkeypatch: pytest.MonkeyPatch, command: list[str], variable: str | None, name: str
) -> None:
    monkeypatch.delenv("BULKHEAD_MODEL_NAME", raising=False)
    if variable is not None:
        monkeypatch.setenv("BULKHEAD_MODEL_NAME", variable)
    assert step.name_of(command) == name


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        (["train_model"], "dev"),
        (["train_model", "-e", "prd"], "prd"),
        (["train_model", "-eprd"], "prd"),
        (["train_model", "--env=prd"], "prd"),
        (["train_model", "--environment", "dev", "--env", "prd"], "prd"),
        (["check_model"], ""),
    ],
)
def test_a_steps_environment_is_read_as_the_step_reads_it(
    monkeypatch: pytest.MonkeyPatch, command: list[str], environment: str
) -> None:
    monkeypatch.delenv("BULKHEAD_ENVIRONMENT", raising=False)
    assert step.environment_of(command) == environment


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        (
            {
                "metrics": {
                    "r2": 0.5,
                    "rmse": 1.25,
                    "mae": None,
                    "evaluated_on": "held out",
                    "train_rows": 8,
                    "test_rows": 2,
                }
            },
            "r2 0.5, rmse 1.25  (on 2 held-out rows of 10)",
        ),
        (
            {
                "metrics": {"accuracy": 0.75, "roc_auc": 0.9, "test_rows": 2},
                "goals": {"roc_auc": "maximize", "accuracy": "maximize"},
            },
            "roc_auc 0.9, accuracy 0.75  (on 2 held-out rows of 10)",
        ),
        ({"metrics": {"r2": None, "evaluated_on": "nothing"}}, "none: nothing"),
    ],
    ids=["of an older record", "the leading one first", "none"],
)
def test_the_demo_shows_whatever_was_measured(
    capsys: pytest.CaptureFixture[str], more: dict[str, Any], shown: str
) -> None:
    demo._show_model(RECORD | more)
    assert f"    metrics  {shown}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("predictions", "shown"),
    [([1.23456789, 2.0], "1.23457, 2"), (["gone", "stays"], "gone, stays"), ([1, 0], "1, 0")],
)
def test_the_demo_shows_predictions_of_every_kind(
    capsys: pytest.CaptureFixture[str], predictions: list[Any], shown: str
) -> None:
    demo._show_predictions({"rows": 2, "model_used": "m", "predictions_path": "p", "predictions": predictions})
    assert f"    first    {shown}\n" in capsys.readouterr().out


def test_the_demo_refuses_a_name_that_no_model_can_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["shared/inputs/diabetes.csv", "--name", "Churn"]) == 1
    assert "is no name of a model" in capsys.readouterr().err
