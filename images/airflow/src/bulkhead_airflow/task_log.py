"""A task's log tells a failure once: where its sentence is told already, Airflow's stack of it says nothing.

Airflow's task runner logs whatever a task raises with the whole stack (``log.exception``), a refusal of a user's
table too, and has no setting for that. Its logs are structlog's, whose processors are a list that can be added to:
one of ours drops that very line, for that very exception. Everything else is logged as ever, and so is this if
Airflow's log is made of something else one day.
"""

from __future__ import annotations

import sys
from typing import Any

import structlog

_told: list[BaseException] = []


def told(error: BaseException) -> BaseException:
    """``error``, whose sentence is in the task's log, to be raised: Airflow's own line about it is left out."""
    processors = structlog.get_config()["processors"]
    if isinstance(processors, list) and _left_out not in processors:
        processors.insert(0, _left_out)
    _told.append(error)
    return error


def _left_out(_logger: Any, _method: str, event: Any) -> Any:
    if event.get("exc_info") and sys.exc_info()[1] in _told:
        raise structlog.DropEvent
    return event
