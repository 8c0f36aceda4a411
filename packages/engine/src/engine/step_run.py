"""One logical task's container, from nothing to one outcome, whatever dies meanwhile.

The states of a step, and who may be dead in each::

              ┌────────── none ──────────┐ no container has the logical task's name
              │ prepare, create, start   │
              ▼                          │
    ┌──────running◀──────────────┐       │ Airflow may die here: the next try finds the
    │         │ follow to the end│attach │ container (by its id, if it was kept, or by its
    │         ▼                  │       │ name) and follows it from its beginning
    │       exited ──────────────┘       │
    │         │ judge (verdict.py)       │ nobody has judged it: the next try does
    │    ┌────┴─────┐                    │
    │  success   failure                 │
    │    │          │ record once        │ in the attempt's name, unless the step has done so
    │    ▼          ▼                    │
    │ removed   set aside ───────────────┘ renamed: kept as evidence, out of the next try's way
    └─ stopped by its caller; then judged ``killed`` whatever the exit code, unless the proof is there

Airflow is not known here: what starts a step tells it who it is, gives it a log and a mask for secrets,
and says when it is to stop.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import msgspec
from docker.errors import NotFound

from bulkhead.errors import one_line
from bulkhead.registry import detached_writer
from bulkhead.registry.records import failure
from bulkhead.registry.store import Registry
from bulkhead.step import result
from engine import launch, verdict, watch
from engine.attempt import Attempt
from engine.output import Follower
from engine.verdict import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

    from bulkhead.identity import Identity
    from bulkhead.registry.records import Success
    from bulkhead.step.result import StepResult
    from engine.attempt import Image
    from engine.settings import Settings
    from engine.step_spec import StepSpec

GRACE_SECONDS = 3
"""Airflow's supervisor kills the task 5 s after SIGTERM; the container must be gone before."""
RUNNING, SUCCEEDED, FAILED = "running", "succeeded", "failed"


class Log(Protocol):
    """Where the step's lines and this module's own go."""

    def info(self, message: str, *values: Any) -> Any:
        """What happens, and a line on stdout."""

    def warning(self, message: str, *values: Any) -> Any:
        """What somebody should look at, and a line on stderr."""

    def error(self, message: str, *values: Any) -> Any:
        """Why the step failed."""


@dataclass(frozen=True)
class Caller:
    """What a step needs of the one who runs it."""

    connect: Callable[[], APIClient]
    """A client of the engine."""
    connect_to_stop: Callable[[], APIClient]
    """Another one, that answers soon: a step may be stopped by a signal in the middle of the first one's request."""
    log: Log
    mask: Callable[[str], str]
    """Hides secrets."""
    is_stopped: Callable[[], bool]
    """Whether the step is to stop."""


class StepFailedError(Exception):
    """The step failed; recorded."""

    def __init__(self, sentence: str, failed: Failed) -> None:
        super().__init__(sentence)
        self.failed = failed


class Ending(msgspec.Struct, frozen=True):
    """Why a container was stopped, None where it ended by itself; and the most memory that it was seen to use."""

    stopped: Failed | None = None
    peak_memory_bytes: int | None = None


