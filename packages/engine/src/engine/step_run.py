"""One logical task's container, from nothing to one outcome, whatever dies meanwhile.

The states of a step, and who may be dead in each::

             look ───────── the outcome is there: adopted
               │ none       (an earlier try made it, and Airflow never took its report)
               ▼
    ┌──────── find ──────── on another engine: wait for its outcome, or its lease
    │          │ none
    │          ▼
    │   create, start ◀────────┐  by the launcher; the name is the logical task's, so there is one
    │          │               │
    │          ▼               │
    └──────▶ running           │  Airflow may die here: the next try finds it (by its kept id, or by
               │ follow        │  its name) and follows it from its beginning
               ▼               │
             exited            │  nobody has judged it: the next try does
               │ judge         │
        ┌──────┴──────┐        │
        ▼             ▼        │
     success       failure     │
        │ conclude    │ fail   │  by the registrar, waited for while it is away: nothing is removed,
        ▼             ▼        │  so the next try comes to the same end
     recorded     set aside ───┘  renamed: kept as evidence, out of the next try's way
        │
        ▼  the registrar removes the container once Airflow has accepted the success

A container is stopped for a limit, or because a person ended the task (failed, cleared, deleted). SIGTERM alone says
neither: Airflow sends it as well where a heartbeat came late and another try has the task by now. So the registrar is
asked, and where it knows of no person the container runs on.

Airflow is not known here: what starts a step tells it who it is, gives it a log and a mask for secrets.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from bulkhead.errors import one_line
from bulkhead.registry.records import Evidence
from engine import finding, judging, launch, lease, patience, watch
from engine.caller import GRACE_SECONDS, Caller, StepFailedError, StepLeftError
from engine.disk import Watch
from engine.external_id import ExternalId
from engine.output import Follower
from engine.registrar_client import RegistrarAwayError
from engine.values import in_bytes
from engine.verdict import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

    from bulkhead.registrar_protocol import Concluded
    from bulkhead.step.result import StepResult
    from engine.attempt import Attempt
    from engine.settings import Settings
    from engine.step_spec import StepSpec

T = TypeVar("T")
RUNNING, SUCCEEDED, FAILED = "running", "succeeded", "failed"
_AGAIN_SECONDS = 1.0
_ROUNDS = 3


class Ending(msgspec.Struct, frozen=True):
    """Why a container was stopped, None where it ended by itself; and the most memory that it was seen to use."""

    stopped: Failed | None = None
    peak_memory_bytes: int | None = None


class StepRun:
    """One try of a step.

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
        self._left = False
        """Whether this process ends, and the container runs on."""
        self.outcome: Concluded | None = None
        """What the registrar says has come of the task; there once it has been concluded."""

    # Before there is a container.

    def look(self) -> bool:
        """Whether the logical task has its outcome already, whichever try made it; it is then in ``outcome``.

        Raises:
            StepFailedError: a person has ended this try, or the registrar does not come back.
        """
        looked = self._ask(lambda: self._caller.registrar().look(self._attempt))
        if looked.ended is not None:
            detail = f"Airflow has ended this try ({looked.ended}); nothing is started for it."
            raise StepFailedError(f"{self._spec.task_id}: superseded: {detail}", Failed("killed", detail, retry=False))
        self._attempt = self._attempt.of_outcome(looked.first_try)
        self.outcome = looked.outcome
        if looked.outcome is not None:
            self._log.info("an earlier try has done this: %s", looked.outcome.sentence)
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

    def find_or_start(self) -> str:
        """The external id of the logical task's container: the one that is there, or a new one.

        Raises:
            StepFailedError: none could be started.
        """
        for _ in range(_ROUNDS):
            try:
                self._container = container = self._on_engine(self._found_or_started)
            except launch.OvertakenError:
                time.sleep(_AGAIN_SECONDS)
            except launch.NotStartedError as error:
                self._fail(error.failed)
            else:
                return str(ExternalId.now(self._engine, container))
        detail = (
            f"the name {self._name} is taken by a container that is no task's. See 'docker ps --all', and remove it."
        )
        return self._fail(Failed("crashed", detail, retry=True))

    def status(self, external_id: str) -> str:
        """What has become of the container that an earlier try kept the id of.

        ``RUNNING``: there it is, to be followed to its end. ``SUCCEEDED``: its outcome is there. ``FAILED``: it has
        gone, was judged, or is on another engine whose lease is over.
        """
        kept = ExternalId.parse(external_id)
        if kept is None:
            return FAILED
        if not kept.is_on(self._engine):
            return SUCCEEDED if self._wait_for_lease(kept) else FAILED
        find = partial(finding.by_id, self._client, kept.container, self._attempt, self._name)
        found = self._on_engine(find)
        self._container = found
        return FAILED if found is None else RUNNING

    # While it runs.

    def follow(self, external_id: str) -> Ending:
        """Follow the container to its end; stop it where it must not run on.

        Raises:
            StepFailedError: the engine did not come back.
            StepLeftError: this process ends, and the container runs on.
        """
        container = self._container = _container_of(external_id)
        settings, mask = self._settings, self._caller.mask
        follower = Follower(self._client, container, self._log_line, mask, settings.output_size)
        disk = Watch(self._attempt.folder(settings), in_bytes(settings.disk))
        try:
            observed = watch.follow(self._client, container, settings.seconds, follower, disk, self._is_stopped)
        except watch.EngineLostError as error:
            next_step = "Its container is followed again by the next try."
            self._fail(Failed("engine_unreachable", f"{error} {next_step}", retry=True))
        if self._left:
            raise StepLeftError(f"container {container[:12]} runs on; the next try of this task goes on with it")
        stopped = self._ended
        if observed.timed_out:
            limit = f"{settings.seconds:g} s ({settings.source_of('seconds')})"
            detail = f"not done after {limit}. {settings.raising('seconds')}, or give less data."
            stopped = Failed("timed_out", detail, retry=False)
        elif observed.excess is not None:
            limit = f"{settings.disk} ({settings.source_of('disk')})"
            detail = f"{observed.excess}, of at most {limit}. {settings.raising('disk')}, or give less data."
            stopped = Failed("disk_full", detail, retry=False)
        if stopped is not None:
            self._stop(container)
            watch.stop(self._client, container)
        return Ending(stopped, observed.peak_memory_bytes)

    def time_out(self) -> Ending:
        """Airflow's own time limit is over: stop the container; :meth:`conclude` judges it."""
        self._ended = Failed("timed_out", "Airflow's execution_timeout is over before the step's end.", retry=True)
        if self._container is not None:
            self._stop(self._container)
            watch.stop(self._client, self._container)
        return Ending(self._ended)

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
        self._ended = Failed(
            "killed", f"the task was ended by a person ({ended}). Clear it to run it again.", retry=True
        )
        self._log.warning("the task was ended by a person (%s); its container is stopped", ended)
        if self._container is not None:
            self._stop(self._container)

    # After its end.

    def conclude(self, external_id: str, ending: Ending) -> None:
        """Judge the container that has ended, and have the registrar record what it came to, in ``outcome``.

        Raises:
            StepFailedError: it failed; recorded, and set aside.
        """
        container = _container_of(external_id)
        judged = self._judge(container, ending)
        if judged is None:
            self._conclude_unknown(external_id)
            return
        evidence = judged.evidence if isinstance(judged, Failed) else Evidence()
        if ending.stopped is not None:
            # Stopped by us: its exit code says less than why, and a step can say 0 when it is told to end.
            self._fail(msgspec.structs.replace(ending.stopped, evidence=evidence), container)
        if isinstance(judged, Failed):
            self._fail(judged, container)
        concluded = self._ask(lambda: self._caller.registrar().conclude(container))
        if concluded.failed is not None:
            failed = concluded.failed
            self._fail(Failed(failed.cause, failed.detail, failed.retry), container)
        if concluded.verdict == "superseded":
            self._log.error("superseded: %s", concluded.sentence)
            failed = Failed("superseded", concluded.sentence, retry=False)
            raise StepFailedError(f"{self._spec.task_id}: superseded: {concluded.sentence}", failed)
        self._log.info("%s", concluded.sentence)
        self.outcome = concluded

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

    def _found_or_started(self) -> str:
        """The container's id; looking for it, making it and starting it may each be repeated."""
        return finding.by_name(self._client, self._attempt, self._name, self._log) or self._start()

    def _judge(self, container: str, ending: Ending) -> Failed | StepResult | None:
        mask, peak = self._caller.mask, ending.peak_memory_bytes
        try:
            return judging.judge(self._client, container, self._attempt, self._settings, mask, peak)
        except launch.ENGINE_ERRORS as error:
            self.lose_engine(error)  # without setting it aside: nobody has judged it

    def _conclude_unknown(self, external_id: str) -> None:
        """Of a container that the engine does not know: its outcome is there, or it is lost."""
        if self.look():
            return
        kept = ExternalId.parse(external_id)
        container = _container_of(external_id)[:12]
        # The launcher may have been given another engine meanwhile: that one has said nothing about this container.
        if kept is not None and not kept.is_on(self._engine_of_now()):
            if self._wait_for_lease(kept):
                return
            lost = f"container {container} is on another engine ({kept.engine}), and its lease is over. Bring that"
            self._fail(Failed("engine_unreachable", f"{lost} engine back, or run the task again.", retry=True))
        removed = f"container {container} was removed by somebody else. Run the task again."
        self._fail(Failed("killed", removed, retry=True))

    def _engine_of_now(self) -> str:
        return str(self._on_engine(self._client.info)["ID"])

    def _start(self) -> str:
        container = launch.create(self._client, self._spec, self._settings, self._attempt)
        self._container = container
        if not self._is_stopped():  # a kill between create and start found nothing to stop
            launch.start(self._client, container)
        return container

    def _wait_for_lease(self, kept: ExternalId) -> bool:
        return lease.wait_for_outcome(kept, self._settings.lease_seconds, self.look, self._is_stopped, self._log)

    def _stop(self, container: str) -> None:
        """Have it stopped in the little time there is after SIGTERM; an engine that is slower has been told."""
        with suppress(*launch.ENGINE_ERRORS):
            self._caller.connect_to_stop().stop(container, timeout=GRACE_SECONDS)

    def _log_line(self, line: str, is_error: bool) -> None:  # noqa: FBT001  # the follower's callback
        (self._log.warning if is_error else self._log.info)("%s", line)

    def _fail(self, failed: Failed, container: str | None = None) -> NoReturn:
        """Have the failure recorded, once for each try, set its container aside, and raise."""
        failed = msgspec.structs.replace(failed, detail=one_line(self._caller.mask(failed.detail)))
        sentence = f"{self._spec.task_id}: {failed.cause}: {failed.detail}"
        self._log.error("%s", sentence)
        # Recorded before the container is out of sight: Airflow may die between the two. A container is judged in the
        # name of the try that started it, which the registrar reads from its labels.
        self._ask(lambda: self._caller.registrar().fail(container, self._attempt, self._spec, failed))
        if container is not None:
            watch.set_aside(self._client, container, self._name)
        raise StepFailedError(sentence, failed)


def _container_of(external_id: str) -> str:
    kept = ExternalId.parse(external_id)
    if kept is None:
        raise ValueError(f"{external_id!r} is no container")
    return kept.container
