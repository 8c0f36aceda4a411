"""One stack for all the system tests; it takes half a minute to come and go."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.system.support import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it comes, with a second model: the example churn."""
    folder = tmp_path_factory.mktemp("own") / "project"
    shutil.copytree(ROOT / "tests/box/project", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "examples/churn/project", folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, project_folder: Path) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), BULKHEAD_PROJECT_FOLDER=str(project_folder)).status() as stack:
        yield stack


@pytest.fixture
def scheduled(stack: Stack, project_folder: Path) -> Iterator[Callable[[str], None]]:
    """Writes the project's schedule, and waits until Airflow has it; it is as before when the test ends."""
    file = project_folder / "schedule.toml"
    before = file.read_text()

    def write(text: str) -> None:
        file.write_text(text)
        stack.wait_for_schedule("prd_churn_train_model_dag")

    yield write
    file.write_text(before)
