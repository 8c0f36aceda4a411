"""StepExecutor: Airflow's LocalExecutor, quicker between tasks and smaller while it waits.

Tasks here wait for containers, so what Airflow itself adds to one is all that they cost. Three things differ from the
LocalExecutor, and none of them is what a task does or when it counts as done:

- What every task imports is imported once, in the scheduler, whose forks the workers are: not in each task's process.
- A worker is started when a task needs it, and not as many at once as there may ever be.
- Where the scheduler has nothing to do, it waits for the end of a task, and goes on at once when one ends. By itself it
  sleeps, however soon that is. So AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME is 0 in docker-compose.yaml.
"""

from __future__ import annotations

import time
from importlib import import_module
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_SECONDS, MOST_SECONDS = 0.1, 1.0
REST = 10
"""How long the scheduler waits for the end of a task, in times of what its last round took: so looking takes a tenth of
a core at most, however much there is to look at. What comes from elsewhere, as a run that is triggered, waits as long.
The most is what Airflow sleeps by itself."""

OF_EVERY_TASK = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "bulkhead_airflow",
)
"""What the process of a task imports before a DAG's own modules, which may change while the scheduler runs."""


class StepExecutor(LocalExecutor):
    """Runs tasks in processes of the scheduler's container, as many as are needed at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_flight: dict[Any, Any] = {}
        """By its key, each workload that a worker has or is to have, and the state that says only that it has begun."""
        self._has_sent = False
        self._rested = time.monotonic()

    def start(self) -> None:
        """Import what tasks need, before there is a worker."""
        for name in OF_EVERY_TASK:
            import_module(name)
        super().start()

    def sync(self) -> None:
        """Take the results that are there; where nothing else happens, wait a little for the next."""
        super().sync()
        # What has just been sent or has ended is followed by more, which the scheduler finds in its next round.
        if not self._has_sent and not self.event_buffer:
            seconds = min(max(REST * (time.monotonic() - self._rested), LEAST_SECONDS), MOST_SECONDS)
            # The queue's own end of the pipe: multiprocessing's queues have no way to wait for a while.
            wait([self.result_queue._reader], timeout=seconds)  # noqa: SLF001
            self._read_results()
        self._has_sent = False
        self._rested = time.monotonic()

    def change_state(self, key: Any, state: Any, *args: Any, **kwargs: Any) -> None:
        """Note that a workload has ended, too."""
        if key in self._in_flight and state != self._in_flight[key]:
            del self._in_flight[key]
        super().change_state(key, state, *args, **kwargs)

    def _process_workloads(self, workload_list: Sequence[Any]) -> None:
        self._in_flight |= {workload.key: workload.running_state for workload in workload_list}
        self._has_sent = True
        super()._process_workloads(workload_list)

    def _spawn_workers_with_gc_freeze(self, spawn_number: int) -> None:
        """Start no more of them than there is work for; those that are there stay for the next."""
        super()._spawn_workers_with_gc_freeze(min(spawn_number, len(self._in_flight) - len(self.workers)))
