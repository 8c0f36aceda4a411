"""The gate before publishing: is the new model good enough, by itself and beside the one served now?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead.errors import NotGoodEnough, Refused, one_line
from bulkhead.prediction import libraries
from bulkhead.prediction.predicting import NotFinite, estimator_of
from bulkhead.registry import quality_gate
from modeling import older
from modeling.definition import Definition
from modeling.fingerprint import OLDER

if TYPE_CHECKING:
    from bulkhead.registry.lineage import Lineage
    from bulkhead.registry.quality_gate import Allowances, QualityGate
    from bulkhead.registry.records import ModelRecord
    from bulkhead.step.runner import Step
    from modeling.measuring import Measured
    from modeling.training_rows import Rows


def check(  # what a model is judged by
    step: Step,
    conditions: QualityGate,
    asked: Allowances,
    model: Lineage,
    measured: Measured,
    held_out: Rows | None,
) -> dict[str, Any]:
    """Let ``model`` pass, or refuse it.

    Args:
        step: whose environment, and where the served model is.
        conditions: what is asked.
        asked: what this run allows, and whether the model is to be served.
        model: what the new model is, its metrics on ``held_out`` among it.
        measured: measures the served model likewise.
        held_out: the rows that were; None: there are none.

    Returns:
        The conditions and what was found, for the model's record: ``served`` and its ``served_metrics`` on the
        same rows, or ``not_compared``, why there are none.

    Raises:
        NotGoodEnough: it does not pass; the error has the metrics and the same findings.
    """
    metrics = model.metrics or {}
    found: dict[str, Any] = msgspec.to_builtins(conditions)
    del found["drift"]  # which is asked of inferences
    found |= {name: True for name in ("allow_unmeasured", "allow_signature_change") if getattr(asked, name)}
    served = step.registry.served(step.environment, model.name)
    reason = quality_gate.failing(conditions, asked, model, served, step.environment)
    try:
        served = step.registry.latest(step.environment, model.name)
        found["served"] = served.model_filename
        found["served_metrics"] = theirs = _metrics_of(served, step, model, measured, held_out if asked.serve else None)
        where = quality_gate.where(step.environment, model.name)
        reason = reason or conditions.failing_beside(where, metrics, measured.goals, served.model_filename, theirs)
    except (_NotComparableError, Refused) as error:
        found["not_compared"] = str(error)
    if reason is not None:
        raise NotGoodEnough(reason, {**metrics, "gate": found})
    return found


class _NotComparableError(Exception):
    """The served model cannot be measured on the new one's rows; that keeps no model from being published."""


def _metrics_of(
    served: ModelRecord,
    step: Step,
    model: Lineage,
    measured: Measured,
    held_out: Rows | None,
) -> dict[str, Any]:
    if held_out is None or held_out.count < 2:  # noqa: PLR2004  # r2 of one row is undefined
        raise _NotComparableError("fewer than two rows were held out, or the new model is not to be served")
    for what, theirs, ours in (
        ("other features", served.features, model.features),
        ("another target", served.target, model.target),
        ("other classes", served.classes, model.classes),
    ):
        if theirs != ours:
            raise _NotComparableError(f"the served model has {what}")
    if served.transformation != model.transformation and not _is_alike(served, model):
        raise _NotComparableError("the served model has another transformation")
    trained = served.libraries or {}
    if libraries.drift(trained, libraries.present(trained)):
        raise _NotComparableError("the served model was made with other library versions")
    try:
        return measured.measure(estimator_of(step.registry.load(served)), held_out)
    except NotGoodEnough:
        raise _NotComparableError("the served model gives no finite metrics for these rows") from None
    except NotFinite:
        raise _NotComparableError("the served model gives no finite predictions for these rows") from None
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a pickle can fail in any way
        raise _NotComparableError(f"the served model does not predict: {one_line(repr(error), 300)}") from error


def _is_alike(served: ModelRecord, model: Lineage) -> bool:
    """Whether a model of before ``project/`` gets the columns that it was trained on."""
    if served.transformation != OLDER or not model.features or not model.input_example:
        return False
    return older.is_alike(Definition(model.name), model.features, model.input_example)
