"""A hundred kills while eighty runs wait for two slots: nothing is done twice, nobody is told killed for nothing."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from airflow_client import FINAL, AirflowError
from tests.faults.outcomes import count_outcomes, state_of
from tests.faults.support import INFER, TRAIN, Fault, status, wait_until
from tests.faults.test_overload import burning
from tests.faults.test_random import HIT, SEED, VICTIMS
from tests.system.support import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.fault, pytest.mark.overload, pytest.mark.usefixtures("events")]

KILLS = int(os.environ.get("BULKHEAD_RANDOM_KILLS") or 100)
RUNS = {TRAIN: 40, "prd_train_model_dag": 30, INFER: 10}
BURNERS = 2
WITHOUT_END = {"BULKHEAD_STEP_RETRIES": "30", "BULKHEAD_STEP_RETRY_SECONDS": "1"}
"""No run fails, however often its step is killed."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """As it is shipped, but for the number of retries: its thresholds, and its slots for this machine."""
    made = Stack(tmp_path_factory.mktemp("stack"), **WITHOUT_END)
    with status(made):
        yield made


def test_a_hundred_kills_while_many_runs_wait_leave_one_outcome_each(stack: Stack, fault: Fault) -> None:
    dice = random.Random(SEED)  # noqa: S311  # dice
    begun = time.monotonic()
    for dag_id in RUNS:
        stack.airflow.wait_for_dag(dag_id)
    with burning(BURNERS):
        conf = {"source": "sample"}
        runs = {stack.airflow.trigger(dag_id, conf): dag_id for dag_id, count in RUNS.items() for _ in range(count)}
        kills = 0
        while kills < KILLS and not has_ended(stack, runs):
            time.sleep(dice.uniform(1, 10))
            victim = dice.choice([name for name in VICTIMS if name != "task marked failed"])
            kills += VICTIMS[victim](stack, "") is not None
            fault.row.note = f"{kills} kills, seed {SEED}"
        wait_until(partial(has_ended, stack, runs), 60 * len(runs), "not all runs end")
    fault.row.outcomes = count_outcomes(stack, runs, HIT)
    fault.row.models = str(len(stack.model_files() - fault.before))
    fault.row.note += f", {time.monotonic() - begun:.0f} s"
    fault.row.containers = str(len(stack.running_steps()))
    assert fault.row.containers == "0"


def has_ended(stack: Stack, runs: dict[str, str]) -> bool:
    with suppress(AirflowError):
        return all(state_of(stack, dag_id, run_id) in FINAL for run_id, dag_id in runs.items())
    return False
