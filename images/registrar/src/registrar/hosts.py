"""The hosts on which steps run: who lives, who is lost, and on which of them a task has its container.

A host lives while its worker says so and its engine answers. One that has been silent for the lease, or that a person
has released, is *lost*: its tasks may be started on another, and what its containers make from then on counts no more.
The first host, where the registrar is, is never lost.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bulkhead import hosts_protocol, unix_http
from bulkhead.hosts_protocol import MAIN, GivenUp, HostAnswer, HostReport, HostStatus
from registrar import host_judging
from registrar.containers import Containers
from registrar.database import Away
from registrar.folder_probes import FolderProbes
from registrar.host_tables import HostRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bulkhead.hosts_protocol import GiveUpRequest
    from registrar.containers import Container
    from registrar.host_tables import HostTables
    from registrar.logical_task import TaskKey

logger = logging.getLogger(__name__)

_LAUNCHER_SECONDS = 15.0
_REFRESH_SECONDS = 2.0
_PROBE_EVERY = 60.0
_GOOD_LOOKS = 2


class _Host:
    """What is known of one host."""

    def __init__(self, row: HostRow, containers: Containers) -> None:
        self.row = row
        self.containers = containers
        self.report: HostReport | None = None
        self.problems: list[str] = []
        self.folder_problems: list[str] | None = None
        """Of the last probe; None: there was none."""
        self.probed_at = 0.0
        self._good_looks = 0
        self.seen = time.monotonic()
        """When it lived last; at the registrar's start, then: nobody is lost because the registrar was away."""
        self.has_reported_since_release = False
        self.steps: dict[TaskKey, Container] = {}
        self.is_reachable = False
        """Whether its launcher answered when it was asked last."""

    def take_look(self, problems: list[str]) -> None:
        """Take what came of a look at its folders: one that is good has to be followed by another at once.

        What a cache has never seen it shows as it is; what it has just seen, it shows again.
        """
        self._good_looks = 0 if problems else self._good_looks + 1
        if problems:
            self.folder_problems = problems
        elif self._good_looks == _GOOD_LOOKS:
            self.folder_problems, self._good_looks, self.probed_at = [], 0, time.monotonic()


