"""One stack for all the system tests; it takes half a minute to come and go."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.system.support import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


OWN_DAG = """
from airflow.sdk import DAG

from bulkhead_airflow import StepOperator

with DAG(dag_id="own_dag", schedule=None, tags=["mine"]):
    StepOperator(
        task_id="preprocessing", image="trainer", journal="training", environment="dev", model_name="churn",
        flags={"source": "churn.csv"},
    )
"""


SECRET = "of the receiver"  # noqa: S105  # of these tests
TOLD = {
    "BULKHEAD_NOTIFY_WEBHOOK": "http://receiver:8000/hook",
    "BULKHEAD_NOTIFY_WEBHOOK_SECRET": SECRET,
    "BULKHEAD_NOTIFY_MAIL_TO": "ops@example.org",
    "BULKHEAD_SMTP_HOST": "receiver",
    "BULKHEAD_SMTP_PORT": "2525",
    "BULKHEAD_SMTP_STARTTLS": "0",
    "BULKHEAD_OTEL": "1",
    "BULKHEAD_OTEL_ENDPOINT": "http://receiver:4318",
}
"""Who is told of what happens on the stack: a container on its network, ``receiver.py``."""


@pytest.fixture(scope="session")
def project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it comes, with a second model: the example churn."""
    folder = tmp_path_factory.mktemp("own") / "project"
    shutil.copytree(ROOT / "tests/box/project", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "examples/churn/project", folder, dirs_exist_ok=True)
    (folder / "dags/own.py").write_text(OWN_DAG)
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, project_folder: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, BULKHEAD_PROJECT_FOLDER=str(project_folder), **TOLD).status() as stack, stack.receiver():
        yield stack


@pytest.fixture
def scheduled(stack: Stack, project_folder: Path) -> Iterator[Callable[[str], None]]:
    """Writes the project's schedule, and waits until Airflow has it; it is as before when the test ends."""
    file = project_folder / "schedule.toml"
    before = file.read_text()

    def write(text: str) -> None:
        file.write_text(text)
        cron = re.search(r'^\[prd\.churn\.train_model\]\ncron = "(.*)"', text, re.MULTILINE)
        stack.wait_for_schedule("prd_churn_train_model_dag", cron[1] if cron else None)

    yield write
    file.write_text(before)
