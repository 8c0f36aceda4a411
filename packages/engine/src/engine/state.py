"""What the engine says of a container that may still run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.verdict import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIVE = {"running", "paused", "restarting"}
"""Of ``State.Status``: what can still do something."""


def age(state: Mapping[str, Any]) -> float:
    """Seconds since the container's start, from ``State`` of ``docker inspect``."""
    started = moment(state["StartedAt"])
    return (datetime.now(UTC) - started).total_seconds() if started else 0.0


def memory_used(stats: Mapping[str, Any]) -> int:
    """The most bytes that the container has used so far, or those that it uses now.

    Raises:
        KeyError: it does not run any more.
    """
    memory = stats["memory_stats"]
    # Only cgroup v1 keeps the maximum; elsewhere it is the most that a sample saw.
    return int(memory.get("max_usage") or memory["usage"])
