"""The five steps, and what a test of each needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.project import Project


STEPS = [
    ("trainer", "preprocessing"),
    ("trainer", "train_model"),
    ("inference", "generate_inf_data"),
    ("inference", "preprocess_inf_data"),
    ("inference", "model_inference"),
]
"""In the order of both pipelines."""

WORK = {
    "preprocessing": "trainer.preprocessing.preprocess",
    "train_model": "trainer.training.train_and_propose",
    "generate_inf_data": "inference.data_steps.generate_inf_data",
    "preprocess_inf_data": "inference.data_steps.preprocess_inf_data",
    "model_inference": "inference.model_inference.predict_and_propose",
}

each_step = pytest.mark.parametrize(("image", "task"), STEPS, ids=[task for _, task in STEPS])


def done_before(project: Project, task: str) -> None:
    """Everything that ``task`` needs is there."""
    for image, earlier in STEPS:
        if earlier == task:
            return
        project.done(image, earlier)


def journal_of(project: Project, image: str) -> Path:
    return project.registry.training_journal if image == "trainer" else project.registry.inference_journal


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_arguments: Any, **_named: Any) -> NoReturn:
        raise error

    return fail
