"""What the registrar looks after by itself, every few seconds: containers of which nobody else takes care.

- one whose success Airflow has accepted is removed;
- one that runs on though a person has ended its task is stopped, and its failure recorded;
- one that ended well while nobody could ask has its proposal recorded, which the next try adopts;
- one that Airflow has left alone, having failed its task by itself, is held to its time limit, and its end recorded.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bulkhead.errors import EXIT_KILLED, Refused
from bulkhead.hosts_protocol import MAIN
from bulkhead.registrar_protocol import FailedReport
from bulkhead.registry.proposals import EXPECTED
from bulkhead.registry.records import Evidence
from bulkhead.unix_http import Refusal
from registrar.database import Away
from registrar.failures import Attempted

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bulkhead.registrar_protocol import Concluded
    from registrar.containers import Container, Containers
    from registrar.logical_task import Standing
    from registrar.service import Registrar

logger = logging.getLogger(__name__)

SECONDS = 5.0
_KILLED = {137, EXIT_KILLED}


class Sweep:
    """A thread that looks after the containers of one host.

    Args:
        registrar: what records.
        seconds: between two rounds.
        host: whose containers.
    """

    def __init__(self, registrar: Registrar, seconds: float = SECONDS, host: str = MAIN) -> None:
        self._registrar = registrar
        self._seconds = seconds
        self._host = host
        self._concluding: dict[str, Future[Concluded | None]] = {}
        """By container, the recording of its proposal, begun or done; None: it has to be begun again."""
        # A large model takes its time; whom a person has ended is stopped meanwhile.
        self._recorder = ThreadPoolExecutor(1, "recorder")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sweep {host}", daemon=True)

    def start(self) -> None:
        """Begin, with a round at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the container that is looked at."""
        self._ending.set()
        self._thread.join()
        self._recorder.shutdown(cancel_futures=True)

    def round(self) -> None:
        """Look at every container once.

        Raises:
            Away: launcher or Postgres does not answer.
        """
        registrar = self._registrar
        registrar.books.follow()
        try:
            ids = self._containers.of_steps()
        except Away:
            registrar.hosts.note(self._host, None)
            raise
        self._concluding = {one: found for one, found in self._concluding.items() if one in ids}
        seen: list[Container] = []
        for container_id in ids:
            if self._ending.is_set():
                return
            try:
                container = self._containers.get(container_id)
                if container is not None:
                    seen.append(container)
                    if registrar.hosts.is_given_up(container.id):
                        self._give_up(container)
                    elif not container.is_set_aside:
                        self._look_after(container, registrar.standing(container.task, container.try_id))
            except Away:
                raise
            except Refused as error:
                logger.debug("%s", error)
            except Exception:  # of one container, whatever it has left: the others are looked after
                logger.exception("container %s is looked at again", container_id[:12])
        registrar.hosts.note(self._host, seen)

    @property
    def _containers(self) -> Containers:
        return self._registrar.hosts.containers(self._host)

    def _give_up(self, container: Container) -> None:
        """Of a host that is back: its task is run elsewhere by now, and nothing that it makes counts."""
        if container.is_set_aside:
            return
        if container.never_ran:
            self._containers.remove(container)
            return
        if container.is_running:
            logger.warning("container %s is stopped: its task was given to another host", container.short_id)
            self._containers.stop(container)
        if not self._registrar.standing(container.task, container.try_id).is_current:
            self._registrar.record_loss(container)
        self._containers.set_aside(container)

    def _look_after(self, container: Container, standing: Standing) -> None:
        if container.is_ended:
            if container.has_ended_well:
                self._look_after_success(container, standing)
            else:
                self._look_after_failure(container, standing)
        elif standing.ended is not None or (standing.is_left and container.never_ran):
            self._end(container, standing)
        elif standing.is_left and container.is_over_time():
            logger.warning("container %s is stopped: its time is over, and nobody follows it", container.short_id)
            self._containers.stop(container)
            self._fail(container, "timed_out", "not done in time, when nobody followed it any more. Clear the task.")

    def _look_after_success(self, container: Container, standing: Standing) -> None:
        registrar = self._registrar
        if standing.accepted is not None:
            registrar.tables.accept(standing.accepted)
            if EXPECTED.get(container.command) and registrar.books.outcome(standing.first_try) is None:
                # A person has called the task a success before its outcome was recorded: it stays to be looked at.
                self._containers.set_aside(container)
                return
            self._containers.remove(container)
            logger.info("removed container %s: Airflow has accepted its success", container.short_id)
            return
        begun = self._concluding.get(container.id)
        if begun is None or (begun.done() and begun.result() is None):
            self._concluding[container.id] = self._recorder.submit(self._conclude, container)
        elif begun.done() and standing.is_left:
            concluded = begun.result()
            if concluded is not None and concluded.failed is not None:  # else the next try tells it
                self._fail(container, concluded.failed.cause, concluded.failed.detail)

    def _conclude(self, container: Container) -> Concluded | None:
        try:
            concluded = self._registrar.conclude(container.id, self._host)
            if concluded.verdict == "superseded":
                self._containers.set_aside(container)
        except (Away, Refused, Refusal, OSError) as error:
            logger.warning("container %s is looked at again: %s", container.short_id, error)
            return None
        except Exception:
            logger.exception("container %s is looked at again", container.short_id)
            return None
        return concluded

    def _look_after_failure(self, container: Container, standing: Standing) -> None:
        """The next try judges it, where there is one."""
        if standing.is_ended_by_person:
            self._fail(container, "killed", _ended_by(standing))
        elif standing.is_left:
            cause = "killed" if container.exit_code in _KILLED else "crashed"
            cause = "out_of_memory" if container.was_out_of_memory else cause
            detail = f"exit code {container.exit_code}, when nobody followed it any more: Airflow had failed its task."
            where = f"docker logs {container.short_id}{container.on_host}"
            self._fail(container, cause, f"{detail} Its output: {where}. Clear the task.")

    def _end(self, container: Container, standing: Standing) -> None:
        containers = self._containers
        if container.never_ran:
            containers.remove(container)
            return
        logger.warning("container %s is stopped: its task was ended (%s)", container.short_id, standing.ended)
        containers.stop(container)
        if standing.is_ended_by_person:
            self._fail(container, "killed", _ended_by(standing))
        else:
            containers.set_aside(container)

    def _fail(self, container: Container, cause: str, detail: str) -> None:
        evidence = Evidence(exit_code=container.exit_code) if container.is_ended else Evidence()
        report = FailedReport(cause=cause, detail=detail, evidence=evidence)
        self._registrar.record_failure(Attempted.of_container(container), report, container)
        self._containers.set_aside(container)

    def _run(self) -> None:
        said: str | None = None
        while True:
            try:
                self.round()
                said = None
            except Away as error:
                if said != str(error):
                    logger.warning("waiting: %s", error)
                said = str(error)
            except Exception:
                logger.exception("the round was not finished; the next one begins anew")
            if self._ending.wait(self._seconds):
                return


class Sweeps:
    """One sweep for each host, so that one which does not answer holds up no other.

    Args:
        registrar: what records.
        seconds: between two looks at which hosts there are.
    """

    def __init__(self, registrar: Registrar, seconds: float = SECONDS) -> None:
        self._registrar = registrar
        self._seconds = seconds
        self._sweeps: dict[str, Sweep] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeps", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the containers that are looked at."""
        self._ending.set()
        self._thread.join()
        for sweep in self._sweeps.values():
            sweep.stop()

    def _run(self) -> None:
        while True:
            try:
                names = self._registrar.hosts.names()
            except Away:
                names = [MAIN, *self._sweeps]  # a sweep says itself what it waits for
            for gone in [name for name in self._sweeps if name not in names]:
                self._sweeps.pop(gone).stop()
            for name in names:
                if name not in self._sweeps:
                    self._sweeps[name] = Sweep(self._registrar, host=name)
                    self._sweeps[name].start()
            if self._ending.wait(self._seconds):
                return


def _ended_by(standing: Standing) -> str:
    return f"the task was ended by a person ({standing.ended}). Clear it to run it again."
