"""Settings of the DAGs: environment variables that docker-compose.yaml sets from ``.env``."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any


def retries() -> dict[str, Any]:
    """Airflow's arguments for running a crashed step again: ``BULKHEAD_STEP_RETRIES`` and ``_RETRY_SECONDS``."""
    return {
        "retries": int(os.environ.get("BULKHEAD_STEP_RETRIES") or 2),
        "retry_delay": timedelta(seconds=float(os.environ.get("BULKHEAD_STEP_RETRY_SECONDS") or 10)),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=5),
    }


def follows(environment: str) -> bool:
    """Whether the inference pipe of ``environment`` runs after each published model: ``BULKHEAD_INFERENCE_FOLLOWS``."""
    return environment in os.environ.get("BULKHEAD_INFERENCE_FOLLOWS", "").replace(",", " ").split()
