"""A step's figures as Airflow's metrics: duration, peak memory, rows, and how it ended (docs/metrics.md).

They go where Airflow's own go, and nowhere where ``[metrics]`` is off.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk.observability import stats

from bulkhead import clock
from bulkhead.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.verdict import Failed

logger = logging.getLogger(__name__)

SUCCEEDED = "success"


def tags_of(environment: str, model: str, step: str, outcome: str) -> dict[str, str]:
    """What is told apart: few values each, so that no series is of one run."""
    found = {"environment": environment, "model": model, "step": step, "outcome": outcome}
    return {name: one_line(value, 80) for name, value in found.items()}


def of_success(result: Mapping[str, Any] | None, facts: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    """Tell of a step that has succeeded; ``result`` is its result file as plain values."""
    told = result or {}
    rows = facts.get("rows")
    if not isinstance(rows, int):
        outputs = told.get("outputs")
        found = [one.get("rows") for one in outputs.values() if isinstance(one, dict)] if outputs else []
        rows = max((number for number in found if isinstance(number, int)), default=None)
    _tell(tags, _seconds(told), told.get("peak_memory_bytes"), rows)


def of_failure(failed: Failed, tags: Mapping[str, str]) -> None:
    """Tell of a step that has failed."""
    _tell(tags, failed.evidence.duration_seconds, failed.evidence.peak_memory_bytes, None)


def _tell(tags: Mapping[str, str], seconds: float | None, peak: Any, rows: int | None) -> None:
    told = dict(tags)
    try:
        stats.incr("bulkhead.step.ended", tags=told)
        if seconds is not None:
            stats.timing("bulkhead.step.duration", seconds * 1000, tags=told)
        if isinstance(peak, int):
            stats.gauge("bulkhead.step.peak_memory_bytes", peak, tags=told)
        if rows is not None:
            stats.gauge("bulkhead.step.rows", rows, tags=told)
    except Exception as error:  # noqa: BLE001  # no step fails for its figures
        logger.warning("the step's metrics were not told: %s: %s", type(error).__name__, error)


def _seconds(result: Mapping[str, Any]) -> float | None:
    """How long its work took, which a result that was made from a record does not say."""
    try:
        if result.get("processor_seconds") is None:
            return None
        return (clock.parse(result["finished"]) - clock.parse(result["started"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None
