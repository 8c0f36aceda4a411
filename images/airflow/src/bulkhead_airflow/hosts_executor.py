"""HostsExecutor: the edge provider's EdgeExecutor, for steps whose containers stay on their hosts.

What it adds is where a task goes, and when one is taken from a host:

- A task that has a container on a host goes to that host's own queue: a deferred one that comes back, and one that
  Airflow took from its process. The registrar knows which has one.
- A host that is lost (the registrar says so: silent for the lease, or released) has its tasks taken away; they go to
  their next try as orphans do, which uses up no retry.
- So have the tasks of a worker that has begun anew: its processes died with it.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.executors import workloads
from airflow.models.taskinstance import TaskInstance
from airflow.providers.edge3.executors.edge_executor import EdgeExecutor
from airflow.providers.edge3.models.edge_job import EdgeJobModel
from airflow.utils.session import NEW_SESSION, provide_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from bulkhead.hosts_protocol import CLOCK_SECONDS, own_queue
from engine.registrar_client import RegistrarAwayError, RegistrarClient, RegistrarRefusedError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from bulkhead.hosts_protocol import HostStatus

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 3.0
_LOOK_SECONDS = 2.0
_AWAY_SECONDS = 5.0
"""For how long a registrar that did not answer is not asked again: the scheduler has other things to do."""
_PREFIX = own_queue("")
_TAKEN = (TaskInstanceState.RUNNING, TaskInstanceState.RESTARTING)
"""Of a job that a worker has: the second one, until it says that it has begun."""


class HostsExecutor(EdgeExecutor):
    """Gives tasks to hosts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._registrar = RegistrarClient.from_environment(seconds=_ANSWER_SECONDS)
        self._ask_again = 0.0
        self._looked = 0.0

    def queue_workload(self, workload: workloads.All, session: Session) -> None:
        """Put a task where hosts fetch it: by its queue, or where its container is."""
        super().queue_workload(workload, session)
        if not isinstance(workload, workloads.ExecuteTask):
            return
        ti = workload.ti
        host = self._where(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        if host is not None:
            self._job_of(ti, session).queue = own_queue(host)

    @provide_session
    def sync(self, *, session: Session = NEW_SESSION) -> None:
        """Take over what hosts have reported; take from lost ones what they had."""
        super().sync(session=session)
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        hosts = self._hosts()
        if hosts is None:
            return
        self._take_back({host.name: host for host in hosts if not host.is_lost}, session)

    def _take_back(self, living: dict[str, HostStatus], session: Session) -> None:
        # Read without locks: a worker that fetches passes over rows that are locked.
        states = (TaskInstanceState.QUEUED, *_TAKEN)
        for job in session.scalars(select(EdgeJobModel).where(EdgeJobModel.state.in_(states))).all():
            why = _why_back(job, living)
            if why is not None and (locked := self._locked(job, session)) is not None:
                if locked.state == TaskInstanceState.QUEUED:
                    self._send_elsewhere(locked, why)
                elif locked.state in _TAKEN:
                    self._reset(locked, why, session)
        session.commit()

    def _locked(self, job: EdgeJobModel, session: Session) -> EdgeJobModel | None:
        """The job, for nobody else to change; None: somebody does."""
        mine = (
            *_of_try(job),
            EdgeJobModel.task_instance_id == job.task_instance_id,
            EdgeJobModel.state == job.state,
        )
        again = {"populate_existing": True}
        found: EdgeJobModel | None = session.scalar(
            select(EdgeJobModel).where(*mine).with_for_update(skip_locked=True).execution_options(**again)
        )
        return found

    def _send_elsewhere(self, job: EdgeJobModel, why: str) -> None:
        """Let a job that waits for one host be fetched by others, by the task's own queue."""
        asked = json.loads(job.command).get("ti", {}).get("queue")
        if asked and asked != job.queue:
            logger.warning("%s %s %s goes to the queue %s: %s", job.dag_id, job.run_id, job.task_id, asked, why)
            job.queue = asked

    def _reset(self, job: EdgeJobModel, why: str, session: Session) -> None:
        """Give a task to its next try, as the scheduler does with orphans."""
        mine = TaskInstance.id == json.loads(job.command)["ti"]["id"]
        ti = session.scalar(select(TaskInstance).where(mine).with_for_update(skip_locked=True, of=TaskInstance))
        if ti is None and session.scalar(select(TaskInstance.id).where(mine)) is not None:
            return  # somebody is at it: in the next round
        logger.warning("%s %s %s goes to its next try: %s", job.dag_id, job.run_id, job.task_id, why)
        key = self._job_key(job)
        if ti is not None and ti.state in (TaskInstanceState.RUNNING, TaskInstanceState.QUEUED):
            ti.prepare_db_for_next_try(session=session)
            ti.state = None
            ti.queued_by_job_id = None
            ti.external_executor_id = None
            ti.clear_next_method_args()
        self.running.discard(key)
        self.last_reported_state.pop(key, None)
        self._delete_job(job, session)

    def _job_of(self, ti: Any, session: Session) -> EdgeJobModel:
        session.flush()
        mine = (*_of_try(ti), EdgeJobModel.task_instance_id.in_((str(ti.id), "")))
        return session.scalars(select(EdgeJobModel).where(*mine)).one()

    def _where(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> str | None:
        found: str | None = self._asked(lambda: self._registrar.where(dag_id, run_id, task_id, map_index))
        return found

    def _hosts(self) -> list[HostStatus] | None:
        found: list[HostStatus] | None = self._asked(self._registrar.hosts)
        return found

    def _asked(self, ask: Any) -> Any:
        """The registrar's answer; None: it does not answer now. A host that is tried in vain sends the task on."""
        if time.monotonic() < self._ask_again:
            return None
        with suppress(RegistrarRefusedError):
            try:
                return ask()
            except RegistrarAwayError as error:
                self._ask_again = time.monotonic() + _AWAY_SECONDS
                logger.warning("the registrar does not say where containers are: %s", error)
        return None


def _of_try(one: Any) -> tuple[Any, ...]:
    """Conditions of the jobs of one try, which a task instance or another job names."""
    return (
        EdgeJobModel.dag_id == one.dag_id,
        EdgeJobModel.run_id == one.run_id,
        EdgeJobModel.task_id == one.task_id,
        EdgeJobModel.map_index == one.map_index,
        EdgeJobModel.try_number == one.try_number,
    )


def _why_back(job: EdgeJobModel, living: dict[str, HostStatus]) -> str | None:
    """Why the host that a job waits for, or that has it, will not run it; None: it may."""
    if job.state == TaskInstanceState.QUEUED:
        host = job.queue.removeprefix(_PREFIX) if job.queue.startswith(_PREFIX) else None
    else:
        host = job.edge_worker
    if host is None:
        return None
    if host not in living:
        return f"its host {host} is lost"
    report = living[host].report
    # Clocks differ by less than a worker takes to begin.
    is_before = report is not None and job.last_update_t < report.began - CLOCK_SECONDS
    if job.state in _TAKEN and is_before:
        return f"the worker of its host {host} has begun anew"
    return None
