"""StepOperator: one Airflow task, one sealed container, one outcome, whatever dies meanwhile.

The life of the container is in ``engine.step_run``, which also draws its states. Here it is put into
Airflow's terms: who the task is, XCom and asset events, which failure may be retried.

The mixin decides between attach and start (``execute_resumable``); the methods below tell it of the
container. Before it, the registrar is asked for the task's outcome: a try whose success Airflow never
accepted is not run again, and a deliberate clear after an accepted one is.

A container that runs for longer than ``BULKHEAD_DEFER_AFTER`` is let go: the task is *deferred*, Airflow's triggerer
waits (``step_trigger``), and on its event the task comes back in another process (``resume``), to judge and record.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from airflow.exceptions import AirflowException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk._shared.secrets_masker import redact
from airflow.sdk.bases.resumablejobmixin import ResumableJobMixin
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowRuntimeError,
    AirflowTaskTimeout,
    TaskDeferred,
)
from airflow.sdk.execution_time.timeout import timeout
from docker import APIClient
from docker.errors import DockerException
from requests.exceptions import RequestException

from bulkhead.errors import Refused, one_line
from bulkhead.model_name import DEFAULT_NAME
from bulkhead_airflow import defaults, deferring, forms, links, notifiers, placement, step_metrics, task_log
from bulkhead_airflow.assets import models_of
from bulkhead_airflow.task_identity import identity_of, try_id_of
from bulkhead_airflow.xcom import bounded, facts_of
from engine import step_run
from engine.attempt import Attempt
from engine.caller import AT_ONCE_SECONDS, GRACE_SECONDS, Caller, StepFailedError, StepLeftError
from engine.deferral import SPARED_SECONDS, StepDeferredError
from engine.external_id import container_of
from engine.registrar_client import RegistrarClient
from engine.settings import Limits, Settings
from engine.step_run import StepRun
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import Context

    from bulkhead.identity import Environment
    from bulkhead.paths import JournalName
    from engine.verdict import Failed
    from engine.waiting import Waited

logger = logging.getLogger(__name__)

_PAUSE = timedelta(seconds=5)
"""Before a try goes on. A scheduler that hears of its process's end only when it is queued again takes it for lost."""
_ENGINE_SECONDS = 300
"""A loaded engine takes minutes to create or remove a container, and that is not an outage."""
_LEAST_SECONDS = 5.0
"""What a task that comes back has at least before its own time limit: to see that its step has ended."""
_EVENT_FACTS = ("model_filename", "model_hash", "sha256")


