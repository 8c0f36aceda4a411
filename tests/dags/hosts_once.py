"""Runs inside the Airflow image: what HostWorker and HostsExecutor need of the edge provider, as JSON."""

from __future__ import annotations

import inspect
import json
import sys
from types import SimpleNamespace
from typing import Any

from airflow.providers.edge3.cli.worker import EdgeWorker
from airflow.providers.edge3.executors.edge_executor import EdgeExecutor

from bulkhead.hosts_protocol import HostAnswer
from bulkhead_airflow.host_worker import HostWorker
from bulkhead_airflow.hosts_executor import HostsExecutor


def job(dag_id: str) -> Any:
    return SimpleNamespace(edge_job=SimpleNamespace(dag_id=dag_id, run_id="r", task_id="t", map_index=-1))


def said_of(worker: HostWorker, **answer: Any) -> dict[str, Any]:
    worker._answer = HostAnswer(**{"problems": [], "queues": ["default", "gpu"], **answer})
    return {"queues": worker.queues, "free": worker.free_concurrency}


def main() -> int:
    worker = HostWorker(SimpleNamespace(name="gpu1", slots=2), SimpleNamespace())  # type: ignore[arg-type]
    worker.jobs = []
    said: dict[str, Any] = {"before": {"queues": worker.queues, "free": worker.free_concurrency}}
    worker.queues = ["what the database says"]
    said["well"] = said_of(worker)
    said["problem"] = said_of(worker, problems=["its clock is wrong."])
    said["draining"] = said_of(worker, is_draining=True)
    worker.jobs = [job("one")]
    worker._occupied = {("one", "r", "t", -1)}
    said["one job with its container"] = said_of(worker)
    worker._occupied = {("one", "r", "t", -1), ("deferred", "r", "t", -1)}
    said["full"] = said_of(worker)
    overridden = ("start", "fetch_and_run_job", "_get_sysinfo")
    said["overridden"] = {name: inspect.isfunction(getattr(EdgeWorker, name, None)) for name in overridden}
    source = inspect.getsource(EdgeWorker)
    said["asks with its queues"] = "self.queues,\n            self.free_concurrency," in source
    said["executor"] = {
        name: hasattr(EdgeExecutor, name) for name in ("_job_key", "_delete_job", "queue_workload", "sync")
    }
    said["is one"] = issubclass(HostsExecutor, EdgeExecutor)
    said["libraries"] = sorted({"sklearn", "pandas", "numpy"} & set(sys.modules))
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
