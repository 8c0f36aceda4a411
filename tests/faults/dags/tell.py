"""A step that is told secrets, in every way that Airflow has to know one."""

from airflow.sdk import DAG, Param
from airflow.sdk.log import mask_secret

from bulkhead_airflow import StepOperator


def registered(value: str) -> str:
    """``value``, which Airflow knows as a secret from now on."""
    mask_secret(value)
    return value


FORM = {"registered": Param("", type="string")}

with DAG("dev_tell_dag", schedule=None, catchup=False, params=FORM, user_defined_macros={"registered": registered}):
    StepOperator(
        task_id="preprocessing",
        image="trainer",
        journal="training",
        environment="dev",
        flags={
            "password": "{{ conn.tell.password }}",
            "api-key": "{{ var.value.tell_api_key }}",
            "registered": "{{ registered(dag_run.conf.registered) }}",
            "plain": "{{ var.value.tell_plain }}",
        },
        retries=0,
    )
