"""Serve an earlier model again."""

from airflow.sdk import DAG, Param

from bulkhead_airflow import ENVIRONMENTS, LAST, REASON, StepOperator, promotable_names

DOC = """
### Roll back

The environment serves the good version of the model before the one it serves now, or the earlier one that
is named. Good is a version whose file is there and is the one that was published. One record in
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
        "name": Param(
            promotable_names()[0],
            type="string",
            enum=promotable_names(),
            title="Name",
            description="Of which model: each has its own versions.",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            maxLength=200,
            title="Back to",
            description="An earlier model: churn #12, #12, the beginning of its hash, or its file. Empty: the good one"
            " before the one served now.",
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
        model_name="{{ params.name }}",
        flags={
            "environment": "{{ params.environment }}",
            "name": "{{ params.name }}",
            "to": "{{ params.to or '' }}",
            "reason": "{{ params.reason }}",
        },
        doc_md="Proposes the rollback's record in `models/log.txt`.",
    )
