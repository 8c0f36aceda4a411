"""What every part of a try's life needs: the registrar and the engine, waited for, and the end as a failure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from bulkhead.errors import one_line
from engine import launch, patience, telling, watch
from engine.caller import GRACE_SECONDS, Caller, StepFailedError, StepLeftError
from engine.registrar_client import RegistrarAwayError
from engine.verdict import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

    from bulkhead.registrar_protocol import Concluded
    from engine.attempt import Attempt
    from engine.settings import Settings
    from engine.step_spec import StepSpec

T = TypeVar("T")
ENDED_BY_PERSON = "the task was ended by a person ({}). Clear it to run it again."


class StepTry:
    """One try of a step, as far as it has nothing to do with its container's life.

    Args:
        spec: the step.
        settings: how steps run on this host.
        attempt: which try of which task this is.
        caller: who runs it.
    """

    def __init__(self, spec: StepSpec, settings: Settings, attempt: Attempt, caller: Caller) -> None:
        self._spec = spec
        self._settings = settings
        self._attempt = attempt
        self._caller = caller
        self._log = caller.log
        self._client: APIClient
        self._engine = ""
        self._container: str | None = None
        self._ended: Failed | None = None
        """Why a person's act or Airflow's time limit has stopped the container."""
        self._is_anew = False
        """Whether a container of this task may be running on a lost host."""
        self._left = False
        """Whether this process ends, and the container runs on."""
        self.outcome: Concluded | None = None
        """What the registrar says has come of the task; there once it has been concluded."""

    def look(self) -> bool:
        """Whether the logical task has its outcome already, whichever try made it; it is then in ``outcome``.

        Raises:
            StepFailedError: a person has ended this try, or the registrar does not come back.
            StepLeftError: another host has its container, and the task goes on there.
        """
        looked = self._ask(lambda: self._caller.registrar().look(self._attempt))
        if looked.ended is not None:
            detail = f"Airflow has ended this try ({looked.ended}); nothing is started for it."
            raise StepFailedError(f"{self._spec.task_id}: superseded: {detail}", Failed("killed", detail, retry=False))
        self._attempt = self._attempt.of_outcome(looked.first_try)
        self.outcome = looked.outcome
        if looked.outcome is not None:
            self._log.info("this is done already: %s", looked.outcome.sentence)
        elif looked.elsewhere is not None:
            raise StepLeftError(f"its container is on the host {looked.elsewhere}, and the task goes on there")
        return looked.outcome is not None

    def refuse(self, detail: str) -> NoReturn:
        """Have it recorded that this task was asked for what it does not do; nothing is started.

        Raises:
            StepFailedError: always.
        """
        self._fail(Failed("refused", detail, retry=False))

    def connect(self) -> None:
        """Connect to the engine: from here on only the engine itself can be lost.

        Raises:
            StepFailedError: it does not answer.
        """
        self._on_engine(self._connected)

    def interrupt(self) -> None:
        """SIGTERM: stop the container if a person ended the task; else leave it to the next try."""
        if self._left or self._ended is not None:
            return
        ended = None
        with suppress(RegistrarAwayError):
            ended = self._caller.registrar_at_once().look(self._attempt).ended
        if ended is None:
            self._left = True
            self._log.warning("told to end, by nobody who ended the task; its container runs on, for the next try")
            return
        self._ended = Failed("killed", ENDED_BY_PERSON.format(ended), retry=True)
        self._log.warning("the task was ended by a person (%s); its container is stopped", ended)
        if self._container is not None:
            self._stop(self._container)

    def lose_engine(self, error: Exception) -> NoReturn:
        """Record that the engine does not answer; what the container has done meanwhile is judged by the next try.

        Raises:
            StepFailedError: always.
        """
        self._fail(launch.unreachable(error).failed)

    # What is behind these.

    @property
    def _name(self) -> str:
        return self._attempt.container_name(self._settings)

    def _is_stopped(self) -> bool:
        return self._left or self._ended is not None

    def _ask(self, ask: Any) -> Any:
        """The registrar's answer, waited for.

        Raises:
            StepFailedError: it does not come back.
        """
        try:
            return patience.wait_for_registrar(ask, self._log, self._settings.registrar_seconds, self._is_stopped)
        except RegistrarAwayError as error:
            self._end_if_told(error)
            detail = f"{error}. Run 'just up'. What the step has made is kept, and recorded by the next try."
            failed = Failed("registrar_unreachable", detail, retry=True)
            raise StepFailedError(f"{self._spec.task_id}: {failed.cause}: {detail}", failed) from error

    def _on_engine(self, ask: Callable[[], T]) -> T:
        """The engine's answer, waited for.

        Raises:
            StepFailedError: it does not come back.
        """
        try:
            return patience.wait_for_engine(ask, self._log, self._is_stopped)
        except launch.ENGINE_ERRORS as error:
            if self._ended is not None:
                self._fail(self._ended)
            self._end_if_told(error)
            self.lose_engine(error)

    def _end_if_told(self, error: Exception) -> None:
        """What was waited for is away, and this process has to end for another reason than that.

        Raises:
            StepLeftError: whatever runs is left to the next run of the task.
            StepFailedError: a person has ended the task; the registrar records that where nobody else can.
        """
        if self._ended is not None:
            raise StepFailedError(f"{self._spec.task_id}: {self._ended.cause}: {self._ended.detail}", self._ended)
        if self._left:
            raise StepLeftError("told to end while it waited; the task goes on later") from error

    def _connected(self) -> None:
        self._client = self._caller.connect()
        self._engine = str(self._client.info()["ID"])
        if self._settings.host:
            self._engine += f"@{self._settings.host}"

    def _stop(self, container: str) -> None:
        """Have it stopped in the little time there is after SIGTERM; an engine that is slower has been told."""
        with suppress(*launch.ENGINE_ERRORS):
            self._caller.connect_to_stop().stop(container, timeout=GRACE_SECONDS)

    def _fail(self, failed: Failed, container: str | None = None) -> NoReturn:
        """Have the failure recorded, once for each try, set its container aside, and raise."""
        failed = msgspec.structs.replace(failed, detail=one_line(self._caller.mask(failed.detail)))
        sentence = f"{self._spec.task_id}: {failed.cause}: {failed.detail}"
        if not telling.was_said(sentence, failed.evidence.last_lines):
            self._log.error("%s", sentence)
        # Recorded before the container is out of sight: Airflow may die between the two. A container is judged in the
        # name of the try that started it, which the registrar reads from its labels.
        self._ask(lambda: self._caller.registrar().fail(container, self._attempt, self._spec, failed))
        if container is not None:
            watch.set_aside(self._client, container, self._name)
            if self._settings.host:
                self._log.info("it is kept on the host %s: docker logs %s", self._settings.host, container[:12])
        raise StepFailedError(sentence, failed)
