"""StepOperator: one Airflow task, one sealed container, one outcome, whatever dies meanwhile.

The life of the container is in ``engine.step_run``, which also draws its states. Here it is put into
Airflow's terms: who the task is, XCom and asset events, which failure may be retried.

The mixin decides between attach and start (``execute_resumable``); the methods below tell it of the
container. Airflow forgets the stored id when it has observed the success (``clear_on_success``), so a
deliberate clear runs a finished task afresh, and a try whose success nobody saw is not run again.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.exceptions import AirflowException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import Asset
from airflow.sdk._shared.secrets_masker import redact
from airflow.sdk.bases.resumablejobmixin import ResumableJobMixin
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, AirflowTaskTimeout
from docker import APIClient
from docker.errors import DockerException
from requests.exceptions import RequestException

from bulkhead.errors import Refused, one_line
from bulkhead.identity import Identity
from bulkhead_airflow.defaults import retry_arguments
from engine import step_run
from engine.settings import Limits, Settings
from engine.step_run import Caller, Ending, StepFailedError, StepRun
from engine.step_spec import StepSpec
from engine.verdict import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context

    from bulkhead.identity import Environment
    from bulkhead.paths import JournalName

_ENGINE_SECONDS = 300
"""A loaded engine takes minutes to create or remove a container, and that is not an outage."""


def models_of(environment: Environment) -> Asset:
    """The asset that a published model of ``environment`` updates."""
    return Asset(name=f"{environment}_models", uri=f"bulkhead://models/{environment}")


class StepOperator(ResumableJobMixin, DockerOperator):
    """Runs ``<image> <task_id> --flag=value ...`` and returns the step's result.

    Args:
        image: the image's purpose, ``trainer`` or ``inference``; ``bulkhead/`` and the tag are added.
        journal: which of the registry's journals its failures go to.
        environment: its name; templated.
        flags: the step's long flags without dashes; values are templated.
        publishes: whether the step may write model files; its success updates the environment's asset.
        announces: whether its success updates the asset although it writes no file: a promotion does.
        seconds: how long it may run; ``BULKHEAD_STEP_SECONDS`` if not given.
        cpus: its quota of CPUs; ``BULKHEAD_STEP_CPUS`` if not given.
        memory: in Docker's notation; ``BULKHEAD_STEP_MEMORY`` if not given.
        retries: how often it is run again after a crash; ``BULKHEAD_STEP_RETRIES`` if not given.

    Raises:
        Refused: a limit or the number of retries is none.
    """

    external_id_key = "container"
    # Nothing else is ours to template: a host path or a label with braces in it is not.
    template_fields = ("command", "bulkhead_environment")
    template_ext = ()

    def __init__(  # noqa: PLR0913  # what a step may be given; all by name
        self,
        *,
        image: str,
        journal: JournalName,
        environment: Environment,
        flags: dict[str, str] | None = None,
        publishes: bool = False,
        announces: bool = False,
        seconds: float | None = None,
        cpus: float | None = None,
        memory: str | None = None,
        retries: int | None = None,
        **kwargs: Any,
    ) -> None:
        # A list, because a string that begins with "[" would be taken for one; and one element a
        # flag, because a value may begin with a dash.
        command = [kwargs["task_id"], *(f"--{name}={value}" for name, value in (flags or {}).items())]
        if publishes or announces:
            kwargs.setdefault("outlets", [models_of(environment)])
        kwargs = retry_arguments(retries) | kwargs
        super().__init__(image=image, command=command, mount_tmp_dir=False, timeout=_ENGINE_SECONDS, **kwargs)
        self.journal: JournalName = journal
        self.bulkhead_environment: Environment = environment
        self.publishes = publishes
        self.announces = publishes or announces
        self.limits = Limits(seconds=seconds, cpus=cpus, memory=memory)
        self._step: StepRun | None = None
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
            settings = Settings.from_environment(self.task_id, self.limits)
        except Refused as error:
            raise AirflowFailException(str(error)) from None
        with _in_airflows_terms():
            caller = Caller(self._connect, self._connect_to_stop, self.log, redact, lambda: self._stopped)
            step = self._step = StepRun(self._spec(), settings, _identity(context), caller)
            step.connect()
            try:
                return dict(self._attach_or_start(context))
            except (DockerException, RequestException) as error:  # between two looks at the container
                step.lose_engine(error)

    def on_kill(self) -> None:
        """Stop the container; it is judged by its proof, not by its exit code."""
        self._stopped = True
        if self._step is not None:
            self._step.stop()

    # What the mixin asks.

    def submit_job(self, context: Context) -> str:  # noqa: ARG002  # the mixin's signature
        """The id of the logical task's container: the one that is there, or a new one."""
        return self._running_step.find_or_start()

    def get_job_status(self, external_id: Any, context: Context) -> str:  # noqa: ARG002  # the mixin's signature
        """What has become of the container."""
        return self._running_step.status(str(external_id))

    def is_job_active(self, status: str) -> bool:
        """Whether there is a container to follow."""
        return status == step_run.RUNNING

    def is_job_succeeded(self, status: str) -> bool:
        """Whether the step has finished and proved it."""
        return status == step_run.SUCCEEDED

    def poll_until_complete(self, external_id: Any, context: Context) -> dict[str, Any]:
        """Follow the container to its end and judge it."""
        step, container = self._running_step, str(external_id)
        try:
            ending = step.follow(container)
        except AirflowTaskTimeout:
            step.stop()
            detail = "Airflow's execution_timeout is over before the step's end."
            ending = Ending(Failed("timed_out", detail, retry=True))
        step.conclude(container, ending)
        return self.get_job_result(container, context)

    def get_job_result(self, external_id: Any, context: Context) -> dict[str, Any]:
        """The content of the result file; the container has nothing more to tell, and goes."""
        proof = self._running_step.proof()
        if self.announces:
            facts = {key: proof.facts[key] for key in ("model_filename", "model_hash", "sha256")}
            asset = models_of(self.bulkhead_environment)
            # Of all that a DAG declares, the one that changed: Airflow asks for them when the task has ended.
            self.outlets = [asset]
            context["outlet_events"][asset].extra = facts
        self._running_step.remove(str(external_id))
        return dict(msgspec.to_builtins(proof))

    # What the engine is told.

    @property
    def _running_step(self) -> StepRun:
        if self._step is None:
            raise RuntimeError("the step is run by execute, which has not been called")
        return self._step

    def _attach_or_start(self, context: Context) -> dict[str, Any]:
        try:
            return dict(self.execute_resumable(context))
        except AirflowRuntimeError as error:
            # The API server did not take or give the id; the container is found by its name as well.
            self.log.warning("going on without the task state store: %s", one_line(str(error), 300))
            return self.poll_until_complete(self.submit_job(context), context)

    def _spec(self) -> StepSpec:
        return StepSpec(
            image=self.image,
            command=self.command,
            journal=self.journal,
            environment=self.bulkhead_environment,
            publishes=self.publishes,
        )

    def _connect(self) -> APIClient:
        try:
            return self.hook.api_client
        except AirflowException as error:
            raise DockerException(str(error)) from error

    def _connect_to_stop(self) -> APIClient:
        url = self.docker_url if isinstance(self.docker_url, str) else self.docker_url[0]
        return APIClient(base_url=url, version="auto", timeout=step_run.GRACE_SECONDS + 2)


@contextmanager
def _in_airflows_terms() -> Iterator[None]:
    """What the step raises, as Airflow has to take it: to be retried, or not."""
    try:
        yield
    except StepFailedError as error:
        raise (AirflowException if error.failed.retry else AirflowFailException)(str(error)) from None


def _identity(context: Context) -> Identity:
    ti = context["ti"]
    return Identity(
        dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, try_number=ti.try_number, map_index=ti.map_index
    )
