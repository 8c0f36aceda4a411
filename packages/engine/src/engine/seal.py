"""The seal: what every step's container may and may not do. One place, for every step.

``docker inspect`` of a running step shows all of it under ``HostConfig``; ``just step`` sets the
same by hand. The provider's operator has no arguments for most of these; docker-py has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from docker.types import LogConfig, Mount

from bulkhead import paths
from bulkhead.registry.store import JOURNALS
from bulkhead.step.result import PROTOCOL

if TYPE_CHECKING:
    from bulkhead.identity import Identity
    from bulkhead.registry.records import JournalName
    from engine.settings import Settings

# The libraries that scikit-learn computes with read these; without them each starts a thread for
# every core of the host, however small the quota.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def host_config(settings: Settings, mounts: list[Mount]) -> dict[str, Any]:
    """Arguments of docker-py's ``create_host_config`` for a sealed container."""
    return {
        "auto_remove": False,  # it is inspected first
        "mounts": mounts,
        "network_mode": "none",
        "read_only": True,
        "tmpfs": {"/tmp": "size=256m,mode=1777"},  # noqa: S108  # the container's own, gone with it
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": settings.pids,
        "init": True,  # forwards SIGTERM, reaps children
        "nano_cpus": int(settings.cpus * 1e9),
        "mem_limit": settings.memory,
        "memswap_limit": settings.memory,
        # Whatever the engine's default driver: this one can be followed, is bounded, and keeps every byte.
        # json-file cuts long lines every 16 KiB, and puts U+FFFD for a character that the cut goes through.
        # Not compressed: that takes processor time from the step, and again from whoever reads.
        "log_config": LogConfig(type="local", config={"max-size": settings.log, "max-file": "2", "compress": "false"}),
    }


def mounts(settings: Settings, identity: Identity, pipeline: JournalName, *, publishes: bool) -> list[Mount]:
    """The folders a step sees, named from the host's point of view.

    A step that publishes may write the whole registry. Any other sees it read-only and can append
    to its pipeline's log alone.
    """

    def mount(target: str, source: str, *, read_only: bool) -> Mount:
        return Mount(target, f"{settings.host_folder}/{source}", type="bind", read_only=read_only)

    registry = [mount(paths.MODELS, "models", read_only=not publishes)]
    if not publishes:
        log = JOURNALS[pipeline]
        registry.append(mount(f"{paths.MODELS}/{log}", f"models/{log}", read_only=False))
    return [
        mount(paths.SHARED, identity.run_path, read_only=False),
        mount(paths.INPUTS, "shared/inputs", read_only=True),
        *registry,
    ]


def variables(settings: Settings, identity: Identity, environment: str) -> dict[str, str]:
    """The environment variables of a step: its identity, and threads to match its quota."""
    threads = str(max(1, math.ceil(settings.cpus)))
    known = {
        "BULKHEAD_ENVIRONMENT": environment,
        "BULKHEAD_DAG_ID": identity.dag_id,
        "BULKHEAD_RUN_ID": identity.run_id,
        "BULKHEAD_TASK_ID": identity.task_id,
        "BULKHEAD_TRY_NUMBER": identity.try_number,
        "BULKHEAD_MAP_INDEX": identity.map_index,
        "BULKHEAD_IMAGE": identity.image,
        "BULKHEAD_PROTOCOL": PROTOCOL,
    }
    return {**{name: str(value) for name, value in known.items()}, **dict.fromkeys(_THREAD_VARIABLES, threads)}
