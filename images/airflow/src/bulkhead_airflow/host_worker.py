"""HostWorker: the edge provider's worker, for one of several hosts: takes what there is room for, while all is well.

Three things differ from the provider's ``EdgeWorker``, and none of them is how a task runs:

- *What it serves.* Its own queue (``host:<name>``) always: there come tasks whose container is here. The queues that
  the host was added with, while there is room, the host is not draining, and the registrar finds nothing wrong.
- *What there is room for.* A deferred task has no process, and its container runs on; so containers are counted, too.
- *Its name is its own.* Only one worker can have a host's secret, so one that was killed is not waited for when it
  begins again (the provider refuses a second worker of a name for five heartbeats).

Every few seconds it tells the registrar how the host is (``host_facts``): that is the host's sign of life.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from airflow.providers.edge3.cli import api_client
from airflow.providers.edge3.cli import worker as edge
from airflow.providers.edge3.models.edge_worker import EdgeWorkerState

from bulkhead.hosts_protocol import REPORT_SECONDS, HostAnswer, own_queue
from bulkhead_airflow.host_facts import HostFacts, Task
from engine.registrar_client import RegistrarAwayError, RegistrarClient, RegistrarRefusedError

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 20.0
_LOOKS = 4
"""How many reports follow each other at once, where the registrar has something to look for: it asks twice."""
_HEALTHY = Path(tempfile.gettempdir()) / "host-worker-reported"
"""Written with each report that was answered: what compose and ``just host-join`` look at."""


class HostWorker(edge.EdgeWorker):
    """Fetches tasks for this host and runs them.

    Args:
        facts: how the host is.
        registrar: whom that is told.
    """

    def __init__(self, facts: HostFacts, registrar: RegistrarClient) -> None:
        self._facts = facts
        self._registrar = registrar
        self._answer: HostAnswer | None = None
        self._occupied: set[Task] = set()
        self._began = time.time()
        super().__init__(
            pid_file_path=os.fspath(Path(tempfile.gettempdir()) / "edge.pid"),
            hostname=facts.name,
            queues=None,
            concurrency=facts.slots,
        )

    @property
    def queues(self) -> list[str]:
        """What it serves now."""
        answer = self._answer
        own = [own_queue(self.hostname)]
        if answer is None or answer.problems or answer.is_draining or self._free <= 0:
            return own
        return [*own, *answer.queues]

    @queues.setter
    def queues(self, value: object) -> None:
        """What Airflow's database says of them is what this worker has said before."""

    @property
    def free_concurrency(self) -> int:
        """At least one: what comes by its own queue has a place already."""
        return max(1, self._free)

    @property
    def _free(self) -> int:
        """How many more steps this host has room for."""
        mine = {
            (job.edge_job.dag_id, job.edge_job.run_id, job.edge_job.task_id, job.edge_job.map_index)
            for job in self.jobs
        }
        return self._facts.slots - len(mine | self._occupied)

    async def start(self) -> None:
        """Run until SIGTERM or SIGINT."""
        await self._report()
        await self._take_over_name()
        reports = asyncio.ensure_future(self._keep_reporting())
        try:
            await super().start()
        finally:
            reports.cancel()

    async def fetch_and_run_job(self) -> None:
        """Look what runs, then take what there is room for."""
        self._occupied = await asyncio.to_thread(self._facts.occupied, self._occupied)
        await super().fetch_and_run_job()

    async def _get_sysinfo(self) -> dict[str, Any]:
        found: dict[str, Any] = await super()._get_sysinfo()
        if self._answer is not None and self._answer.problems:
            found |= {"status": logging.ERROR, "status_text": " ".join(self._answer.problems)}
        elif self._answer is not None and self._answer.is_draining:
            found |= {"status": logging.WARNING, "status_text": "draining"}
        return found | {"free_concurrency": max(0, self._free)}

    async def _take_over_name(self) -> None:
        """What had this host's name before has gone: it was this container."""
        sysinfo = await self._get_sysinfo()
        try:
            await api_client.worker_set_state(self.hostname, EdgeWorkerState.OFFLINE, 0, None, sysinfo)
        except Exception as error:  # noqa: BLE001  # 404 of a new host; of anything else the registration tells
            logger.debug("no worker before this one: %s", error)

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            await self._report()

    async def _report(self) -> None:
        """Tell how the host is, and hear whether it may take work; again where something is to be looked for."""
        for _ in range(_LOOKS):
            try:
                before = self._answer
                report = await asyncio.to_thread(self._facts.report, self._began, max(0, self._free), before)
                answer = await asyncio.to_thread(self._registrar.report, report)
            except (RegistrarAwayError, RegistrarRefusedError) as error:
                logger.warning("the registrar does not hear of this host: %s", error)
                return
            if before is None or _said(answer) != _said(before):
                logger.log(logging.WARNING if answer.problems else logging.INFO, "this host %s", _said(answer))
            self._answer = answer
            _HEALTHY.write_text(_said(answer))
            if answer.probe is None:
                return


def _said(answer: HostAnswer) -> str:
    if answer.problems:
        return f"takes no new work: {' '.join(answer.problems)}"
    return "is draining" if answer.is_draining else f"takes work of the queues {', '.join(answer.queues)}"


def main() -> int:
    """``host-worker``: run until SIGTERM; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    facts = HostFacts.from_environment()
    registrar = RegistrarClient.from_environment(seconds=_ANSWER_SECONDS)
    asyncio.run(HostWorker(facts, registrar).start())
    return 0


if __name__ == "__main__":
    sys.exit(main())
