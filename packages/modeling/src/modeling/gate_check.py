"""The gate before publishing: is the new model good enough, by itself and beside the one served now?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sklearn.metrics import r2_score

from bulkhead.errors import NotGoodEnough, Refused, one_line
from modeling import libraries
from modeling.prediction import NotFinite, predict

if TYPE_CHECKING:
    import pandas as pd

    from bulkhead.registry.quality_gate import QualityGate
    from bulkhead.registry.records import ModelRecord
    from bulkhead.step.runner import Step
    from modeling.signature import ModelSignature


def check(
    step: Step,
    conditions: QualityGate,
    signature: ModelSignature,
    metrics: dict[str, Any],
    held_out: tuple[pd.DataFrame, pd.Series] | None,
) -> dict[str, Any]:
    """Let a model with these ``metrics`` pass, or refuse it.

    Args:
        step: whose environment, and where the served model is.
        conditions: what is asked.
        signature: what the new model was trained for.
        metrics: of the new model on ``held_out``.
        held_out: features, shape (rows, columns), and target, shape (rows,); None: nothing was held out.

    Returns:
        The conditions and what was found, for the model's record: ``served`` and its ``served_r2`` on the
        same rows, or ``not_compared``, why there is none.

    Raises:
        NotGoodEnough: it does not pass; the error has the metrics and the same findings.
    """
    r2 = metrics["r2"]
    found: dict[str, Any] = msgspec.to_builtins(conditions)
    reason = conditions.failing(step.environment, r2)
    try:
        served = step.registry.latest(step.environment)
        found["served"] = served.model_filename
        found["served_r2"] = served_r2 = _r2_of(served, step, signature, held_out)
        reason = reason or conditions.failing_beside(step.environment, r2, served.model_filename, served_r2)
    except (_NotComparableError, Refused) as error:
        found["not_compared"] = str(error)
    if reason is not None:
        raise NotGoodEnough(reason, {**metrics, "gate": found})
    return found


class _NotComparableError(Exception):
    """The served model cannot be measured on the new one's rows; that keeps no model from being published."""


def _r2_of(
    served: ModelRecord, step: Step, signature: ModelSignature, held_out: tuple[pd.DataFrame, pd.Series] | None
) -> float:
    if held_out is None or len(held_out[1]) < 2:  # noqa: PLR2004  # r2 of one row is undefined
        raise _NotComparableError("fewer than two rows were held out")
    for what, theirs, ours in (
        ("other features", served.features, signature.features),
        ("another target", served.target, signature.target),
        ("another transformation", served.transformation, signature.transformation),
    ):
        if theirs != ours:
            raise _NotComparableError(f"the served model has {what}")
    if libraries.drift(served.libraries or {}, libraries.versions()):
        raise _NotComparableError("the served model was made with other library versions")
    frame, target = held_out
    try:
        predicted = predict(step.registry.load(served), served, frame)
    except NotFinite:
        raise _NotComparableError("the served model gives no finite predictions for these rows") from None
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a pickle can fail in any way
        raise _NotComparableError(f"the served model does not predict: {one_line(repr(error), 300)}") from error
    return float(r2_score(target, predicted))
