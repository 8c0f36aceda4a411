"""The inference pipeline, once for each environment and each model of project/."""

from airflow.sdk import DAG, Param

from bulkhead_airflow import StepOperator, plans, source_param

DOC = """
### Predict with the served model

`generate_inf_data` checks the source table, `preprocess_inf_data` applies the transformation of
training, `model_inference` predicts with the version of the model that this environment serves: the
newest, unless it was rolled back or revoked.

The predictions are in the run's folder below `shared/runs/` and in `models/log_inference.txt`. Data
that the model was not trained for fails its task with what differs, and leaves one record and no
predictions.
"""

PARAMS = {
    "model": Param(
        None,
        type=["null", "string"],
        maxLength=200,
        title="Model",
        description="A model of this environment: churn #12, the beginning of its hash, or its file. Empty: the one"
        " that it serves.",
    ),
    "allow_version_drift": Param(
        default=False,
        type="boolean",
        title="Allow version drift",
        description="Predict although the model was trained with other library versions; the record says so.",
    ),
}

for plan in plans("inference_pipe"):
    with DAG(
        dag_id=plan.dag_id,
        description=f"Predict with {plan.model} that {plan.environment} serves",
        schedule=plan.schedule,
        catchup=False,
        tags=["bulkhead", "inference", plan.environment, plan.name],
        params={"source": source_param(plan), **PARAMS},
        user_defined_macros=plan.macros,
        doc_md=DOC,
    ):
        generate_inf_data = StepOperator(
            task_id="generate_inf_data",
            image="inference",
            journal="inference",
            environment=plan.environment,
            model_name=plan.name,
            flags={"source": "{{ source_of(params.source, dag_run) }}", "model": "{{ params.model or '' }}"},
            doc_md="Reads the source table and checks every cell. Writes `generate_inf_data.parquet`.",
        )
        preprocess_inf_data = StepOperator(
            task_id="preprocess_inf_data",
            image="inference",
            journal="inference",
            environment=plan.environment,
            model_name=plan.name,
            doc_md="Applies the transformation that training applied. Writes `preprocess_inf_data.parquet`.",
        )
        model_inference = StepOperator(
            task_id="model_inference",
            image="inference",
            journal="inference",
            environment=plan.environment,
            model_name=plan.name,
            flags={"model": "{{ params.model or '' }}", "allow-version-drift": "{{ params.allow_version_drift }}"},
            doc_md="Predicts with the served version. Writes the predictions, and proposes their record.",
        )
        generate_inf_data >> preprocess_inf_data >> model_inference
