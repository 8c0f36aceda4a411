"""What the scheduler's container does with the scheduler that ran in it before."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.containers.support import TAG

pytestmark = pytest.mark.container


def in_image(*command: str, database: str, arguments: str = "[]") -> subprocess.CompletedProcess[str]:
    """What a command says in a container of the Airflow image."""
    mounts = ["-v", f"{Path(__file__).parent}:/tests:ro", "--env", f"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN={database}"]
    mounts += ["--env", f"ARGUMENTS={arguments}"]
    entry, *rest = command
    start = ["docker", "run", "--rm", "--entrypoint", entry, *mounts, f"bulkhead/airflow:{TAG}", *rest]
    return subprocess.run(start, capture_output=True, text=True, check=False)


def test_schedulers_that_have_gone_are_marked_and_nothing_else() -> None:
    done = in_image("python", "/tests/hand_over_once.py", database="sqlite:////tmp/airflow.db")
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ends"] == [0, 0]
    assert found["jobs"] == [
        ["SchedulerJob", "failed", 0],
        ["SchedulerJob", "success", 1],
        ["TriggererJob", "running", 1],
        ["SchedulerJob", "failed", 0],
    ]
    assert done.stdout.count("its tasks go to their next try (2 marked)") == 1


def test_triggerers_that_have_gone_are_marked_and_nothing_else() -> None:
    database = "sqlite:////tmp/airflow.db"
    done = in_image("python", "/tests/hand_over_once.py", database=database, arguments='["triggerer"]')
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ends"] == [0, 0]
    assert [state for _, state, _ in found["jobs"]] == ["running", "success", "failed", "running"]
    assert done.stdout.count("its triggers are this one's (1 marked)") == 1


def test_a_service_that_hands_nothing_over_is_one_sentence() -> None:
    done = in_image("hand-over", "registrar", database="sqlite:////tmp/airflow.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "hand-over: 'registrar' is neither of scheduler and triggerer\n"


def test_a_database_that_is_away_is_one_sentence_and_no_start() -> None:
    done = in_image("hand-over", database="postgresql+psycopg2://airflow:secret@127.0.0.1:1/airflow")
    assert done.returncode == 1
    assert done.stderr.startswith("hand-over: Airflow's database: ")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
