"""Parameters that more than one pipeline has."""

from airflow.sdk import Param

SOURCE = Param(
    "sample",
    type="string",
    minLength=1,
    title="Source table",
    description="A .csv or .parquet file in shared/inputs/, by its name there; or: sample, a built-in table.",
)
