"""The forms of pipelines, as Airflow has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param

from bulkhead_airflow import forms, inputs

if TYPE_CHECKING:
    from bulkhead_airflow.plan import Plan

REASON = Param(
    type="string",
    pattern=r"\S",  # not spaces alone
    minLength=1,
    maxLength=500,
    title="Reason",
    description="Why. The record keeps it, beside who.",
)
"""Why a person decides about a model; there is no default for that."""
MODEL = Param(
    type="string",
    minLength=1,
    maxLength=200,
    title="Model",
    description="Its short name (churn #12), 6 or more characters of its hash, or its file. 'just models' and the"
    " Models page list them.",
)
"""The model that a person decides about, however people call it."""


def source_param(plan: Plan) -> Param:
    """The table that a pipeline reads."""
    return Param(
        **forms.source_field(plan.environment, scheduled=plan.is_scheduled, pattern=plan.pattern, there=inputs.names())
    )


def training_params(plan: Plan) -> dict[str, Param]:
    """The whole form of a training.

    Raises:
        Refused: the project's parameters are none that a form can hold.
    """
    source = forms.source_field(
        plan.environment, scheduled=plan.is_scheduled, pattern=plan.pattern, there=inputs.names()
    )
    return {key: Param(**field) for key, field in forms.training(plan.environment, plan.name, source).items()}
