"""StepOperator: one Airflow task, one sealed container, one outcome, whatever dies meanwhile.

The states of a step, and who may be dead in each::

              ┌────────── none ──────────┐ no container has the logical task's name
              │ prepare, create, start   │
              ▼                          │
    ┌──────running◀──────────────┐       │ Airflow may die here: the next try finds the
    │         │ follow to the end│attach │ container (by its id in the task state store, or by
    │         ▼                  │       │ its name) and follows it from its beginning
    │       exited ──────────────┘       │
    │         │ judge (verdict.py)       │ nobody has judged it: the next try does
    │    ┌────┴─────┐                    │
    │  success   failure                 │
    │    │          │ record once        │ in the attempt's name, unless the step has done so
    │    ▼          ▼                    │
    │ removed   set aside ───────────────┘ renamed: kept as evidence, out of the next try's way
    └─ on_kill: stop; then judged ``killed`` whatever the exit code, unless the proof is there

The mixin decides between attach and start (``execute_resumable``); the methods below tell it of the
container. Airflow forgets the stored id when it has observed the success (``clear_on_success``), so a
deliberate clear runs a finished task afresh, and a try whose success nobody saw is not run again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from airflow.exceptions import AirflowException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import Asset
from airflow.sdk._shared.secrets_masker import redact
from airflow.sdk.bases.resumablejobmixin import ResumableJobMixin
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, AirflowTaskTimeout
from docker import APIClient
from docker.errors import DockerException, NotFound
from requests.exceptions import RequestException

from bulkhead.errors import Refused, one_line
from bulkhead.identity import Identity
from bulkhead.registry import detached_writer
from bulkhead.registry.records import failure
from bulkhead.registry.store import Registry
from bulkhead.step import result
from bulkhead_airflow.defaults import retries
from engine import launch, verdict, watch
from engine.attempt import Attempt
from engine.logs import Follower
from engine.settings import Settings
from engine.verdict import Failed

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bulkhead.identity import Environment
    from bulkhead.registry.records import JournalName, Success
    from bulkhead.step.result import StepResult
    from engine.attempt import Image

_GRACE_SECONDS = 3
"""Airflow's supervisor kills the task 5 s after SIGTERM; the container must be gone before."""
_ENGINE_SECONDS = 300
"""A loaded engine takes minutes to create or remove a container, and that is not an outage."""


def models_of(environment: Environment) -> Asset:
    """The asset that a published model of ``environment`` updates."""
    return Asset(name=f"{environment}_models", uri=f"bulkhead://models/{environment}")


