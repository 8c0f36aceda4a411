"""Bring a model to the next environment, after a person has approved it."""

from airflow.sdk import DAG, Param

from bulkhead_airflow import (
    LAST,
    MODEL,
    PROMOTED_TO,
    REASON,
    PromotionApproval,
    StepOperator,
    models_of,
    name_of,
    promotable_names,
)

DOC = """
### Promote a model

`check_model` looks whether the environment could serve the model: its file's hash, its schema, the
library versions, the gate of the environment for this model, and a prediction. `approve` waits for a
person, under *Required Actions*, with both versions of the model side by side, as the registry has them.
`promote_model` then proposes one record, which the registrar adds to `models/log.txt`, with the approver
as Airflow's own record of the answer names them: the environment serves the same file too. Where it serves
another version by then than the one that was shown, the promotion is refused, and has to be decided again.
An approval counts once.

Rejected, or not answered in time, the run ends without a promotion, and a record says so.
"""

with DAG(
    dag_id="promote_model_dag",
    description="Serve a model in the next environment too, after approval",
    schedule=None,
    catchup=False,
    tags=["bulkhead", "registry", *PROMOTED_TO],
    params={
        "model": MODEL,
        "environment": Param(
            LAST,
            type="string",
            enum=list(PROMOTED_TO),
            title="Environment",
            description="Where it is promoted to, from the environment before.",
        ),
        "reason": REASON,
    },
    user_defined_macros={"name_of": name_of},
    doc_md=DOC,
):
    check_model = StepOperator(
        task_id="check_model",
        image="inference",
        journal="training",
        environment="{{ params.environment }}",
        model_name="{{ name_of(params.model) }}",
        flags={"model": "{{ params.model }}", "environment": "{{ params.environment }}"},
        doc_md="Looks whether the environment could serve the model. Changes nothing.",
    )
    approve = PromotionApproval(task_id="approve", doc_md="Waits for a person.")
    promote_model = StepOperator(
        task_id="promote_model",
        image="inference",
        journal="training",
        environment="{{ params.environment }}",
        model_name="{{ name_of(params.model) }}",
        approved_by="approve",
        publishes=True,
        outlets=[models_of(environment, name) for environment in PROMOTED_TO for name in promotable_names()],
        flags={
            "model": "{{ params.model }}",
            "environment": "{{ params.environment }}",
            "reason": "{{ params.reason }}",
        },
        doc_md="Checks once more, and proposes the promotion's record in `models/log.txt`.",
    )
    check_model >> approve >> promote_model
