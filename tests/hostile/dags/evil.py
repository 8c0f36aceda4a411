"""Steps that attack whatever they can reach, started as every step is."""

from airflow.sdk import DAG, Param

from bulkhead_airflow import StepOperator

STEPS = {"evil_train_dag": "train_model", "evil_infer_dag": "model_inference", "evil_promote_dag": "promote_model"}

for dag_id, task_id in STEPS.items():
    with DAG(
        dag_id, schedule=None, catchup=False, max_active_runs=100, params={"attack": Param("none", type="string")}
    ):
        StepOperator(
            task_id=task_id,
            image="evil",
            journal="inference" if task_id == "model_inference" else "training",
            environment="prd" if task_id == "promote_model" else "dev",
            flags={"attack": "{{ params.attack }}"},
            seconds=40,
            retries=0,
        )
