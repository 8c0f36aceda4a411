"""The operator's settings: environment variables that docker-compose.yaml sets from ``.env``."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from airflow.sdk.exceptions import AirflowFailException

_VARIABLES = {
    "host_folder": "BULKHEAD_HOST_DIR",
    "project": "BULKHEAD_PROJECT",
    "tag": "BULKHEAD_TAG",
    "uid": "BULKHEAD_UID",
    "cpus": "BULKHEAD_STEP_CPUS",
    "memory": "BULKHEAD_STEP_MEMORY",
    "pids": "BULKHEAD_STEP_PIDS",
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

    @classmethod
    def from_environment(cls) -> Settings:
        """The settings in ``BULKHEAD_*``.

        Raises:
            AirflowFailException: the host folder is unknown, or a number is not one.
        """
        given = {name: os.environ[variable] for name, variable in _VARIABLES.items() if os.environ.get(variable)}
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            names = ", ".join(_VARIABLES.values())
            raise AirflowFailException(f"{error}, among {names}. Mend .env, then run 'just up'.") from None

    @property
    def user(self) -> str:
        """Whom a step runs as; group 0 is every container's."""
        return f"{self.uid}:0"

    @property
    def folder(self) -> Path:
        """The project's folder as this process sees it: beside it compose mounts ``models`` and ``shared``."""
        return Path(os.environ.get("AIRFLOW_HOME", "/opt/airflow"))
