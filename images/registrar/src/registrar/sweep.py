"""What the registrar looks after by itself, every few seconds: containers of which nobody else takes care.

- one whose success Airflow has accepted is removed;
- one that runs on though a person has ended its task is stopped, and its failure recorded;
- one that ended well while nobody could ask has its proposal recorded, which the next try adopts.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from bulkhead.errors import Refused
from bulkhead.registrar_protocol import FailedReport
from registrar.database import Away
from registrar.failures import Attempted

if TYPE_CHECKING:
    from registrar.containers import Container
    from registrar.logical_task import Standing
    from registrar.service import Registrar

logger = logging.getLogger(__name__)

SECONDS = 5.0


class Sweep:
    """A thread that looks after containers.

    Args:
        registrar: what records.
        seconds: between two rounds.
    """

    def __init__(self, registrar: Registrar, seconds: float = SECONDS) -> None:
        self._registrar = registrar
        self._seconds = seconds
        self._concluded: set[str] = set()
        """Containers whose proposal was recorded or refused: not asked again."""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        """Begin, with a round at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the container that is looked at."""
        self._ending.set()
        self._thread.join()

    def round(self) -> None:
        """Look at every container once.

        Raises:
            Away: launcher or Postgres does not answer.
        """
        registrar = self._registrar
        registrar.books.follow()
        ids = registrar.containers.of_steps()
        self._concluded &= set(ids)
        for container_id in ids:
            if self._ending.is_set():
                return
            try:
                container = registrar.containers.get(container_id)
                if container is not None and not container.is_set_aside:
                    self._look_after(container, registrar.standing(container.task, container.try_id))
            except Refused as error:
                logger.debug("%s", error)
            except OSError:
                logger.exception("container %s is looked at again", container_id[:12])

    def _look_after(self, container: Container, standing: Standing) -> None:
        if container.is_ended:
            self._look_after_ended(container, standing)
        elif container.is_running and standing.ended is not None:
            self._stop(container, standing)

    def _look_after_ended(self, container: Container, standing: Standing) -> None:
        registrar = self._registrar
        if not container.has_ended_well:
            return  # the next try judges it, or it is evidence
        if standing.accepted is not None:
            registrar.tables.accept(standing.accepted)
            registrar.containers.remove(container)
            logger.info("removed container %s: Airflow has accepted its success", container.short_id)
        elif container.id not in self._concluded:
            registrar.conclude(container.id)
            self._concluded.add(container.id)

    def _stop(self, container: Container, standing: Standing) -> None:
        registrar = self._registrar
        logger.warning("container %s is stopped: its task was ended (%s)", container.short_id, standing.ended)
        registrar.containers.stop(container)
        if standing.is_ended_by_person:
            detail = f"the task was ended by a person ({standing.ended}). Clear it to run it again."
            registrar.record_failure(
                Attempted.of_container(container), FailedReport(cause="killed", detail=detail), container
            )
        registrar.containers.set_aside(container)

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
