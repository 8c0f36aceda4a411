"""Runs inside the Airflow image: what StepExecutor does with tasks that only sleep, as JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from types import SimpleNamespace
from typing import Any

from airflow.executors.base_executor import BaseExecutor

from bulkhead_airflow import executor as module
from bulkhead_airflow.executor import OF_EVERY_TASK, StepExecutor

AT_ONCE = 3
SLEEP = 0.5


def sleep(workload: Any, **_: Any) -> int:
    """In the place of a task; at its end, when that was."""
    time.sleep(workload.seconds)
    return 0


class Rounds:
    """The scheduler's loop, as far as the executor is concerned."""

    def __init__(self, executor: StepExecutor) -> None:
        self.executor = executor
        self.number = 0

    def send(self, *seconds: float) -> set[str]:
        """Queue tasks that take so long; returns their keys."""
        keys = {f"task {self.number + n}": each for n, each in enumerate(seconds)}
        self.number += len(seconds)
        for key, each in keys.items():
            self.executor.queued_tasks[key] = SimpleNamespace(
                key=key,
                seconds=each,
                ti=SimpleNamespace(priority_weight=1),
                running_state=None,
                success_state="success",
                failure_state="failed",
                display_name=key,
            )
        return set(keys)

    def until_ended(self, keys: set[str]) -> float:
        """Seconds until all have ended."""
        begun = time.monotonic()
        while keys and time.monotonic() - begun < 60:
            self.executor.heartbeat()
            keys -= {key for key, (state, _) in self.executor.event_buffer.items() if state == "success"}
            self.executor.event_buffer.clear()
        return time.monotonic() - begun


BaseExecutor.run_workload = staticmethod(sleep)
executor = StepExecutor(parallelism=16)
said: dict[str, Any] = {"most": module.MOST_SECONDS}
executor.start()
rounds = Rounds(executor)
said["idle"] = len(executor.workers)
said["imported"] = [name for name in OF_EVERY_TASK if name not in sys.modules]
said["project"] = [name for name in sys.modules if name.partition(".")[0] == "project"]
begun = time.monotonic()
executor.heartbeat()
said["nothing_to_do"] = time.monotonic() - begun
# From here on a wait that nothing ended would be seen on the busiest machine.
vars(module).update(LEAST_SECONDS=30.0, MOST_SECONDS=30.0)
said["one"] = [rounds.until_ended(rounds.send(SLEEP)) - SLEEP for _ in range(AT_ONCE)]
said["one_worker"] = len(executor.workers)
said["many"] = rounds.until_ended(rounds.send(*[SLEEP] * AT_ONCE)) - SLEEP
said["many_workers"] = len(executor.workers)
# Those that have a task; one that waits for its next may have the queue's lock, here as in the LocalExecutor.
rounds.send(*[60] * AT_ONCE)
executor.heartbeat()
while executor._unread_messages.value:
    time.sleep(0.05)
for worker in list(executor.workers.values()):
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
said["after_a_kill"] = rounds.until_ended(rounds.send(SLEEP)) - SLEEP
executor.end()
print(json.dumps(said))
