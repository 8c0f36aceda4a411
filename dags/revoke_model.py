"""Take a model out of service for ever."""

from airflow.sdk import DAG, Param

from bulkhead_airflow import ENVIRONMENTS, MODEL, REASON, StepOperator, environment_of, name_of

DOC = """
### Revoke a model

No environment serves the version any more, and none can be brought to: what served it serves the good one
before it. One record in `models/log.txt` says who started this run, and why; nothing is removed, and
nothing takes the record back. The same model trained again is another version.

To undo the latest publication alone there is `rollback_model_dag`.
"""

with DAG(
    dag_id="revoke_model_dag",
    description="Take a model out of service for ever, in every environment",
    schedule=None,
    catchup=False,
    tags=["bulkhead", "registry", *ENVIRONMENTS],
    params={
        "model": MODEL,
        "confirm": Param(
            type="string",
            minLength=1,
            maxLength=200,
            title="Confirm",
            description="The same once more, as you have typed it above: a revocation is for ever.",
        ),
        "reason": REASON,
    },
    user_defined_macros={"name_of": name_of, "environment_of": environment_of},
    doc_md=DOC,
):
    StepOperator(
        task_id="revoke_model",
        image="inference",
        journal="training",
        environment="{{ environment_of(params.model) }}",
        model_name="{{ name_of(params.model) }}",
        flags={"model": "{{ params.model }}", "confirm": "{{ params.confirm }}", "reason": "{{ params.reason }}"},
        doc_md="Proposes the revocation's record in `models/log.txt`.",
    )
