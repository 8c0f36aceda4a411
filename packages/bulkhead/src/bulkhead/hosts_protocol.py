"""What hosts and the registrar tell each other: JSON over the registrar's socket.

A host that is not the first one reaches the registrar by way of the gateway, which knows it by its secret, and puts its
name before the path: ``POST /hosts/gpu1/conclude`` is ``POST /conclude`` of the host ``gpu1``. What has no such prefix
comes from the first host.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

MAIN = "main"
"""The first host: Airflow, Postgres and the registrar are there, and it runs steps, too."""
VARIABLE = "BULKHEAD_HOST_NAME"
"""The host that a process is on; unset: there is one host."""
SOCKETS = "/run/bulkhead/hosts"
"""The folder in which the gateway has a socket for the launcher of each host, ``<name>.sock``."""
PROBES = "shared/runs/.hosts"
"""The folder in which each host writes what the registrar has told it, to show that both have one ``shared/``."""
PROBE = ".probe"
"""The file in ``models/`` in which the registrar writes what hosts have to read there."""
STEP_IMAGES = ("trainer", "inference")
REPORT_SECONDS = 5.0
"""How often a host says that it lives."""
CLOCK_SECONDS = 1.0
"""How far a host's clock may be from the first one's: times in records, and time limits, are by both."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def checked_name(name: str) -> str:
    """``name``, if a host can have it.

    Raises:
        ValueError: it cannot; the sentence says why.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a host: letters a to z, digits and dashes, at most 32.")
    return name


def own_queue(host: str) -> str:
    """The queue that this host alone serves: for tasks whose container is there."""
    return f"host:{host}"


class Probe(msgspec.Struct, frozen=True):
    """What a host has to look for, so that its folders are known to be the registrar's."""

    models: str
    """The content of ``models/.probe``, on which the registrar holds a lock for some seconds."""
    shared: str
    """What the host's launcher has to write to ``shared/runs/.hosts/<name>``."""


class Probed(msgspec.Struct, frozen=True):
    """What a host found."""

    models: str | None
    """What it read in ``models/.probe``; None: nothing."""
    is_locked: bool
    """Whether it saw the registrar's lock."""


class HostReport(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /report``, every few seconds: the host lives, and how it is."""

    time: float
    """By its clock, as ``time.time()`` counts."""
    began: float
    """When its worker began, by its clock."""
    commit: str
    """Of which commit its worker's image is."""
    engine: str | None = None
    """The engine's own id; None: it does not answer."""
    engine_version: str = ""
    cpus: float = 0
    memory: int = 0
    """Bytes."""
    slots: int = 0
    """How many steps of the usual size it runs at once."""
    free: int = 0
    images: dict[str, str] = {}
    """By purpose, a digest of what the step image holds; one that is missing is not in it."""
    code: dict[str, str] = {}
    """By folder (``dags``, ``project``), a digest of its files."""
    probed: Probed | None = None
    """What came of the last answer's probe."""
    trouble: list[str] = []
    """What the host itself finds wrong."""


class HostAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a report."""

    problems: list[str]
    """Why the host takes no new work; none: it does."""
    queues: list[str]
    """Those that it serves, beside its own."""
    is_draining: bool = False
    probe: Probe | None = None


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One host, as ``GET /hosts`` lists them."""

    name: str
    queues: list[str]
    generation: str = ""
    """Of its secret: another one each time that the host is added."""
    is_draining: bool = False
    is_lost: bool = False
    """Whether its containers count as gone: nobody has heard of it for the lease, or a person has said so."""
    seconds_silent: float | None = None
    """Since it was heard of last; None: never, since the registrar began."""
    problems: list[str] = []
    report: HostReport | None = None
    running: int | None = None
    """How many steps run there; None: its launcher does not answer."""

    @property
    def state(self) -> str:
        """In a word."""
        if self.is_lost:
            return "lost"
        if self.report is None:
            return "never seen"
        if (self.seconds_silent or 0) > 3 * REPORT_SECONDS:
            return "silent"
        if self.is_draining:
            return "draining"
        return "not ready" if self.problems else "ready"


class WhereRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /whereabouts``: on which host a logical task has its container."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


class Where(msgspec.Struct, frozen=True):
    """The answer; None: there is none, as far as is known."""

    host: str | None


class GiveUpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /give_up``: may a task be started anew, whose container is on another host?"""

    host: str
    container: str
    dag_id: str
    run_id: str


GivenUpState = Literal["unknown", "there", "gone", "silent", "lost"]


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """The answer.

    ``there``: its host lives, and has it. ``gone``: its host lives, and has it no more. ``silent``: nobody hears of its
    host; ask again. ``lost``: its host is given up, and nothing that the container makes from now on counts.
    ``unknown``: there is no such host.
    """

    state: GivenUpState
    seconds: float = 0
    """Of ``silent``: until the host is given up."""
    is_alone: bool = True
    """Of ``lost``: whether no other container of the run is known to be running."""