class StepRun:
    """One try of a step.

    Args:
        spec: the step.
        settings: how steps run on this host.
        identity: which try of which task this is.
        caller: who runs it.
    """

    def __init__(self, spec: StepSpec, settings: Settings, identity: Identity, caller: Caller) -> None:
        self._spec = spec
        self._settings = settings
        self._caller = caller
        self._log = caller.log
        self._registry = Registry(settings.folder / "models")
        self._attempt = Attempt.starting_now(identity, self._registry, spec.journal)
        self._client: APIClient
        self._container: str | None = None

    def connect(self) -> None:
        """Connect to the engine: from here on only the engine itself can be lost.

        Raises:
            StepFailedError: it does not answer.
        """
        try:
            self._client = self._caller.connect()
        except launch.ENGINE_ERRORS as error:
            self.lose_engine(error)

    def find_or_start(self) -> str:
        """The id of the logical task's container: the one that is there, or a new one.

        Raises:
            StepFailedError: none could be started.
        """
        try:
            image = launch.find_image(self._client, self._settings.tag_of(self._spec.image))
            self._attempt = self._attempt.with_image(image)
            left = self._left_behind()
            self._container = container = left if left is not None else self._start(image)
            if left is not None and self._caller.is_stopped():  # it came while there was no container to stop
                self._stop(container)
        except launch.NotStartedError as error:
            self._fail(error.failed)
        return container

    def status(self, container: str) -> str:
        """``RUNNING``, ``SUCCEEDED`` or ``FAILED``; a failure that nobody has judged is recorded and set aside."""
        self._container = container  # a stop may come before it is followed
        found = watch.inspect(self._client, container)
        if found is None:
            proof = self._result()
            return SUCCEEDED if proof is not None and proof.is_readable and proof.is_by(container) else FAILED
        if found["State"]["Status"] in watch.ALIVE:
            return RUNNING
        return SUCCEEDED if self._is_success(found) else FAILED

    def follow(self, container: str) -> Ending:
        """Follow the container to its end; stop it where it must not run on.

        Raises:
            StepFailedError: the engine did not come back.
        """
        self._container = container
        settings, is_stopped = self._settings, self._caller.is_stopped
        follower = Follower(self._client, container, self._log_line, self._caller.mask, settings.output_size)
        try:
            observed = watch.follow(self._client, container, settings.seconds, follower, is_stopped)
        except watch.EngineLostError as error:
            next_step = "Its container is followed again by the next try."
            self._fail(Failed("engine_unreachable", f"{error} {next_step}", retry=True))
        stopped: Failed | None = None
        if observed.timed_out:
            self._stop(container)
            limit = f"{settings.seconds:g} s ({settings.source_of('seconds')})"
            detail = f"not done after {limit}. {settings.raising('seconds')}, or give less data."
            stopped = Failed("timed_out", detail, retry=False)
        elif is_stopped():
            detail = "Airflow stopped the task before its end. Clear it to run it again."
            stopped = Failed("killed", detail, retry=True)
        return Ending(stopped, observed.peak_memory_bytes)

    def stop(self) -> None:
        """Stop the container, if there is one; :meth:`conclude` judges its end by its proof, not by its exit code."""
        if self._container is not None:
            self._stop(self._container)

    def conclude(self, container: str, ending: Ending) -> None:
        """Judge the container that has ended.

        Raises:
            StepFailedError: it failed; recorded, and set aside.
        """
        outcome = self._judge(container, ending.peak_memory_bytes)
        if isinstance(outcome, Failed):
            # Stopped by us: its exit code says less than why.
            stopped = ending.stopped
            self._end(container, msgspec.structs.replace(stopped, evidence=outcome.evidence) if stopped else outcome)

    def proof(self) -> StepResult:
        """The result file of a step that succeeded.

        Raises:
            StepFailedError: it has gone.
        """
        proof = self._result()
        if proof is None:
            detail = "the result file has gone since the step ended. Clear the task."
            self._fail(Failed("no_result", detail, retry=True))
        return proof

    def remove(self, container: str) -> None:
        """Remove a container that has nothing more to tell."""
        try:
            self._client.remove_container(container)
        except NotFound:
            pass
        except launch.ENGINE_ERRORS as error:
            self._log.warning("container %s is left behind ('just reap' removes it): %s", container[:12], error)

    def lose_engine(self, error: Exception) -> NoReturn:
        """Record that the engine does not answer; what the container has done meanwhile is judged by the next try.

        Raises:
            StepFailedError: always.
        """
        self._fail(launch.unreachable(error).failed)

    # Start.

    def _left_behind(self) -> str | None:
        """The container of an earlier try that this one goes on with: it runs, or has finished unseen."""
        try:
            left = watch.inspect(self._client, self._attempt.container_name(self._settings))
            if left is None:
                return None
            container = str(left["Id"])
            if left["State"]["Status"] == "created":  # never ran: Airflow died in between
                self._client.remove_container(container, force=True)
                return None
            if left["State"]["Status"] in watch.ALIVE or self._is_success(left):
                self._log.info("container %s of this task is there already; going on with it", container[:12])
                return container
        except launch.ENGINE_ERRORS as error:
            raise launch.unreachable(error) from error
        return None

    def _start(self, image: Image) -> str:
        launch.prepare(self._settings, self._attempt, self._registry, self._spec.journal)
        container = launch.create(self._client, self._spec, self._settings, self._attempt, image)
        self._container = container
        if not self._caller.is_stopped():  # a kill between create and start found nothing to stop
            launch.start(self._client, container)
        return container

    # End.

    def _stop(self, container: str) -> None:
        with suppress(NotFound):
            self._caller.connect_to_stop().stop(container, timeout=GRACE_SECONDS)

    def _log_line(self, line: str, is_error: bool) -> None:  # noqa: FBT001  # the follower's callback
        (self._log.warning if is_error else self._log.info)("%s", line)

    def _result(self) -> StepResult | None:
        return result.read(self._attempt.folder(self._settings), self._spec.task_id)

    def _judge(self, container: str, peak_memory_bytes: int | None = None) -> Failed | StepResult:
        """How the container ended, by its proof, by the journal, by the engine, in this order."""
        found = watch.inspect(self._client, container)
        if found is None:
            removed = f"container {container[:12]} was removed by somebody else. Run the task again."
            attempt, outcome = self._attempt, Failed("killed", removed, retry=True)
        else:
            attempt = Attempt.of_container(found["Config"]["Labels"])
            tail = watch.last_lines(self._client, container, self._caller.mask)
            judged = verdict.judge(found["State"], self._result(), container, tail, self._settings, peak_memory_bytes)
            if not isinstance(judged, Failed):
                return judged
            outcome = judged
        record = self._registry.success_of(self._spec.journal, attempt.identity, attempt.since)
        return outcome if record is None else self._proof_from(record, container)

    def _proof_from(self, record: Success, container: str) -> StepResult:
        self._log.info(
            "the step died after it had written its record to the journal; its result file is made from the record"
        )
        proof = result.from_record(record, str(self._spec.environment), container)
        result.write(self._attempt.folder(self._settings), proof)
        return proof

    def _is_success(self, found: dict[str, Any]) -> bool:
        """Judge a container that an earlier try left; a failure is recorded for that try, and set aside."""
        outcome = self._judge(found["Id"])
        if not isinstance(outcome, Failed):
            return True
        if watch.is_live_name(found, self._attempt.container_name(self._settings)):
            left = Attempt.of_container(found["Config"]["Labels"])
            self._log.info("try %s ended unseen: %s: %s", left.identity.try_number, outcome.cause, outcome.detail)
            self._record(left, outcome)
            watch.set_aside(self._client, found["Id"])
        return False

    def _end(self, container: str, failed: Failed) -> NoReturn:
        """Record the end of ``container`` in the name of the try that started it, keep it as evidence, and raise."""
        attempt = self._attempt
        with suppress(*launch.ENGINE_ERRORS):
            if (found := watch.inspect(self._client, container)) is not None:
                attempt = Attempt.of_container(found["Config"]["Labels"])
        self._fail(failed, attempt, container)

    def _fail(self, failed: Failed, attempt: Attempt | None = None, container: str | None = None) -> NoReturn:
        """Record the failure, unless the step has, set its container aside, and raise."""
        sentence = f"{self._spec.task_id}: {failed.cause}: {one_line(self._caller.mask(failed.detail))}"
        self._log.error("%s", sentence)
        # Recorded before the container is out of sight: Airflow may die between the two.
        self._record(attempt or self._attempt, failed)
        if container is not None:
            watch.set_aside(self._client, container)
        raise StepFailedError(sentence, failed)

    def _record(self, attempt: Attempt, failed: Failed) -> None:
        journal = self._spec.journal
        record = failure(
            journal,
            failed.cause,
            self._caller.mask(failed.detail),
            environment=str(self._spec.environment),
            identity=attempt.identity,
            evidence=failed.evidence,
        )
        try:
            if self._caller.is_stopped():
                # The supervisor kills this process soon, and another may hold the journal's lock for longer.
                detached_writer.record_failure_once(self._registry, journal, record, since=attempt.since)
            self._registry.record_failure_once(journal, record, since=attempt.since)
        except OSError as error:
            self._log.error("models/: %s. The failure above is in no journal.", error.strerror)
