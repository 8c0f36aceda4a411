"""The command lines: usage, help, and the identity in the environment."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.steps.support import STEPS
from tests.support.project import Project, files_in


@pytest.mark.parametrize(
    ("image", "argv"),
    [
        ("trainer", ["nonsense"]),
        ("trainer", []),
        ("trainer", ["preprocessing", "--nonsense"]),
        ("trainer", ["preprocessing", "--environment", "test"]),
        ("trainer", ["preprocessing", "--source"]),
        ("trainer", ["preprocessing", "extra"]),
        ("trainer", ["train_model", "--test-fraction", "a fifth"]),
        ("trainer", ["train_model", "--test-fraction", ""]),
        ("trainer", ["train_model", "--seed", "-1"]),
        ("trainer", ["train_model", "--seed", "4294967296"]),
        ("trainer", ["train_model", "--seed", "1.5"]),
        ("inference", ["nonsense"]),
        ("inference", ["generate_inf_data", "--target", "y"]),
        ("inference", ["model_inference", "--environment", "PRD"]),
        ("inference", ["model_inference", "--model"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_wrong_usage_is_exit_2_with_an_explanation_and_leaves_nothing(
    image: str, argv: list[str], project: Project
) -> None:
    ended = project.run(image, argv)
    assert ended.code == 2
    assert "Usage:" in ended.err or ended.err.startswith("Error: Option")
    assert "Traceback" not in ended.err
    assert files_in(project.models) == files_in(project.shared) == []


def test_a_wrong_environment_variable_is_wrong_usage(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_ENVIRONMENT", "production")
    ended = project.trainer("preprocessing")
    assert ended.code == 2
    assert "production" in ended.err


def test_a_wrong_try_number_is_a_sentence(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_TRY_NUMBER", "first")
    ended = project.trainer("preprocessing")
    assert (ended.code, len(ended.said)) == (1, 1)
    assert "BULKHEAD_TRY_NUMBER is 'first'" in ended.said[0]


def test_the_environment_variable_chooses_the_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_ENVIRONMENT", "prd")
    project.done("trainer", "preprocessing")
    project.done("trainer", "train_model")
    assert project.registry.latest("prd").environment == "prd"


@pytest.mark.parametrize(
    ("image", "argv", "words"),
    [
        ("trainer", ["--help"], ["preprocessing", "train_model", "docker run", "Exit codes"]),
        ("trainer", ["preprocessing", "--help"], ["--source", "--target", "--features", "--environment"]),
        ("trainer", ["train_model", "--help"], ["--test-fraction", "--seed", "--environment"]),
        ("trainer", ["example_data", "--help"], ["diabetes"]),
        ("inference", ["--help"], ["generate_inf_data", "preprocess_inf_data", "model_inference", "docker run"]),
        ("inference", ["generate_inf_data", "--help"], ["--source", "--environment"]),
        ("inference", ["preprocess_inf_data", "--help"], ["--environment"]),
        ("inference", ["model_inference", "--help"], ["--model", "--environment"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_help_explains_each_command_and_touches_nothing(
    image: str, argv: list[str], words: list[str], project: Project
) -> None:
    ended = project.run(image, argv)
    assert (ended.code, ended.err) == (0, "")
    assert [word for word in words if word not in ended.out] == []
    assert files_in(project.models) == files_in(project.shared) == []


@pytest.mark.parametrize("image", ["trainer", "inference"])
def test_help_imports_nothing_heavy(image: str) -> None:
    command = STEPS[0][1] if image == "trainer" else STEPS[-1][1]
    script = (
        f"import sys; from {image} import cli; cli.main(['--help']); cli.main([{command!r}, '--help'])\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'sklearn', 'joblib', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


def test_odd_run_ids_give_a_whole_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "scheduled__2026-01-01T00:00:00+00:00 / ~é'\"\n$(x)"
    monkeypatch.setenv("BULKHEAD_DAG_ID", "prd_train_model_dag")
    monkeypatch.setenv("BULKHEAD_RUN_ID", odd)
    project.train()
    line = project.infer()
    assert line["run_id"] == odd
    assert line["predictions_path"].isascii()
    assert line["predictions_path"].startswith("shared/runs/prd_train_model_dag/scheduled__2026-01-01T00_00_00_00_00")


def test_what_the_step_says_and_what_it_records_is_one_line_whatever_the_run_is_called(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKHEAD_RUN_ID", "a\nb\x1b[2J")
    project.assert_refused(project.trainer("train_model"), "train_model", "Run preprocessing first")
