"""What a stack's services take of the machine, as the engine counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from docker import APIClient

if TYPE_CHECKING:
    from tests.system.support import Stack

_SERVICE = "com.docker.compose.service"


class Usage(NamedTuple):
    """Of one service."""

    cpu_seconds: float
    """Since its start."""
    mebibytes: float
    """In use now, less the cache of files that nobody has read lately: as ``docker stats`` counts."""


def usage(stack: Stack) -> dict[str, Usage]:
    """By service, what it takes; of those that run."""
    client = APIClient(version="auto")
    label = f"com.docker.compose.project={stack.project}"
    try:
        found = client.containers(filters={"label": [label, _SERVICE], "status": "running"})
        return {one["Labels"][_SERVICE]: _of(client.stats(one["Id"], stream=False, one_shot=True)) for one in found}
    finally:
        client.close()


def _of(stats: dict[str, dict[str, dict[str, int]]]) -> Usage:
    memory = stats["memory_stats"]
    # The first is cgroup v1's name, the second v2's.
    idle = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
    used = memory["usage"] - idle  # type: ignore[operator]  # a number, unlike its neighbours
    return Usage(stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, used / (1 << 20))
