"""What a step prints while it is deferred: live, whole, in order, with secrets masked, whatever its size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import journal_of, kill_service
from tests.faults.deferring import (
    COUNTS,
    DEFER_AFTER,
    counted,
    go,
    told,
    trigger_files,
    wait_until_deferred,
    with_dags,
)
from tests.faults.shell import limited, record_of, replaced
from tests.faults.support import AT_ONCE, TRAIN, Fault, status, wait_until
from tests.system.support import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.fault]

TELL = "dev_tell_dag"
FLOODS = """
FROM {base}
COPY <<"EOF" /flood.py
import os, sys, time
if sys.argv[1] == "train_model":
    while not os.path.exists("/shared/go"):
        time.sleep(0.1)
    print("".join(f"out {{number}}\\n" for number in range({lines})), end="", flush=True)
    time.sleep(5)
os.execvp("trainer", ["trainer", *sys.argv[1:]])
EOF
ENTRYPOINT ["python", "/flood.py"]
"""
TELLS_LATE = """
FROM {base}
COPY <<"EOF" /tell.py
import sys, time
time.sleep(10)
print(*sys.argv[2:], flush=True)
time.sleep(3)
sys.exit(70)
EOF
ENTRYPOINT ["python", "/tell.py"]
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that lets go of its steps soon."""
    folder = tmp_path_factory.mktemp("stack")
    settings = {"BULKHEAD_DEFER_AFTER": DEFER_AFTER, "BULKHEAD_STEP_SLOTS": "3"}
    with status(made := Stack(folder, **settings, **with_dags(folder), **AT_ONCE)):
        yield made


def test_the_output_of_a_deferred_step_is_live_whole_in_order_and_nothing_of_it_comes_twice(
    stack: Stack, fault: Fault
) -> None:
    lines = 400
    with replaced(stack, COUNTS, lines=lines, pause=0.05, held=True):
        run_id = stack.airflow.trigger(TRAIN)
        wait_until_deferred(stack, run_id)
        before = len(counted(told(stack, run_id), "info", "out"))
        wait_until(lambda: len(counted(told(stack, run_id), "info", "out")) > before + 20, 20, "it is not live")
        assert f'"out {before + 10}"' in journal_of(stack, run_id, 1)  # as Airflow shows it
        kill_service(stack, "launcher")
        wait_until(lambda: counted(told(stack, run_id), "info", "out")[-1:] == [lines - 1], 60, "it is not whole")
        kill_service(stack, "launcher")  # in the middle of a line that has no end
        go(stack, run_id)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    logged = told(stack, run_id)
    assert counted(logged, "info", "out") == list(range(lines))
    assert counted(logged, "warning", "err") == list(range(lines))
    # The line that had begun when the task came back is there once, whole.
    (last,) = (line for _, line in logged if line.startswith("begun "))
    assert last.endswith("to be published")


@pytest.mark.deferred
def test_a_deferred_step_that_prints_very_much_is_whole(stack: Stack, fault: Fault) -> None:
    """Where that is more than the triggerer takes, the task comes back for it."""
    lines = 200_000
    with replaced(stack, FLOODS, lines=lines):
        run_id = stack.airflow.trigger(TRAIN)
        wait_until_deferred(stack, run_id)
        go(stack, run_id)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[], seconds=600)
    assert counted(told(stack, run_id), "info", "out") == list(range(lines))


@pytest.mark.deferred
def test_a_task_that_has_come_back_is_deferred_again_and_keeps_what_its_first_trigger_has_shown(
    stack: Stack, fault: Fault
) -> None:
    """Its limit was raised meanwhile: the trigger knows the old one, and the task the new one."""
    lines = 300
    with replaced(stack, COUNTS, lines=lines, pause=0.1, held=True):
        with limited(stack, BULKHEAD_STEP_SECONDS_TRAIN_MODEL="60"):
            run_id = stack.airflow.trigger(TRAIN)
            wait_until_deferred(stack, run_id)
        wait_until(lambda: len(trigger_files(stack, run_id)) == 2, 180, "it is not deferred again")
        go(stack, run_id)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    logged = told(stack, run_id)
    assert counted(logged, "info", "out") == list(range(lines))
    assert counted(logged, "warning", "err") == list(range(lines))


@pytest.mark.deferred
def test_secrets_are_masked_in_what_a_deferred_step_prints(stack: Stack, fault: Fault) -> None:
    for key, value in {"tell_api_key": "of-the-variable-4711", "tell_plain": "plain-enough"}.items():
        stack.airflow.request("POST", "/api/v2/variables", {"key": key, "value": value})
    connection = {"connection_id": "tell", "conn_type": "http", "password": "of-the-connection-0815"}
    stack.airflow.request("POST", "/api/v2/connections", connection)
    stack.airflow.wait_for_dag(TELL)
    with replaced(stack, TELLS_LATE):
        run_id = stack.airflow.trigger(TELL, {"registered": "of-mask-secret-2342"})
        wait_until_deferred(stack, run_id, "preprocessing", TELL)
        fault.end(TELL, run_id, state="failed", models=0, failures=[(1, "crashed")])
    logged = told(stack, run_id, "preprocessing", TELL)
    assert ("info", "--password=*** --api-key=*** --registered=*** --plain=plain-enough") in logged
    whole = json.dumps([logged, record_of(stack, run_id, 1)])
    assert [secret for secret in ("4711", "0815", "2342") if secret in whole] == []
