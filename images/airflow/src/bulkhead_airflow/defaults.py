"""Settings of the DAGs: environment variables that docker-compose.yaml sets from ``.env``."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from bulkhead.errors import Refused
from engine import values

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def retry_arguments(retries: int | None = None) -> dict[str, Any]:
    """Airflow's arguments for running a crashed step again: ``BULKHEAD_STEP_RETRIES`` and ``_RETRY_SECONDS``.

    Args:
        retries: the step's own number; None is the general one.

    Raises:
        Refused: one of them is no number.
    """
    times = _setting("BULKHEAD_STEP_RETRIES", "2", values.count)
    if retries is not None:
        try:
            times = values.count(retries)
        except ValueError as error:
            raise Refused(f"retries is {error}. Fix it in the DAG.") from None
    return {
        "retries": times,
        "retry_delay": timedelta(seconds=_setting("BULKHEAD_STEP_RETRY_SECONDS", "10", values.pause)),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=5),
    }


def follows(environment: str) -> bool:
    """Whether the inference pipe of ``environment`` runs after each published model: ``BULKHEAD_INFERENCE_FOLLOWS``."""
    return environment in os.environ.get("BULKHEAD_INFERENCE_FOLLOWS", "").replace(",", " ").split()


def _setting(variable: str, default: str, read: Callable[[object], T]) -> T:
    try:
        return read(os.environ.get(variable) or default)
    except ValueError as error:
        raise Refused(f"{variable} is {error}. Fix .env, then run 'just up'.") from None