class StepOperator(ResumableJobMixin, DockerOperator):
    """Runs ``<image> <task_id> --flag=value ...`` and returns the step's result.

    Args:
        image: the image's purpose, ``trainer`` or ``inference``; ``bulkhead/`` and the tag are added.
        pipeline: whose log a failure goes to.
        environment: its name; templated.
        flags: the step's long flags without dashes; values are templated.
        publishes: whether the step may write model files; its success updates the environment's asset.
        announces: whether its success updates the asset although it writes no file: a promotion does.
    """

    external_id_key = "container"
    # Nothing else is ours to template: a host path or a label with braces in it is not.
    template_fields = ("command", "bulkhead_environment")
    template_ext = ()

    def __init__(
        self,
        *,
        image: str,
        pipeline: JournalName,
        environment: Environment,
        flags: dict[str, str] | None = None,
        publishes: bool = False,
        announces: bool = False,
        **kwargs: Any,
    ) -> None:
        # A list, because a string that begins with "[" would be taken for one; and one element a
        # flag, because a value may begin with a dash.
        command = [kwargs["task_id"], *(f"--{name}={value}" for name, value in (flags or {}).items())]
        if publishes or announces:
            kwargs.setdefault("outlets", [models_of(environment)])
        kwargs = retries() | kwargs
        super().__init__(image=image, command=command, mount_tmp_dir=False, timeout=_ENGINE_SECONDS, **kwargs)
        self.pipeline: JournalName = pipeline
        self.bulkhead_environment: Environment = environment
        self.publishes = publishes
        self.announces = publishes or announces
        self._container: str | None = None
        self._stopped = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the step to its end, or follow the container that an earlier try has left.

        Returns:
            The content of its result file.

        Raises:
            AirflowFailException: it failed, and another attempt would fail alike.
            AirflowException: it failed, and another attempt may succeed.
        """
        try:
            self._settings = Settings.from_environment(self.task_id)
        except Refused as error:
            raise AirflowFailException(str(error)) from None
        self._registry = Registry(self._settings.folder / "models")
        self._attempt = Attempt.starting_now(_identity(context), self._registry, self.pipeline)
        try:
            self.hook.api_client  # noqa: B018  # connects now: from here on only the engine itself can be lost
        except (*launch.ENGINE_ERRORS, AirflowException) as error:
            self._fail(launch.unreachable(error).failed)
        try:
            return dict(self.execute_resumable(context))
        except AirflowRuntimeError as error:
            # The API server did not take or give the id; the container is found by its name as well.
            self.log.warning("going on without the task state store: %s", one_line(str(error), 300))
            return self.poll_until_complete(self.submit_job(context), context)
        except (DockerException, RequestException) as error:
            # Between two looks at the container; what it has done is judged by the next try.
            self._fail(launch.unreachable(error).failed)

    def on_kill(self) -> None:
        """Stop the container; :meth:`poll_until_complete` judges its end by its proof, not by its exit code."""
        self._stopped = True
        if self._container is not None:
            self._stop(self._container)

    # What the mixin asks.

    def submit_job(self, context: Context) -> str:  # noqa: ARG002  # the mixin's signature
        """The id of the logical task's container: the one that is there, or a new one.

        Raises:
            AirflowException: none could be started; recorded.
        """
        try:
            image = launch.find_image(self.cli, f"bulkhead/{self.image}:{self._settings.tag}")
            self._attempt = self._attempt.with_image(image)
            left = self._left_behind()
            return left if left is not None else self._start(image)
        except launch.NotStartedError as error:
            self._fail(error.failed)

    def get_job_status(self, external_id: Any, context: Context) -> str:  # noqa: ARG002  # the mixin's signature
        """``running``, ``succeeded`` or ``failed``; a failure that nobody has judged is recorded and set aside."""
        container = watch.inspect(self.cli, str(external_id))
        if container is None:
            proof = self._result()
            return (
                "succeeded" if proof is not None and proof.is_readable and proof.is_by(str(external_id)) else "failed"
            )
        if container["State"]["Status"] in watch.ALIVE:
            return "running"
        return "succeeded" if self._is_success(container) else "failed"

    def is_job_active(self, status: str) -> bool:
        """Whether there is a container to follow."""
        return status == "running"

    def is_job_succeeded(self, status: str) -> bool:
        """Whether the step has finished and proved it."""
        return status == "succeeded"

    def poll_until_complete(self, external_id: Any, context: Context) -> dict[str, Any]:
        """Follow the container to its end and judge it.

        Raises:
            AirflowException: it failed; recorded, and set aside.
        """
        container = self._container = str(external_id)
        ended: Failed | None = None
        try:
            follower = Follower(self.cli, container, self._log_line, redact, self._settings.log)
            observed = watch.follow(self.cli, container, self._settings.seconds, follower, lambda: self._stopped)
            if observed.timed_out:
                self._stop(container)
                limit = f"{self._settings.seconds:g} s (BULKHEAD_STEP_SECONDS)"
                ended = Failed(
                    "timed_out", f"not done after {limit}. Raise it in .env, or give less data.", retry=False
                )
            elif self._stopped:
                ended = Failed(
                    "killed", "Airflow stopped the task before its end. Clear it to run it again.", retry=True
                )
            peak = observed.peak_memory_bytes
        except AirflowTaskTimeout:
            self._stop(container)
            peak = None
            ended = Failed("timed_out", "Airflow's execution_timeout is over before the step's end.", retry=True)
        except watch.EngineLostError as error:
            next_step = "Its container is followed again by the next try."
            self._fail(Failed("engine_unreachable", f"{error} {next_step}", retry=True))
        outcome = self._judge(container, peak)
        if isinstance(outcome, Failed):
            # Stopped by us: its exit code says less than why.
            self._end(container, msgspec.structs.replace(ended, evidence=outcome.evidence) if ended else outcome)
        return self.get_job_result(container, context)

    def get_job_result(self, external_id: Any, context: Context) -> dict[str, Any]:
        """The content of the result file; the container has nothing more to tell, and goes."""
        proof = self._result()
        if proof is None:
            self._fail(
                Failed("no_result", "the result file has gone since the step ended. Clear the task.", retry=True)
            )
        if self.announces:
            facts = {key: proof.facts[key] for key in ("model_filename", "model_hash", "sha256")}
            asset = models_of(self.bulkhead_environment)
            # Of all that a DAG declares, the one that changed: Airflow asks for them when the task has ended.
            self.outlets = [asset]
            context["outlet_events"][asset].extra = facts
        try:
            self.cli.remove_container(str(external_id))
        except NotFound:
            pass
        except launch.ENGINE_ERRORS as error:
            self.log.warning("container %s is left behind ('just reap' removes it): %s", str(external_id)[:12], error)
        return dict(msgspec.to_builtins(proof))

    # Start.

    def _left_behind(self) -> str | None:
        """The container of an earlier try that this one goes on with: it runs, or has finished unseen."""
        try:
            left = watch.inspect(self.cli, self._attempt.container_name(self._settings))
            if left is None:
                return None
            container = str(left["Id"])
            if left["State"]["Status"] == "created":  # never ran: Airflow died in between
                self.cli.remove_container(container, force=True)
                return None
            if left["State"]["Status"] in watch.ALIVE or self._is_success(left):
                self.log.info("container %s of this task is there already; going on with it", container[:12])
                return container
        except launch.ENGINE_ERRORS as error:
            raise launch.unreachable(error) from error
        return None

    def _start(self, image: Image) -> str:
        launch.prepare(self._settings, self._attempt, self._registry, self.pipeline)
        where = (self.pipeline, self.bulkhead_environment, self.publishes)
        container = launch.create(self.cli, self._settings, self._attempt, image, self.command, where)
        self._container = container
        if not self._stopped:  # a kill between create and start found nothing to stop
            launch.start(self.cli, container)
        return container

    # End.

    def _stop(self, container: str) -> None:
        # A client of its own: this may be called by a signal in the middle of a request of the other.
        url = self.docker_url if isinstance(self.docker_url, str) else self.docker_url[0]
        with suppress(NotFound):
            APIClient(base_url=url, version="auto", timeout=_GRACE_SECONDS + 2).stop(container, timeout=_GRACE_SECONDS)

    def _log_line(self, line: str, is_error: bool) -> None:  # noqa: FBT001  # the follower's callback
        (self.log.warning if is_error else self.log.info)("%s", line)

    def _result(self) -> StepResult | None:
        return result.read(self._attempt.folder(self._settings), self.task_id)

    def _judge(self, container: str, peak_memory_bytes: int | None = None) -> Failed | StepResult:
        """How the container ended, by its proof, by the log, by the engine, in this order."""
        found = watch.inspect(self.cli, container)
        if found is None:
            removed = f"container {container[:12]} was removed by somebody else. Run the task again."
            attempt, outcome = self._attempt, Failed("killed", removed, retry=True)
        else:
            attempt = Attempt.of_container(found["Config"]["Labels"])
            tail = watch.last_lines(self.cli, container, redact)
            judged = verdict.judge(found["State"], self._result(), container, tail, self._settings, peak_memory_bytes)
            if not isinstance(judged, Failed):
                return judged
            outcome = judged
        record = self._registry.success_of(self.pipeline, attempt.identity, attempt.since)
        return outcome if record is None else self._proof_from(record, container)

    def _proof_from(self, record: Success, container: str) -> StepResult:
        self.log.info("the step died after its record in the log, which stands; its result file is made from that")
        proof = result.from_record(record, self.bulkhead_environment, container)
        result.write(self._attempt.folder(self._settings), proof)
        return proof

    def _is_success(self, container: dict[str, Any]) -> bool:
        """Judge a container that an earlier try left; a failure is recorded for that try, and set aside."""
        outcome = self._judge(container["Id"])
        if not isinstance(outcome, Failed):
            return True
        if watch.is_live_name(container, self._attempt.container_name(self._settings)):
            left = Attempt.of_container(container["Config"]["Labels"])
            self.log.info("try %s ended unseen: %s: %s", left.identity.try_number, outcome.cause, outcome.detail)
            self._record(left, outcome)
            watch.set_aside(self.cli, container["Id"])
        return False

    def _end(self, container: str, failed: Failed) -> NoReturn:
        """Record the end of ``container`` in the name of the try that started it, keep it as evidence, and raise."""
        attempt = self._attempt
        with suppress(*launch.ENGINE_ERRORS):
            if (found := watch.inspect(self.cli, container)) is not None:
                attempt = Attempt.of_container(found["Config"]["Labels"])
        self._fail(failed, attempt, container)

    def _fail(self, failed: Failed, attempt: Attempt | None = None, container: str | None = None) -> NoReturn:
        """Record the failure, unless the step has, set its container aside, and raise."""
        sentence = f"{self.task_id}: {failed.cause}: {one_line(redact(failed.detail))}"
        self.log.error("%s", sentence)
        # Recorded before the container is out of sight: Airflow may die between the two.
        self._record(attempt or self._attempt, failed)
        if container is not None:
            watch.set_aside(self.cli, container)
        raise (AirflowException if failed.retry else AirflowFailException)(sentence)

    def _record(self, attempt: Attempt, failed: Failed) -> None:
        record = failure(
            self.pipeline,
            failed.cause,
            redact(failed.detail),
            environment=self.bulkhead_environment,
            identity=attempt.identity,
            evidence=failed.evidence,
        )
        try:
            if self._stopped:
                # The supervisor kills this process soon, and another may hold the log's lock for longer.
                detached_writer.record_failure_once(self._registry, self.pipeline, record, since=attempt.since)
            self._registry.record_failure_once(self.pipeline, record, since=attempt.since)
        except OSError as error:
            self.log.error("models/: %s. The failure above is in no log.", error.strerror)  # noqa: TRY400  # a sentence


def _identity(context: Context) -> Identity:
    ti = context["ti"]
    return Identity(
        dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, try_number=ti.try_number, map_index=ti.map_index
    )
