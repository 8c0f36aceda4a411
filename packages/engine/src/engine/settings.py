"""How steps run on this host: environment variables that docker-compose.yaml sets from ``.env``."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from bulkhead.errors import Refused

_VARIABLES = {
    "host_folder": "BULKHEAD_HOST_DIR",
    "project": "BULKHEAD_PROJECT",
    "tag": "BULKHEAD_TAG",
    "uid": "BULKHEAD_UID",
    "cpus": "BULKHEAD_STEP_CPUS",
    "memory": "BULKHEAD_STEP_MEMORY",
    "pids": "BULKHEAD_STEP_PIDS",
    "log": "BULKHEAD_STEP_LOG",
    "seconds": "BULKHEAD_STEP_SECONDS",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How steps run on this host."""

    host_folder: str
    """The project's folder as the *engine* sees it: what a bind mount's source must name."""
    project: str = "bulkhead"
    """Label of every container, so that two stacks on one engine know their own."""
    tag: str = "latest"
    uid: int = 50000
    """The owner of ``models/`` and ``shared/``."""
    cpus: float = 2.0
    """CPU time a second, as a hard quota."""
    memory: str = "2g"
    """Docker's notation; swap is not added to it."""
    pids: int = 256
    log: str = "1g"
    """Docker's notation; the engine keeps a step's output in two files of this size."""
    seconds: float = 3600.0
    """How long a step may run, from its container's start, however often Airflow lost sight of it."""

    @classmethod
    def from_environment(cls, task_id: str) -> Settings:
        """The settings in ``BULKHEAD_*``; ``BULKHEAD_STEP_SECONDS_<TASK_ID>`` is one step's own time limit.

        Raises:
            Refused: the host folder is unknown, or a number is not one.
        """
        variables = _VARIABLES
        own_limit = f"BULKHEAD_STEP_SECONDS_{task_id.upper()}"
        if os.environ.get(own_limit):
            variables = _VARIABLES | {"seconds": own_limit}
        given = {name: os.environ[variable] for name, variable in variables.items() if os.environ.get(variable)}
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            names = ", ".join(variables.values())
            raise Refused(f"{error}, among {names}. Fix .env, then run 'just up'.") from None

    @property
    def user(self) -> str:
        """Whom a step runs as; group 0 is every container's."""
        return f"{self.uid}:0"

    @property
    def folder(self) -> Path:
        """The project's folder as this process sees it: beside it compose mounts ``models`` and ``shared``."""
        return Path(os.environ.get("AIRFLOW_HOME", "/opt/airflow"))
