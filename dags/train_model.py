"""The training pipeline, once for each environment and each model of project/."""

from airflow.sdk import DAG

from bulkhead_airflow import StepOperator, plans, training_flags, training_params

DOC = """
### Train a model

`preprocessing` checks the source table and transforms its features; `train_model` fits the model's
estimator, measures it on held-out rows and publishes it in `models/`. Which estimator, which columns and
which parameters the form has is the word of the model's file in `project/`.

A table that is not fit for training fails its task with the reason, and leaves one record in
`models/log.txt` and no model. A backfill publishes models that are not served, unless its form says so.
"""

for plan in plans("train_model"):
    with DAG(
        dag_id=plan.dag_id,
        description=f"Train {plan.model} and publish it for {plan.environment}",
        schedule=plan.schedule,
        catchup=False,
        tags=["bulkhead", "training", plan.environment, plan.name],
        params=training_params(plan),
        user_defined_macros=plan.macros,
        doc_md=DOC,
    ):
        preprocessing = StepOperator(
            task_id="preprocessing",
            image="trainer",
            journal="training",
            environment=plan.environment,
            model_name=plan.name,
            flags={
                "source": "{{ source_of(params.source, dag_run) }}",
                "target": "{{ params.target or '' }}",
                "features": "{{ params.features or '' }}",
            },
            doc_md="Reads the source table, checks its cells, transforms the features. Writes `preprocessing.parquet`.",
        )
        train_model = StepOperator(
            task_id="train_model",
            image="trainer",
            journal="training",
            environment=plan.environment,
            model_name=plan.name,
            publishes=True,
            flags=training_flags(plan.environment, plan.name),
            doc_md="Fits and measures the estimator. Proposes the model for `models/` and `models/log.txt`.",
        )
        preprocessing >> train_model