class Hosts:
    """The hosts, in memory; who they are is in Postgres, where ``registrar host-add`` and the like put them.

    Args:
        tables: who they are.
        folder: in it are ``models`` and ``shared``.
        first: the containers of the first host.
        lease: for how many seconds a silent host is waited for.
        queues: of the first host; None: there is no host but that one, and its worker is Airflow's scheduler.
        connect: makes what asks the launcher behind a socket.
    """

    def __init__(  # all by name
        self,
        tables: HostTables | None,
        folder: Path,
        first: Containers,
        *,
        lease: float = 600.0,
        queues: Sequence[str] | None = None,
        connect: Callable[[str], Containers] | None = None,
    ) -> None:
        self._tables = tables
        self._probes = FolderProbes(folder)
        self._first = first
        self.lease = lease
        self.is_on = queues is not None
        self._queues = list(queues or [])
        self._connect = connect or (lambda _name: first)
        self._lock = threading.RLock()
        self._hosts: dict[str, _Host] = {}
        self._given_up: set[str] | None = None
        self._refreshed = 0.0
        self._refreshing = threading.Lock()

    def refresh(self) -> None:
        """Take over who was added, drained, released and removed.

        Once somebody is known, Postgres may be away: hosts go on to report, and nobody is lost for it.

        Raises:
            Away: Postgres does not answer, and nobody is known yet.
        """
        if self._tables is None or not self.is_on or time.monotonic() - self._refreshed < _REFRESH_SECONDS:
            return
        # One asks, and the others go on with what is known.
        if not self._refreshing.acquire(blocking=not self._hosts):
            return
        try:
            given_up = self._tables.given_up() if self._given_up is None else self._given_up
            rows = {row.name: row for row in self._tables.rows()}
        except Away as error:
            if not self._hosts:
                raise
            logger.warning("who the hosts are is not known anew: %s", error)
            self._refreshed = time.monotonic()
            return
        finally:
            self._refreshing.release()
        rows.setdefault(MAIN, HostRow(name=MAIN, generation="", queues=self._queues))
        with self._lock:
            self._given_up = given_up | (self._given_up or set())
            for name, row in rows.items():
                self._take_over(name, row)
            for gone in self._hosts.keys() - rows.keys():
                logger.info("host %s was removed", gone)
                del self._hosts[gone]
            self._refreshed = time.monotonic()

    def names(self) -> list[str]:
        """The hosts that are known; where there is but one, it alone.

        Raises:
            Away: Postgres does not answer.
        """
        self.refresh()
        return sorted(self._hosts) if self.is_on else [MAIN]

    def containers(self, name: str) -> Containers:
        """What asks the launcher of the host ``name``.

        Raises:
            Away: there is no such host.
        """
        if not self.is_on or name == MAIN:
            return self._first
        with self._lock:
            host = self._hosts.get(name)
        if host is None:
            raise Away(f"there is no host {name}")
        return host.containers

    def report(self, name: str, report: HostReport, now: float) -> HostAnswer:
        """Take a host's report, and say what it is to do.

        Args:
            name: the host.
            report: what it says.
            now: the time, by this process's clock.

        Raises:
            Away: there is no such host, or Postgres does not answer.
        """
        self.refresh()
        with self._lock:
            host = self._hosts.get(name)
            if host is None:
                raise Away(f"there is no host {name}. Run 'just host-add {name}' on the first host.")
            if report.engine is not None:
                host.seen = time.monotonic()
                host.has_reported_since_release = True
            host.report = report
            if (looked := self._probes.judge(name, report)) is not None:
                host.take_look(looked)
            first = self._hosts[MAIN].report
            found = host_judging.problems(report, first, now=now, is_first=name == MAIN)
            if name != MAIN:
                found += (
                    ["its folders were not looked at yet."] if host.folder_problems is None else host.folder_problems
                )
            if found != host.problems:
                logger.warning("host %s: %s", name, " ".join(found) or "takes work")
            host.problems = found
            is_due = host.folder_problems != [] or time.monotonic() - host.probed_at >= _PROBE_EVERY
            probe = self._probes.begin(name) if is_due and name != MAIN else None
            return HostAnswer(problems=found, queues=host.row.queues, is_draining=host.row.is_draining, probe=probe)

    def listing(self) -> list[HostStatus]:
        """Every host, the first one first.

        Raises:
            Away: Postgres does not answer.
        """
        self.refresh()
        with self._lock:
            names = sorted(self._hosts, key=lambda name: (name != MAIN, name))
            return [self._status(self._hosts[name]) for name in names]

    def is_lost(self, name: str) -> bool:
        """Whether what runs on the host ``name`` is given up."""
        with self._lock:
            host = self._hosts.get(name)
            return name != MAIN and (host is None or self._is_lost(host))

    def note(self, name: str, steps: Sequence[Container] | None) -> None:
        """Remember which containers of tasks a host has that nobody has judged; None: its launcher does not answer."""
        with self._lock:
            host = self._hosts.get(name)
            if host is None:
                return
            host.is_reachable = steps is not None
            if steps is not None:
                host.steps = {one.task: one for one in steps if not one.is_set_aside and not one.never_ran}

    def where(self, task: TaskKey) -> str | None:
        """The host that has a container of ``task``, and is not lost; None: none is known."""
        with self._lock:
            for name, host in self._hosts.items():
                if task in host.steps and not (name != MAIN and self._is_lost(host)):
                    if host.steps[task].id in (self._given_up or ()):
                        continue
                    return name
        return None

    def give_up(self, request: GiveUpRequest) -> tuple[GivenUp, Container | None]:
        """Whether a task may be started anew though it has a container on the host ``request.host``.

        Returns:
            The answer; and of a container that was given up by it, what is known.

        Raises:
            Away: Postgres does not answer.
        """
        self.refresh()
        name = request.host
        if not self.is_on or self._tables is None:
            return GivenUp(state="unknown"), None
        with self._lock:
            host, is_lost = self._hosts.get(name), self.is_lost(name)
        if not is_lost and host is not None:
            try:
                found = self.containers(name).get(request.container)
            except Away:
                return GivenUp(state="silent", seconds=self._seconds_left(host)), None
            return GivenUp(state="gone" if found is None or found.is_set_aside else "there"), None
        self._tables.give_up(request.container, name)
        with self._lock:
            self._given_up = {*(self._given_up or ()), request.container}
            known = [one for one in (host.steps.values() if host else ()) if one.id == request.container]
        logger.warning("container %s of the lost host %s is given up", request.container[:12], name)
        is_alone = not any(
            other.identity.dag_id == request.dag_id and other.identity.run_id == request.run_id and other.is_running
            for other in self._living_steps(but=request.container)
        )
        return GivenUp(state="lost", is_alone=is_alone), known[0] if known else None

    def is_given_up(self, container: str) -> bool:
        """Whether nothing counts that the container makes.

        Raises:
            Away: Postgres does not answer, and it is not known yet.
        """
        self.refresh()
        return container in (self._given_up or ())

    # What is behind these. With the lock held.

    def _take_over(self, name: str, row: HostRow) -> None:
        host = self._hosts.get(name)
        if host is None or host.row.generation != row.generation:
            self._hosts[name] = _Host(row, self._first if name == MAIN else self._connect(name))
            return
        if host.row.released_at != row.released_at:
            host.has_reported_since_release = False
        host.row = row

    def _is_lost(self, host: _Host) -> bool:
        is_released = host.row.released_at is not None and not host.has_reported_since_release
        return is_released or self._seconds_left(host) <= 0

    def _seconds_left(self, host: _Host) -> float:
        return self.lease - (time.monotonic() - host.seen)

    def _living_steps(self, but: str) -> list[Container]:
        with self._lock:
            living = [host for name, host in self._hosts.items() if name == MAIN or not self._is_lost(host)]
            return [one for host in living for one in host.steps.values() if one.id != but]

    def _status(self, host: _Host) -> HostStatus:
        name = host.row.name
        return HostStatus(
            name=name,
            queues=host.row.queues,
            generation=host.row.generation,
            is_draining=host.row.is_draining,
            is_lost=name != MAIN and self._is_lost(host),
            seconds_silent=None if host.report is None else time.monotonic() - host.seen,
            problems=host.problems,
            report=host.report,
            running=sum(one.is_running for one in host.steps.values()) if host.is_reachable else None,
        )


def connect(project: str, folder: str = hosts_protocol.SOCKETS) -> Callable[[str], Containers]:
    """What asks the launcher of a host, by the host's name."""
    return lambda name: Containers(
        unix_http.Client(Path(folder) / f"{name}.sock", _LAUNCHER_SECONDS), project, host=name
    )
