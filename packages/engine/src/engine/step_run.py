"""One logical task's container, from nothing to one outcome, whatever dies meanwhile.

The states of a step, and who may be dead in each::

             look ───────── the outcome is there: adopted
               │ none       (an earlier try made it, and Airflow never took its report)
               ▼
    ┌──────── find ──────── on another host: the task goes there, or waits for its outcome, or the host's lease
    │          │ none
    │          ▼
    │   create, start ◀────────┐  by the launcher; the name is the logical task's, so there is one
    │          │               │
    │          ▼               │
    └──────▶ running           │  Airflow may die here: the next try finds it (by its kept id, or by
               │ follow        │  its name) and follows it from its beginning
               │  ▲            │
               │  └── deferred │  after a while somebody else waits for its end, for many at once (engine.waiting),
               │               │  decides nothing, and may die; then this goes on here, in another process
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
from typing import TYPE_CHECKING

import msgspec

from bulkhead.registry.records import Evidence
from engine import finding, judging, launch, lease, telling, watch
from engine.attempt import Attempt
from engine.caller import StepFailedError, StepLeftError
from engine.deferral import Due, StepDeferredError
from engine.disk import Watch
from engine.external_id import ExternalId, container_of
from engine.output import Follower
from engine.patience import ENGINE_SECONDS
from engine.state import ALIVE
from engine.step_try import ENDED_BY_PERSON, StepTry
from engine.transcript import Transcript
from engine.values import in_bytes
from engine.verdict import Failed
from engine.waiting import Wanted

if TYPE_CHECKING:
    from bulkhead.step.result import StepResult
    from engine.transcript import Position
    from engine.waiting import Waited

RUNNING, SUCCEEDED, FAILED = "running", "succeeded", "failed"
_AGAIN_SECONDS = 1.0
_ROUNDS = 3


class Ending(msgspec.Struct, frozen=True):
    """Why a container was stopped, None where it ended by itself; and the most memory that it was seen to use."""

    stopped: Failed | None = None
    peak_memory_bytes: int | None = None


class StepRun(StepTry):
    """One try of a step, from nothing to one outcome."""

    # Before there is a container.

    def find_or_start(self) -> str:
        """The external id of the logical task's container: the one that is there, or a new one.

        Raises:
            StepFailedError: none could be started.
            StepLeftError: this host has no room for it now.
        """
        for _ in range(_ROUNDS):
            try:
                self._container = container = self._on_engine(self._found_or_started)
            except launch.OvertakenError:
                time.sleep(_AGAIN_SECONDS)
            except launch.NoRoomError as error:
                raise StepLeftError(f"{error}; the task waits for room, on whichever host") from None
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
            return SUCCEEDED if self._has_come_elsewhere(kept) else FAILED
        find = partial(finding.by_id, self._client, kept.container, self._attempt, self._name)
        found = self._on_engine(find)
        if found is not None and self._on_engine(partial(self._makes_room, found)):
            found = None
        self._container = found
        return FAILED if found is None else RUNNING

    def is_here(self, external_id: str) -> bool:
        """Whether this engine is the one to ask for the container."""
        kept = ExternalId.parse(external_id)
        return kept is not None and kept.is_on(self._engine)

    # While it runs.

    def follow(self, external_id: str, waited: Waited | None = None, *, is_deferrable: bool = False) -> Ending:
        """Follow the container to its end; stop it where it must not run on.

        Args:
            external_id: the container.
            waited: how far somebody else has followed it.
            is_deferrable: whether it may be let go after ``BULKHEAD_DEFER_AFTER``.

        Raises:
            StepFailedError: the engine did not come back.
            StepLeftError: this process ends, and the container runs on.
            StepDeferredError: the container runs on, and is waited for elsewhere.
        """
        container = self._container = container_of(external_id)
        settings, peak = self._settings, None if waited is None else waited.peak_memory_bytes
        follower = self._follower(container, waited)
        disk = Watch(self._attempt.folder(settings), in_bytes(settings.disk))
        due = Due(settings.defer_after if is_deferrable else 0, settings.seconds, follower)
        bounds = watch.Bounds(settings.seconds, disk, self._is_stopped, due)
        try:
            observed = watch.follow(self._client, container, follower, bounds, peak)
        except watch.EngineLostError as error:
            next_step = "Its container is followed again by the next try."
            self._fail(Failed("engine_unreachable", f"{error} {next_step}", retry=True))
        if observed.let_go and not self._is_stopped():
            raise StepDeferredError(external_id, self._wanted(container, follower.leave(), observed))
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

    def tell_rest(self, external_id: str, waited: Waited) -> None:
        """Hand on what is left of the output of a container that has ended, and whose outcome is known.

        Where the engine does not answer, that is all there is of it: nothing else needs it.
        """
        with suppress(*launch.ENGINE_ERRORS):
            self._connected()
            self._follower(container_of(external_id), waited).rest(self._is_stopped)

    def time_out(self) -> Ending:
        """Airflow's own time limit is over: stop the container if it runs still; :meth:`conclude` judges it."""
        if self._container is not None and not self._runs(self._container):
            return Ending()
        self._ended = Failed("timed_out", "Airflow's execution_timeout is over before the step's end.", retry=True)
        if self._container is not None:
            self._stop(self._container)
            watch.stop(self._client, self._container)
        return Ending(self._ended)

    # After its end.

    def conclude(self, external_id: str, ending: Ending) -> None:
        """Judge the container that has ended, and have the registrar record what it came to, in ``outcome``.

        Raises:
            StepFailedError: it failed; recorded, and set aside.
        """
        container = container_of(external_id)
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
        if concluded.verdict != "none":  # what else there is to say of its files the step has said
            self._log.info("%s", concluded.sentence)
        self.outcome = concluded

    # What is behind these.

    def _found_or_started(self) -> str:
        """The container's id; looking for it, making it and starting it may each be repeated."""
        found = finding.by_name(self._client, self._attempt, self._name, self._log)
        return found if found is not None and not self._makes_room(found) else self._start()

    def _follower(self, container: str, waited: Waited | None) -> Follower:
        position = None if waited is None else waited.position
        transcript = Transcript(self._caller.mask, self._settings.output_size, position)
        return Follower(self._client, container, self._log_line, transcript)

    def _makes_room(self, container: str) -> bool:
        """Whether a person has cleared the try that started the container, while it waited: then it goes.

        The registrar sees to that too, in its next round; this try is there before.
        """
        found = watch.inspect(self._client, container)
        if found is None:
            return True
        try:
            whose = Attempt.of_container(found["Config"]["Labels"] or {})
        except ValueError:
            return False
        if whose.try_id == self._attempt.try_id:
            return False
        if self._ask(lambda: self._caller.registrar().look(whose)).ended != "cleared":
            return False
        self._log.warning("container %s makes room: a person has cleared its task", container[:12])
        failed = Failed("killed", ENDED_BY_PERSON.format("cleared"), retry=True)
        self._ask(lambda: self._caller.registrar().fail(container, whose, self._spec, failed))
        watch.set_aside(self._client, container, self._name)
        return True

    def _runs(self, container: str) -> bool:
        """Whether the container can still do something, as far as is known."""
        try:
            found = watch.inspect(self._client, container)
        except launch.ENGINE_ERRORS:
            return True
        return found is not None and found["State"]["Status"] in ALIVE

    def _wanted(self, container: str, position: Position, observed: watch.Observation) -> Wanted:
        settings = self._settings
        return Wanted(
            container=container,
            seconds=settings.seconds,
            folder=str(self._attempt.folder(settings)),
            disk=in_bytes(settings.disk),
            kept=settings.output_size,
            position=position,
            peak_memory_bytes=observed.peak_memory_bytes,
            host=settings.host,
            patience=settings.host_patience or ENGINE_SECONDS,
        )

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
        container = container_of(external_id)[:12]
        # The launcher may have been given another engine meanwhile: that one has said nothing about this container.
        if kept is not None and not kept.is_on(self._engine_of_now()):
            if self._has_come_elsewhere(kept):
                return
            lost = f"container {container} is on another engine ({kept.engine}), and its lease is over. Bring that"
            self._fail(Failed("engine_unreachable", f"{lost} engine back, or run the task again.", retry=True))
        removed = f"container {container} was removed by somebody else. Run the task again."
        self._fail(Failed("killed", removed, retry=True))

    def _engine_of_now(self) -> str:
        self._on_engine(self._connected)
        return self._engine

    def _start(self) -> str:
        container = launch.create(self._client, self._spec, self._settings, self._attempt, is_anew=self._is_anew)
        self._container = container
        if not self._is_stopped():  # a kill between create and start found nothing to stop
            launch.start(self._client, container)
        return container

    def _has_come_elsewhere(self, kept: ExternalId) -> bool:
        """Whether the outcome of a container on another engine has come; else the task may be started anew.

        Raises:
            StepLeftError: its host lives, and the task goes on there; or this process has to end.
        """
        host = kept.host
        while host is not None:
            asked = partial(self._caller.registrar().give_up, host, kept.container, self._attempt.identity)
            answer = self._ask(asked)
            match answer.state:
                case "there":
                    raise StepLeftError(f"its container is on the host {host}, and the task goes on there")
                case "gone":
                    return False
                case "lost":
                    self._log.warning("the host %s is lost with container %s", host, kept.container[:12])
                    self._is_anew = answer.is_alone
                    return self.look()
                case "silent":
                    # A little more, so that it is over by the registrar's clock as well.
                    if lease.wait_for_outcome(kept, answer.seconds + 1, self.look, self._is_stopped, self._log):
                        return True
                case _:
                    break
        return lease.wait_for_outcome(kept, self._settings.lease_seconds, self.look, self._is_stopped, self._log)

    def _log_line(self, line: str, is_error: bool) -> None:  # noqa: FBT001  # the follower's callback
        telling.say(self._log, line, is_error)
