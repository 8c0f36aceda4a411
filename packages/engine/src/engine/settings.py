"""How steps run on this host: the variables of ``.env``, as the environment has them, and a step's own limits.

Needs the standard library alone: ``just step`` reads it on a host that has nothing else.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkhead.errors import Refused
from engine import values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_ANSWER_SECONDS = 30.0
"""What a host that stands still may take to be found silent: a request to it has to run out first."""
_LEAST_PATIENCE = 5.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A step's own limits, from its DAG; None is the general one of ``.env``.

    Raises:
        Refused: one is no limit.
    """

    seconds: float | None = None
    """How long it may run, from its container's start."""
    cpus: float | None = None
    """CPU time a second, as a hard quota."""
    memory: str | None = None
    """Docker's notation."""
    disk: str | None = None
    """Docker's notation: its run folder and output together, and any single file."""

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            try:
                _VARIABLES[name][1](value)
            except ValueError as error:
                raise Refused(f"{name} is {error}. Fix it in the DAG.") from None

    def given(self) -> dict[str, Any]:
        """Those that are set."""
        return {own.name: value for own in fields(self) if (value := getattr(self, own.name)) is not None}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How steps run on this host."""

    host_folder: str
    """The project's folder as the *engine* sees it: what a bind mount's source must name."""
    folder: Path = Path("/opt/airflow")
    """The same as this process sees it: in it compose mounts ``models`` and ``shared``."""
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
    output_size: str = "1g"
    """Docker's notation; the engine keeps a step's output in two files of this size."""
    disk: str = "20g"
    """Docker's notation; a step's run folder and output together, and any single file that it writes."""
    seconds: float = 3600.0
    """How long a step may run, from its container's start, however often Airflow lost sight of it."""
    registrar_seconds: float = 600.0
    """How long a step waits for a registrar that is away."""
    lease_seconds: float = 600.0
    """How long a try waits for a step that it left on another engine; of several hosts, how long one may be silent."""
    defer_after: float = 60.0
    """After how many seconds a running step is waited for without a process of its own; 0: never."""
    host: str = ""
    """The name of this host; empty: there is but one."""
    host_cpus: float | None = None
    """How many CPUs of this host are for steps; None: all."""
    host_memory: str | None = None
    """How much memory of this host is for steps, in Docker's notation; None: all but what services need."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """By limit, what set it, where that is not its general variable."""

    @classmethod
    def from_environment(
        cls, task_id: str, own: Limits | None = None, environment: Mapping[str, str] | None = None
    ) -> Settings:
        """The settings in ``BULKHEAD_*``, with the limits of ``task_id``.

        A limit is, in this order: ``BULKHEAD_STEP_<LIMIT>_<TASK>``, by which whoever runs this host names
        this very step; the step's own, from its DAG; ``BULKHEAD_STEP_<LIMIT>``; the default.

        Args:
            task_id: the step.
            own: its limits in the DAG.
            environment: the variables; this process's, if not given.

        Raises:
            Refused: the host folder is unknown, or a value is not what its variable takes.
        """
        variables = os.environ if environment is None else environment
        task = re.sub(r"\W", "_", task_id.upper())
        in_dag = own.given() if own else {}
        given: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for name, (general, read) in _VARIABLES.items():
            variable = general
            if name in _LIMITS and variables.get(f"{general}_{task}"):
                variable = sources[name] = f"{general}_{task}"
            elif name in in_dag:
                sources[name] = f"{name}= of {task_id} in its DAG"
                given[name] = read(in_dag[name])
                continue
            if text := variables.get(variable):
                try:
                    given[name] = read(text)
                except ValueError as error:
                    raise Refused(f"{variable} is {error}. Fix .env, then run 'just up'.") from None
        if "host_folder" not in given:
            raise Refused("BULKHEAD_HOST_DIR is not set. Run 'just up' once, it makes .env.")
        return cls(**given, sources=sources)

    @property
    def host_patience(self) -> float | None:
        """How long one of several hosts is waited for by who only waits: till about when it is lost; None: one host."""
        return max(_LEAST_PATIENCE, self.lease_seconds - _ANSWER_SECONDS) if self.host else None

    @property
    def user(self) -> str:
        """Whom a step runs as; group 0 is every container's."""
        return f"{self.uid}:0"

    def tag_of(self, image: str) -> str:
        """The tag of the image called ``image``."""
        return f"bulkhead/{image}:{self.tag}"

    def source_of(self, limit: str) -> str:
        """What set ``limit``: a variable of ``.env``, or an argument in the DAG."""
        return self.sources.get(limit, _VARIABLES[limit][0])

    def raising(self, limit: str) -> str:
        """How to raise ``limit``, as the beginning of a sentence."""
        source = self.source_of(limit)
        return f"Raise {source} in .env and run 'just up'" if source.startswith("BULKHEAD_") else f"Raise {source}"


_VARIABLES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "host_folder": ("BULKHEAD_HOST_DIR", str),
    "folder": ("AIRFLOW_HOME", Path),
    "project": ("BULKHEAD_PROJECT", str),
    "tag": ("BULKHEAD_TAG", str),
    "uid": ("BULKHEAD_UID", values.whole),
    "cpus": ("BULKHEAD_STEP_CPUS", values.cpus),
    "memory": ("BULKHEAD_STEP_MEMORY", values.size),
    "pids": ("BULKHEAD_STEP_PIDS", values.whole),
    "output_size": ("BULKHEAD_STEP_LOG", values.size),
    "disk": ("BULKHEAD_STEP_DISK", values.size),
    "seconds": ("BULKHEAD_STEP_SECONDS", values.seconds),
    "registrar_seconds": ("BULKHEAD_REGISTRAR_SECONDS", values.pause),
    "lease_seconds": ("BULKHEAD_ENGINE_LEASE", values.pause),
    "defer_after": ("BULKHEAD_DEFER_AFTER", values.pause),
    "host": ("BULKHEAD_HOST_NAME", str),
    "host_cpus": ("BULKHEAD_HOST_CPUS", values.cpus),
    "host_memory": ("BULKHEAD_HOST_MEMORY", values.size),
}
"""By field, its variable and what reads it."""
_LIMITS = tuple(limit.name for limit in fields(Limits))
