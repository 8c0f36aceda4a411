"""Parameters that more than one pipeline has."""

from airflow.sdk import Param

from bulkhead.paths import SAMPLE

SOURCE = Param(
    SAMPLE,
    type="string",
    minLength=1,
    title="Source table",
    description="A .csv or .parquet file in shared/inputs/, by its name there; or: sample, a built-in table.",
)

REASON = Param(
    type="string",
    pattern=r"\S",  # not spaces alone
    minLength=1,
    maxLength=500,
    title="Reason",
    description="Why. The record keeps it, beside who.",
)
"""Why a person decides about a model; there is no default for that."""
