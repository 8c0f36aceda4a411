"""Kills at random moments: however they fall, each attempt has one outcome, and each success one model."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from airflow_client import FINAL, AirflowError
from tests.faults.acts import kill_scheduler, kill_service, mark_failed, started, task
from tests.faults.shell import docker
from tests.faults.support import TRAIN, Fault, verify, wait_until

from bulkhead.paths import run_path
from bulkhead.step import result

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.support import Stack

pytestmark = [pytest.mark.system, pytest.mark.fault, pytest.mark.usefixtures("events")]

KILLS = int(os.environ.get("BULKHEAD_RANDOM_KILLS") or 6)
SEED = int(os.environ.get("BULKHEAD_RANDOM_SEED") or time.time())
RUNS = 2
"""At once, in each round."""
LATEST = 7.0
"""Seconds from the start of the runs to the latest kill; undisturbed, they take about as long."""
TASKS = ("preprocessing", "train_model")


def test_kills_at_random_moments_leave_one_outcome_for_each_attempt(stack: Stack, fault: Fault) -> None:
    dice = random.Random(SEED)  # noqa: S311  # no secret is drawn
    kills: Counter[str] = Counter()
    attempts = 0
    begun = time.monotonic()
    while kills.total() < KILLS:
        runs = [stack.airflow.trigger(TRAIN) for _ in range(RUNS)]
        moment, victim = dice.uniform(0, LATEST), dice.choice(list(VICTIMS))
        what = fault.row.note = f"kill {kills.total() + 1}, seed {SEED}: {victim} after {moment:.2f} s"
        time.sleep(moment)
        spoilt = VICTIMS[victim](stack, dice.choice(runs))
        kills[victim] += spoilt is not None
        for run_id in runs:
            state = wait_until(partial(_end, stack, run_id), 180, f"{what}: no end of {run_id}")
            if spoilt != run_id:  # what a person has ended may have been superseded
                without = f"{what}: an attempt without outcome of {run_id}"
                wait_until(partial(_has_one_outcome, stack, run_id), 30, without)
            models = sum("model_filename" in record for record in stack.trainings(run_id))
            # One marked failed may have published before.
            assert (state, models) == ("success", 1) or (spoilt == run_id and state == "failed"), what
            attempts += len(started(stack, run_id))
        wait_until(lambda: not stack.running_steps(), 15, f"{what}: a container is left running")
    fault.row.note = f"{kills.total()} kills in {time.monotonic() - begun:.0f} s, seed {SEED}: {dict(kills)}"
    new = [record for record in stack.trainings() if record.get("model_filename") not in fault.before]
    models = sum("model_filename" in record for record in new)
    fault.row.outcomes = f"{attempts} attempts, {len(new) - models} failures"
    fault.row.models, fault.row.containers = str(models), "0"
    assert len(stack.model_files() - fault.before) == models
    verify(stack)


def _end(stack: Stack, run_id: str) -> str | None:
    """The run's final state, once it has one."""
    with suppress(AirflowError):
        state = stack.airflow.request("GET", f"/api/v2/dags/{TRAIN}/dagRuns/{run_id}")["state"]
        return str(state) if state in FINAL else None
    return None


def _has_one_outcome(stack: Stack, run_id: str) -> bool:
    """Whether each try that had a container has one outcome by now, none has two, and none is made up."""
    outcomes = [(record["task_id"], record["try_number"]) for record in stack.trainings(run_id)]
    assert len(outcomes) == len(set(outcomes)), outcomes
    # Preprocessing has no record of its success, only its proof.
    proof = result.read(stack.folder / run_path(TRAIN, run_id), "preprocessing")
    if proof is not None:
        outcomes.append(("preprocessing", proof.identity.try_number))
    return set(outcomes) >= set(started(stack, run_id))


HIT: list[tuple[str, str, int]] = []
"""Run, task and try of each step that was killed here."""


def _to_step(*command: str) -> Callable[[Stack, str], str | None]:
    """``docker ...`` to the step that runs, of whichever run; None where there is none."""

    def act(stack: Stack, _: str) -> str | None:
        for container in stack.running_steps():
            with suppress(AssertionError):  # it has just ended
                docker(*command, container["Id"])
                labels = container["Config"]["Labels"]
                key = [labels[f"io.bulkhead.{name}"] for name in ("run", "task", "try")]
                HIT.append((key[0], key[1], int(key[2])))
                return ""
        return None

    return act


def _mark_failed(stack: Stack, run_id: str) -> str | None:
    for task_id in TASKS:
        if task(stack, run_id, task_id).get("state") == "running":
            mark_failed(stack, run_id, task_id)
            return run_id
    return None


def _kill_scheduler(stack: Stack, _: str) -> str:
    kill_scheduler(stack)
    return ""


def _kill_service(service: str) -> Callable[[Stack, str], str]:
    def act(stack: Stack, _: str) -> str:
        kill_service(stack, service)
        return ""

    return act


def _restart(service: str) -> Callable[[Stack, str], str]:
    def act(stack: Stack, _: str) -> str:
        stack.compose("restart", "--timeout", "5", service)
        wait_until(lambda: _answers(stack), 60, "the API does not answer")
        return ""

    return act


def _answers(stack: Stack) -> Any:
    with suppress(AirflowError):
        return stack.airflow.request("GET", f"/api/v2/dags/{TRAIN}")


VICTIMS: dict[str, Callable[[Stack, str], str | None]] = {
    "SIGKILL to the scheduler": _kill_scheduler,
    "SIGKILL to a step": _to_step("kill"),
    "docker stop of a step": _to_step("stop", "--time", "1"),
    "docker rm --force of a step": _to_step("rm", "--force"),
    "task marked failed": _mark_failed,
    "API server restarted": _restart("api-server"),
    "Postgres restarted": _restart("postgres"),
    "SIGKILL to the registrar": _kill_service("registrar"),
    "SIGKILL to the launcher": _kill_service("launcher"),
}
"""What is done, to one of two runs where it is a run's; returns the run that may fail for it, or None for no victim."""
