"""The training pipeline, once for each environment."""

from airflow.sdk import DAG, Param

from bulkhead_airflow import ENVIRONMENTS, SOURCE, StepOperator

DOC = """
### Train a model

`preprocessing` checks the source table and transforms its features; `train_model` fits a linear
regression, measures it on held-out rows and publishes it in `models/`.

A table that is not fit for training fails its task with the reason, and leaves one record in
`models/log.txt` and no model.
"""

PARAMS = {
    "source": SOURCE,
    "target": Param("target", type="string", minLength=1, title="Target", description="The column to predict."),
    # Null, not "": the form takes an empty string for one that is still to be filled in.
    "features": Param(
        None,
        type=["null", "string"],
        title="Features",
        description="The columns to predict from: a,b,c (one with a comma: quoted). Empty: all but the target.",
    ),
    "test_fraction": Param(
        0.2,
        type="number",
        minimum=0,
        exclusiveMaximum=1,
        title="Hold-out share",
        description="Share of the rows that only measure the model. 0: all rows train, and nothing is measured.",
    ),
}

for environment in ENVIRONMENTS:
    with DAG(
        dag_id=f"{environment}_train_model_dag",
        description=f"Train a model and publish it for {environment}",
        schedule=None,
        catchup=False,
        tags=["bulkhead", "training", environment],
        params=PARAMS,
        doc_md=DOC,
    ):
        preprocessing = StepOperator(
            task_id="preprocessing",
            image="trainer",
            journal="training",
            environment=environment,
            flags={
                "source": "{{ params.source }}",
                "target": "{{ params.target }}",
                "features": "{{ params.features or '' }}",
            },
            doc_md="Reads the source table, checks its cells, transforms the features. Writes `preprocessing.parquet`.",
        )
        train_model = StepOperator(
            task_id="train_model",
            image="trainer",
            journal="training",
            environment=environment,
            publishes=True,
            flags={"test-fraction": "{{ params.test_fraction }}"},
            doc_md="Fits and measures a linear regression. Proposes the model for `models/` and `models/log.txt`.",
        )
        preprocessing >> train_model
