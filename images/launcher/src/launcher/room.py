"""How much of a host its steps may take: no memory is promised twice, and no step begins that the host cannot hold.

Where there is one host, Airflow's pool sees to that. With several, a step's host is found only when a worker takes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhead.unix_http import Refusal
from engine.slots import Machine
from engine.values import in_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.settings import Settings

_FULL = 429
_NEVER = 400


def check(settings: Settings, info: Mapping[str, Any], running: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a step for which there is no room.

    Args:
        settings: its limits, and what the host offers.
        info: the engine's ``docker info``.
        running: ``docker inspect`` of the steps that run.

    Raises:
        Refusal: there is none now (429), or there can never be (400).
    """
    machine = Machine.of_host(settings, int(info.get("NCPU") or 1), int(info.get("MemTotal") or 0))
    wanted = in_bytes(settings.memory)
    if wanted > machine.memory:
        raise Refusal(
            _NEVER,
            f"it needs {_gib(wanted)} of memory ({settings.source_of('memory')}), and the host {settings.host} has"
            f" {_gib(machine.memory)} for steps. Give it less, or a queue of larger hosts.",
        )
    if settings.cpus > machine.cpus:
        raise Refusal(
            _NEVER,
            f"it needs {settings.cpus:g} CPUs ({settings.source_of('cpus')}), and the host {settings.host} has"
            f" {machine.cpus:g} for steps. Give it fewer, or a queue of larger hosts.",
        )
    taken = sum(int((one.get("HostConfig") or {}).get("Memory") or 0) for one in running)
    if taken + wanted > machine.memory:
        raise Refusal(
            _FULL,
            f"the host {settings.host} is full: {_gib(taken)} of its {_gib(machine.memory)} are promised to steps",
        )


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
