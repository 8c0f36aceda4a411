"""Serve an earlier model again."""

from airflow.sdk import DAG, Param

from bulkhead_airflow import ENVIRONMENTS, LAST, REASON, StepOperator

DOC = """
### Roll back

The environment serves the good model before the one it serves now, or the earlier one that is named.
Good is a model whose file is there and is the one that was published. One record in
`models/log.txt` says who started this run, why, and what was withdrawn; nothing is removed.
"""

with DAG(
    dag_id="rollback_model_dag",
    description="Serve the model before the one that is served now",
    schedule=None,
    catchup=False,
    tags=["bulkhead", "registry", *ENVIRONMENTS],
    params={
        "environment": Param(
            LAST,
            type="string",
            enum=list(ENVIRONMENTS),
            title="Environment",
            description="Whose served model changes.",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            title="Back to",
            description="An earlier model file, by its name. Empty: the good one before the one served now.",
        ),
        "reason": REASON,
    },
    doc_md=DOC,
):
    StepOperator(
        task_id="rollback_model",
        image="inference",
        journal="training",
        environment="{{ params.environment }}",
        flags={
            "environment": "{{ params.environment }}",
            "to": "{{ params.to or '' }}",
            "reason": "{{ params.reason }}",
        },
        doc_md="Proposes the rollback's record in `models/log.txt`.",
    )
