"""Runs inside the Airflow image: prints what Airflow makes of the DAG files, as JSON."""

from __future__ import annotations

import json
import sys

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions._internal.types import NOTSET

bag = DagBag(sys.argv[1])
dags = {
    dag_id: {
        "schedule": type(dag.timetable).__name__,
        "cron": getattr(dag.timetable, "expression", None),
        "at_once": getattr(dag.timetable, "run_immediately", None),
        "assets": sorted(asset.uri for asset in getattr(dag.timetable.asset_condition, "objects", ())),
        "start": str(dag.start_date) if dag.start_date else None,
        "catchup": dag.catchup,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "params": {name: param.schema | {"default": param.dump()["value"]} for name, param in dag.params.items()},
        # Without a default: the form waits for it, and the API refuses a trigger that does not give it.
        "required": sorted(name for name, param in dag.params.items() if param.value is NOTSET),
        "descriptions": {name: param.description for name, param in dag.params.items()},
        "tasks": {
            task.task_id: {
                "operator": type(task).__name__,
                "bases": [base.__name__ for base in type(task).__mro__],
                # A step's own; a task that runs no container has none of these.
                "command": getattr(task, "command", None),
                "image": getattr(task, "image", None),
                "environment": getattr(task, "bulkhead_environment", None),
                "model_name": getattr(task, "bulkhead_model_name", None),
                "publishes": getattr(task, "publishes", False),
                "approved_by": getattr(task, "approved_by", None),
                "engine": getattr(task, "docker_url", None),
                "pool": task.pool,
                "weight_rule": str(task.weight_rule),
                "assigned": getattr(task, "assigned_users", None),
                "waits_days": task.response_timeout.days if getattr(task, "response_timeout", None) else None,
                "templated": sorted(task.template_fields),
                "outlets": sorted(outlet.name for outlet in task.outlets),
                "retries": task.retries,
                "limits": task.limits.given() if hasattr(task, "limits") else None,
                "downstream": sorted(task.downstream_task_ids),
                "doc": task.doc_md,
                "notified": [
                    type(one).__name__
                    for one in (*task.on_failure_callback, *task.on_success_callback, *getattr(task, "notifiers", ()))
                ],
                "links": [link.name for link in task.operator_extra_links],
            }
            for task in dag.tasks
        },
    }
    for dag_id, dag in bag.dags.items()
}
heavy = {"docker", "joblib", "numpy", "pandas", "pyarrow", "scipy", "sklearn"} & {
    name.partition(".")[0] for name in sys.modules
}
print(json.dumps({"errors": bag.import_errors, "dags": dags, "heavy": sorted(heavy)}))
