"""Settings of the DAGs: environment variables that docker-compose.yaml sets from ``.env``."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bulkhead.errors import Refused
from bulkhead.hosts_protocol import MAIN, SOCKETS
from bulkhead.registry import approval
from engine import values

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

POOL = "steps"
"""Airflow's pool of all steps: how many run at once is a matter of the machine, not of the DAGs."""
_EXECUTOR = "bulkhead_airflow.executor.StepExecutor"
"""The one whose tasks run in the scheduler, also where there are several hosts."""
LAUNCHER_SOCKET = "/run/bulkhead/launcher/launcher.sock"


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


def here() -> dict[str, Any]:
    """Airflow's arguments for a task of the first host: another one's network reaches that one and no more."""
    return {"executor": _EXECUTOR} if os.environ.get("BULKHEAD_HOSTS") == "1" else {}


def follows(environment: str) -> bool:
    """Whether the inference pipe of ``environment`` runs after each published model: ``BULKHEAD_INFERENCE_FOLLOWS``."""
    return environment in os.environ.get("BULKHEAD_INFERENCE_FOLLOWS", "").replace(",", " ").split()


def approvers() -> list[dict[str, str]]:
    """Who may approve a promotion, as Airflow takes it: ``BULKHEAD_APPROVERS``, names with commas between them."""
    names = os.environ.get("BULKHEAD_APPROVERS", "").split(",")
    return [{"id": name.strip(), "name": name.strip()} for name in names if name.strip()]


def approval_time() -> timedelta | None:
    """How long an approval is waited for, ``BULKHEAD_APPROVAL_DAYS``; None: for ever.

    Raises:
        Refused: it is no number.
    """
    if not os.environ.get("BULKHEAD_APPROVAL_DAYS", "").strip():
        return None
    return timedelta(days=_setting("BULKHEAD_APPROVAL_DAYS", "", _days))


def four_eyes() -> bool:
    """Whether the one who asks for a promotion may not approve it, ``BULKHEAD_FOUR_EYES``: the registrar sees to it.

    Raises:
        Refused: it is neither on nor off.
    """
    return approval.four_eyes(os.environ.get(approval.FOUR_EYES))


def models_folder() -> Path:
    """Where the registry is, read-only."""
    return Path(os.environ.get("AIRFLOW_HOME", "/opt/airflow")) / "models"


def launcher_url() -> str:
    """Where the launcher offers its part of Docker's API: ``BULKHEAD_LAUNCHER_SOCKET``."""
    return f"unix://{os.environ.get('BULKHEAD_LAUNCHER_SOCKET') or LAUNCHER_SOCKET}"


def launcher_socket(host: str) -> str:
    """The socket of the launcher of ``host``, on the first host; empty: that host's own."""
    if host in {"", MAIN}:
        return launcher_url().removeprefix("unix://")
    return f"{SOCKETS}/{host}.sock"


def _days(value: object) -> float:
    try:
        return values.seconds(value)
    except ValueError:
        raise ValueError(f"{value!r}, which is no number of days above 0") from None


def _setting(variable: str, default: str, read: Callable[[object], T]) -> T:
    try:
        return read(os.environ.get(variable) or default)
    except ValueError as error:
        raise Refused(f"{variable} is {error}. Fix .env, then run 'just up'.") from None
