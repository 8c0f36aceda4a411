"""A step that Airflow itself gives so much time and no more."""

from datetime import timedelta

from airflow.sdk import DAG

from bulkhead_airflow import StepOperator

with DAG("dev_patient_dag", schedule=None, catchup=False):
    StepOperator(
        task_id="train_model",
        image="trainer",
        journal="training",
        environment="dev",
        execution_timeout=timedelta(seconds=40),
        retries=0,
    )