class StepOperator(ResumableJobMixin, DockerOperator):
    """Runs ``<image> <task_id> --flag=value ...`` and returns the step's result.

    Args:
        image: the image's purpose, ``trainer`` or ``inference``; ``bulkhead/`` and the tag are added.
        journal: which of the registry's journals its failures go to.
        environment: its name; templated.
        model_name: for which model of ``project/`` it works; templated.
        flags: the step's long flags without dashes; values are templated.
        publishes: whether its success changes what the environment serves, and updates the asset of that model, which
            is one of its outlets.
        approved_by: the task of this run in which a person approves what the step does.
        seconds: how long it may run; ``BULKHEAD_STEP_SECONDS`` if not given.
        cpus: its quota of CPUs; ``BULKHEAD_STEP_CPUS`` if not given.
        memory: in Docker's notation; ``BULKHEAD_STEP_MEMORY`` if not given.
        disk: what its run folder and output may take, in Docker's notation; ``BULKHEAD_STEP_DISK`` if not given.
        retries: how often it is run again after a crash; ``BULKHEAD_STEP_RETRIES`` if not given.

    Airflow's ``queue=`` says on which hosts it may run, where there are several; ``project/steps.toml`` if not given.

    Raises:
        Refused: a limit or the number of retries is none.
    """

    external_id_key = "container"
    # Nothing else is ours to template: a host path or a label with braces in it is not.
    template_fields = ("command", "bulkhead_environment", "bulkhead_model_name")
    template_ext = ()
    operator_extra_links = links.LINKS
    facts: Mapping[str, Any] | None = None
    """What its success says, once it has succeeded: for links and notifiers."""
    failed: Failed | None = None
    """Why it has failed, likewise."""

    def __init__(  # noqa: PLR0913  # what a step may be given; all by name
        self,
        *,
        image: str,
        journal: JournalName,
        environment: Environment,
        model_name: str = DEFAULT_NAME,
        flags: dict[str, str] | None = None,
        publishes: bool = False,
        approved_by: str | None = None,
        seconds: float | None = None,
        cpus: float | None = None,
        memory: str | None = None,
        disk: str | None = None,
        retries: int | None = None,
        **kwargs: Any,
    ) -> None:
        # A list, because a string that begins with "[" would be taken for one; and one element a
        # flag, because a value may begin with a dash.
        command = [kwargs["task_id"], *(f"--{name}={value}" for name, value in (flags or {}).items())]
        if publishes:
            kwargs.setdefault("outlets", [models_of(environment, model_name)])
        # The engine that is spoken to is the launcher's part of it. Whoever comes back from waiting needs a slot again,
        # to judge what has ended: so the later steps of a run go before the first ones of the next.
        ours = {"pool": defaults.POOL, "weight_rule": "upstream", "docker_url": defaults.launcher_url()}
        ours |= defaults.retry_arguments(retries)
        queue = placement.queue_of(kwargs["task_id"], model_name)
        kwargs = ours | ({} if queue is None else {"queue": queue}) | kwargs
        kwargs |= notifiers.arguments(kwargs)
        super().__init__(image=image, command=command, mount_tmp_dir=False, timeout=_ENGINE_SECONDS, **kwargs)
        self.journal: JournalName = journal
        self.bulkhead_environment: Environment = environment
        self.bulkhead_model_name = model_name
        self.publishes = publishes
        self.approved_by = approved_by
        self.limits = Limits(seconds=seconds, cpus=cpus, memory=memory, disk=disk)
        self._step: StepRun | None = None
        self._until: float | None = None
        """When Airflow's ``execution_timeout`` is over, which it forgets of a task that waits; by ``time.time()``."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the step to its end, or follow the container that an earlier try has left, or take its outcome.

        Returns:
            The content of its result file, or of what is left of it in 48 KiB.

        Raises:
            AirflowFailException: it failed, and another attempt would fail alike.
            AirflowException: it failed, and another attempt may succeed.
            AirflowRescheduleException: it runs on without this process.
        """
        if self.execution_timeout is not None:
            self._until = time.time() + self.execution_timeout.total_seconds()
        with self._running(context) as step:
            if step.look():
                return self.get_job_result(None, context)
            self._check_trigger(context, step)
            step.connect()
            return dict(self._attach_or_start(context))

    def resume(
        self, context: Context, container: str, position: str, until: float | None = None, event: Any = None
    ) -> dict[str, Any]:
        """Go on with the step that was waited for: as a rule it has ended, and is judged and recorded.

        Args:
            context: Airflow's.
            container: its external id.
            position: how far its output was told when the task let go of it.
            until: when Airflow's time limit is over.
            event: what the trigger says.
        """
        self._until = until
        with self._running(context) as step:
            waited = deferring.waited(event, position)
            self.log.info("container %s was waited for: %s", container_of(container)[:12], waited.why)
            if step.look():
                step.tell_rest(container, waited)
                return self.get_job_result(None, context)
            step.connect()
            if not step.is_here(container):  # its host is lost, and this is another
                return dict(self._attach_or_start(context))
            return self._follow_to_end(container, context, waited)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Airflow's: go on after a trigger. Where there was none that could wait, the step runs on all the same."""
        if next_method == self.resume.__name__:
            return self.resume(context, **(next_kwargs or {}))
        said = (next_kwargs or {}).get("error", next_method)
        self.log.warning("nobody waits for the step any more (%s); what it has printed is shown again", said)
        return self.execute(context)

    def on_kill(self) -> None:
        """Stop the container if a person ended the task, and leave it to the next try otherwise."""
        if self._step is not None:
            self._step.interrupt()

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
        """Follow the container to its end, judge it, and have its outcome recorded."""
        return self._follow_to_end(str(external_id), context)

    def get_job_result(self, external_id: Any, context: Context) -> dict[str, Any]:  # noqa: ARG002  # the mixin's signature
        """What the registrar says has come of the task; the container stays until Airflow has accepted the success."""
        outcome = self._running_step.outcome
        if outcome is None:
            raise RuntimeError("the step has not been concluded")
        if self.publishes:
            self._update_asset(outcome.facts, context)
        if self.facts is None:  # the mixin may ask twice
            self.facts = facts_of(outcome)
            step_metrics.of_success(outcome.result, self.facts, self._tags(step_metrics.SUCCEEDED))
        return bounded(outcome.result or {"facts": outcome.facts})

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

    @contextmanager
    def _running(self, context: Context) -> Iterator[StepRun]:
        """The step of this try, and what it raises in Airflow's terms."""
        try:
            settings = Settings.from_environment(self.task_id, self.limits)
        except Refused as error:
            self.log.error("%s", error)  # noqa: TRY400  # its stack says nothing
            raise task_log.told(AirflowFailException(str(error))) from None
        with self._in_airflows_terms():
            attempt = Attempt(identity_of(context), try_id=try_id_of(context))
            step = self._step = StepRun(self._spec(), settings, attempt, self._caller())
            try:
                yield step
            except (DockerException, RequestException) as error:  # between two looks at the container
                step.lose_engine(error)

    @contextmanager
    def _in_airflows_terms(self) -> Iterator[None]:
        """What the step raises, as Airflow has to take it: to be retried, or not. Its sentence is in the log."""
        try:
            yield
        except StepFailedError as error:
            self.failed = error.failed
            step_metrics.of_failure(error.failed, self._tags(error.failed.cause))
            kind = AirflowException if error.failed.retry else AirflowFailException
            raise task_log.told(kind(str(error))) from None
        except StepLeftError as error:
            # The same try once more: nothing has failed, and no retry is used up.
            logger.warning("%s", error)
            raise AirflowRescheduleException(datetime.now(UTC) + _PAUSE) from None

    def _tags(self, outcome: str) -> dict[str, str]:
        return step_metrics.tags_of(self.bulkhead_environment, self.bulkhead_model_name, self.task_id, outcome)

    def _follow_to_end(self, container: str, context: Context, waited: Waited | None = None) -> dict[str, Any]:
        step = self._running_step
        try:
            # Of a task that comes back, Airflow counts the time from its coming back.
            with nullcontext() if waited is None or self._until is None else _time_until(self._until):
                is_over_soon = self._until is not None and self._until - time.time() < SPARED_SECONDS
                ending = step.follow(container, waited, is_deferrable=not is_over_soon)
        except AirflowTaskTimeout:
            ending = step.time_out()
        except StepDeferredError as deferred:
            self._let_go(deferred, context)
        step.conclude(container, ending)
        return self.get_job_result(container, context)

    def _let_go(self, deferred: StepDeferredError, context: Context) -> NoReturn:
        wanted = msgspec.structs.replace(deferred.wanted, until=self._until)
        deferring.keep_earlier_log(context)
        self.log.info("container %s runs on, and the triggerer waits for it", wanted.container[:12])
        kept = {"container": deferred.external_id, "position": wanted.position.encode(), "until": self._until}
        raise TaskDeferred(trigger=deferring.trigger_of(wanted), method_name=self.resume.__name__, kwargs=kept)

    def _check_trigger(self, context: Context, step: StepRun) -> None:
        """Refuse a run that asks for what its DAG does not know, or on a table that nobody names."""
        known = dict.fromkeys([*context["dag"].params, *self.params])  # their keys: a value that is required has none
        refusal = forms.refusal(context["dag_run"].conf, known, self.command)
        if refusal is not None:
            step.refuse(refusal)

    def _update_asset(self, facts: dict[str, Any], context: Context) -> None:
        """Of all assets that the DAG declares, update the one that changed: Airflow asks when the task has ended."""
        changed = models_of(self.bulkhead_environment, facts.get("model_name", self.bulkhead_model_name))
        # A model that is not served changes nothing for those who follow; one without a file here, nothing declared.
        self.outlets = [one for one in context["outlets"] if one == changed and facts.get("serve") is not False]
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {key: facts.get(key) for key in _EVENT_FACTS}

    def _spec(self) -> StepSpec:
        return StepSpec(
            image=self.image,
            command=self.command,
            journal=self.journal,
            environment=self.bulkhead_environment,
            model_name=self.bulkhead_model_name,
            approval_task=self.approved_by,
        )

    def _caller(self) -> Caller:
        return Caller(
            connect=self._connect,
            connect_to_stop=self._connect_to_stop,
            registrar=RegistrarClient.from_environment,
            registrar_at_once=lambda: RegistrarClient.from_environment(seconds=AT_ONCE_SECONDS),
            log=self.log,
            mask=redact,
        )

    def _connect(self) -> APIClient:
        try:
            return self.hook.api_client
        except AirflowException as error:
            raise DockerException(str(error)) from error

    def _connect_to_stop(self) -> APIClient:
        url = self.docker_url if isinstance(self.docker_url, str) else self.docker_url[0]
        return APIClient(base_url=url, version="auto", timeout=GRACE_SECONDS + 2)


def _time_until(until: float) -> Any:
    return timeout(max(_LEAST_SECONDS, until - time.time()))
