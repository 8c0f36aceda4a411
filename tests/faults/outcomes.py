"""What has come of many runs: one outcome for each logical task, and no container more than was killed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.faults.acts import started
from tests.faults.support import verify

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tests.system.support import Stack


def count_outcomes(stack: Stack, runs: Mapping[str, str], killed: Collection[tuple[str, str, int]]) -> str:
    """Check that each logical task has its one outcome; returns a sentence with the figures.

    Args:
        stack: the stack.
        runs: the DAG of each run; all of them have ended well.
        killed: run, task and try of each step that somebody killed.
    """
    records = [record for record in stack.trainings() + stack.inferences() if record["run_id"] in runs]
    successes = Counter(_task(record) for record in records if "cause" not in record)
    failures = [record for record in records if "cause" in record]
    containers: Counter[tuple[str, str]] = Counter()
    for run_id, dag_id in runs.items():
        assert state_of(stack, dag_id, run_id) == "success", run_id
        assert sum(count for key, count in successes.items() if key[1] == run_id) == 1, run_id
        for (task_id, _), count in started(stack, run_id).items():
            containers[run_id, task_id] += count
    assert max(successes.values()) == 1
    tries = [(record["run_id"], record["task_id"], record["try_number"]) for record in failures]
    assert len(tries) == len(set(tries)), "a try has two failures"
    unexplained = [record for record in failures if record["cause"] != "killed" or not _was(record, killed)]
    assert unexplained == [], "failures that nobody caused"
    # Whatever was overtaken, reset or restarted: no step ran again but one that was killed.
    hits = Counter((run_id, task_id) for run_id, task_id, _ in killed)
    twice = {key: count for key, count in containers.items() if count > 1 + hits[key]}
    assert twice == {}
    verify(stack)
    most = max((_tries(stack, dag_id, run_id) for run_id, dag_id in runs.items()), default=0)
    return f"{len(runs)} runs, {len(successes)} outcomes, {len(failures)} failures, at most {most} tries"


def state_of(stack: Stack, dag_id: str, run_id: str) -> str:
    """The run's state."""
    return str(stack.airflow.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])


def _tries(stack: Stack, dag_id: str, run_id: str) -> int:
    found = stack.airflow.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
    return max(int(one["try_number"]) for one in found["task_instances"])


def _task(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["dag_id"], record["run_id"], record["task_id"], record["map_index"]


def _was(record: dict[str, Any], killed: Collection[tuple[str, str, int]]) -> bool:
    """Whether a step of this very task was killed: its container carries the number of the try that started it."""
    return (record["run_id"], record["task_id"], record["try_number"]) in killed
