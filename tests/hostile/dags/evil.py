"""Steps that attack whatever they can reach, started as every step is."""

from typing import Any

from airflow.sdk import DAG, Param

from bulkhead_airflow import StepOperator

STEPS = {"evil_train_dag": "train_model", "evil_infer_dag": "model_inference", "evil_promote_dag": "promote_model"}
OF_ALL: dict[str, Any] = {"catchup": False, "max_active_runs": 100}
EVIL: dict[str, Any] = {"image": "evil", "journal": "training", "environment": "dev", "seconds": 40, "retries": 0}
ATTACK = Param("none", type="string")

for dag_id, task_id in STEPS.items():
    with DAG(dag_id, params={"attack": ATTACK}, schedule=None, **OF_ALL):
        journal = "inference" if task_id == "model_inference" else "training"
        environment = "prd" if task_id == "promote_model" else "dev"
        told = {"journal": journal, "environment": environment, "flags": {"attack": "{{ params.attack }}"}}
        StepOperator(task_id=task_id, **EVIL | told)

with DAG("evil_swap_dag", params={"attack": ATTACK}, schedule=None, **OF_ALL):
    StepOperator(task_id="train_model", flags={"attack": "{{ params.attack }}"}, **EVIL)
    StepOperator(task_id="preprocessing", flags={"attack": "swapper"}, **EVIL)

with DAG("evil_transformation_dag", params={"attack": ATTACK}, schedule=None, **OF_ALL):
    prepared = StepOperator(task_id="preprocessing", **EVIL | {"image": "evil-transformation"})
    prepared >> StepOperator(task_id="train_model", **EVIL | {"image": "trainer"})
