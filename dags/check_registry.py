"""Look whether the registry's logs are those that the registrar saw last."""

from airflow.sdk import DAG

from bulkhead_airflow import ENVIRONMENTS, RegistryCheck, check_timetable

DOC = """
### Check the registry

`check_chain` asks the registrar whether `models/log.txt` and `models/log_inference.txt` go on where it saw
them end. Where somebody has cut, set back or replaced one, it fails with the sentence that says which, and
nothing is recorded until a person has looked: `just registry verify`, then `docs/operations.md`.

It runs by itself where somebody is notified of it alone (`docs/notifications.md`).
"""

with DAG(
    dag_id="check_registry_dag",
    description="Look whether the registry's logs are those that were seen last",
    schedule=check_timetable(),
    catchup=False,
    tags=["bulkhead", "registry", *ENVIRONMENTS],
    doc_md=DOC,
):
    RegistryCheck(task_id="check_chain", doc_md="Asks the registrar. Changes nothing.")
