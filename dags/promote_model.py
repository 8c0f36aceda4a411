"""Bring a model to the next environment, after a person has approved it."""

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param

from bulkhead_airflow import LAST, PROMOTED_TO, REASON, StepOperator, models_of

DOC = """
### Promote a model

`check_model` looks whether the environment could serve the model: its file's hash, its schema, the
library versions, the environment's gate, and a prediction. `approve` waits for a person, under
*Required Actions*, with both models side by side. `promote_model` then adds one record to
`models/log.txt`: the environment serves the same file too. Where it serves another model by then than
the one that was shown, the promotion is refused, and has to be decided again.

Rejected, the run ends with `promote_model` skipped and nothing changed.
"""

SIDE_BY_SIDE = """
{% set checked = ti.xcom_pull('check_model').facts %}
{% set new, old = checked.candidate, checked.served or {'metrics': {}} %}
| | {{ checked.origin }}, to be promoted | {{ params.environment }}, served now |
|---|---|---|
| model | {{ new.model_filename }} | {{ old.get('model_filename', 'none') }} |
| trained | {{ new.training_timestamp }} | {{ old.get('training_timestamp', '') }} |
| data | {{ new.get('data', '') }} | {{ old.get('data', '') }} |
| r2 | {{ new.metrics.get('r2', '') }} | {{ old.metrics.get('r2', '') }} |
| rmse | {{ new.metrics.get('rmse', '') }} | {{ old.metrics.get('rmse', '') }} |
| mae | {{ new.metrics.get('mae', '') }} | {{ old.metrics.get('mae', '') }} |

Reason given: {{ params.reason }}
"""

CANDIDATE = "{{ ti.xcom_pull('check_model').facts.candidate.model_filename }}"
SERVED = "{{ (ti.xcom_pull('check_model').facts.served or {'model_filename': 'none'}).model_filename }}"
APPROVER = "{{ ti.xcom_pull('approve').responded_by_user.name }}"

with DAG(
    dag_id="promote_model_dag",
    description="Serve a model in the next environment too, after approval",
    schedule=None,
    catchup=False,
    tags=["bulkhead", "registry", *PROMOTED_TO],
    params={
        "model": Param(
            type="string",
            minLength=1,
            title="Model",
            description="A model file, by its name: model_….joblib. 'just models' and the Models page list them.",
        ),
        "environment": Param(
            LAST,
            type="string",
            enum=list(PROMOTED_TO),
            title="Environment",
            description="Where it is promoted to, from the environment before.",
        ),
        "reason": REASON,
    },
    doc_md=DOC,
):
    check_model = StepOperator(
        task_id="check_model",
        image="inference",
        journal="training",
        environment="{{ params.environment }}",
        flags={"model": "{{ params.model }}", "environment": "{{ params.environment }}"},
        doc_md="Looks whether the environment could serve the model. Changes nothing.",
    )
    approve = ApprovalOperator(
        task_id="approve",
        subject="Promote {{ params.model }} to {{ params.environment }}?",
        body=SIDE_BY_SIDE,
        doc_md="Waits for a person.",
    )
    promote_model = StepOperator(
        task_id="promote_model",
        image="inference",
        journal="training",
        environment="{{ params.environment }}",
        announces=True,
        outlets=[models_of(environment) for environment in PROMOTED_TO],
        flags={
            "model": CANDIDATE,
            "environment": "{{ params.environment }}",
            "by": APPROVER,
            "reason": "{{ params.reason }}",
            "replacing": SERVED,
        },
        doc_md="Checks once more, and writes the promotion's record in `models/log.txt`.",
    )
    check_model >> approve >> promote_model
