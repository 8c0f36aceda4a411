"""The queue of a step, from project/steps.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.dags.without_airflow import load

from bulkhead import project_models
from bulkhead.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

placement = load("placement")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(project_models, "folder", lambda: tmp_path)
    return tmp_path


def test_without_the_file_a_step_has_no_queue_of_its_own(project: Path) -> None:
    del project
    assert placement.queue_of("train_model", "churn") is None


def test_a_models_own_queue_goes_before_that_of_all(project: Path) -> None:
    (project / "steps.toml").write_text(
        '[steps.train_model]\nqueue = "gpu"\n[churn.steps.train_model]\nqueue = "large"\n'
    )
    assert placement.queue_of("train_model", "churn") == "large"
    assert placement.queue_of("train_model", "model") == "gpu"
    assert placement.queue_of("preprocessing", "churn") is None


@pytest.mark.parametrize(
    "content",
    [
        "queue = gpu",
        "[steps.train_model]\nqueues = 'gpu'",
        "[steps.train_model]\nqueue = 'gpu'\nmemory = '4g'",
        "[steps.train_model]\nqueue = 3",
        "[steps.train_model]\nqueue = 'two words'",
        "[steps.train_model]\nqueue = ''",
        "[steps]\ntrain_model = 'gpu'",
        "[steps.train_model]",
        "[step.train_model]\nqueue = 'gpu'",
        "[churn.step.train_model]\nqueue = 'gpu'",
        "steps = 1",
        "\xff",
    ],
)
def test_what_it_does_not_take_is_refused_with_the_file(project: Path, content: str) -> None:
    (project / "steps.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(Refused, match=r"project/steps\.toml"):
        placement.queue_of("train_model", "churn")


def test_a_link_is_not_followed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "steps.toml"
    other.write_text('[steps.train_model]\nqueue = "gpu"\n')
    (project / "steps.toml").symlink_to(other)
    with pytest.raises(Refused):
        placement.queue_of("train_model", "churn")
