"""StepOperator: one Airflow task, one sealed container, one outcome.

The life of a step::

    prepare   run folder and log exist; the image is on the engine
    create    sealed (seal.py), by image id, so that what is recorded is what runs
    start     lines of its output go to the task log as they come (stream.py)
    wait      for the end
    judge     exit code, OOM flag, result file (verdict.py)
    remove    once judged
    record    a failure, unless the step has recorded its own

Crash recovery, finding the container of an attempt that lost its Airflow, has its place between
prepare and create.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.exceptions import AirflowException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk.exceptions import AirflowFailException
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from bulkhead import result, run_folder
from bulkhead.errors import one_line
from bulkhead.identity import Identity
from bulkhead.records import failure
from bulkhead.registry import Registry
from bulkhead_airflow import seal, stream, verdict
from bulkhead_airflow.settings import Settings
from bulkhead_airflow.verdict import Failed

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Context

    from bulkhead.identity import Environment
    from bulkhead.records import Pipeline
    from bulkhead.result import Result

_GRACE_SECONDS = 3
"""Airflow's supervisor kills the task 5 s after SIGTERM; the container must be gone before."""
_ENGINE_SECONDS = 300
"""A loaded engine takes minutes to create or remove a container, and that is not an outage."""
_TAIL_LINES = 20
_ENGINE_ERRORS = (DockerException, AirflowException, OSError)
"""What docker-py, the provider's hook and the socket raise when the engine does not answer."""


class Image(msgspec.Struct, frozen=True):
    """The image that runs: its tag for people, its id as the proof."""

    tag: str
    id: str


class StepOperator(DockerOperator):
    """Runs ``<image> <task_id> --flag=value ...`` and returns the step's result.

    Args:
        image: the image's purpose, ``trainer`` or ``inference``; ``bulkhead/`` and the tag are added.
        pipeline: whose log a failure goes to.
        environment: ``dev`` or ``prd``.
        flags: the step's long flags without dashes; values are templated.
        publishes: whether the step may write model files.
    """

    # Only the command is ours to template: a host path or a label with braces in it is not.
    template_fields = ("command",)
    template_ext = ()

    def __init__(
        self,
        *,
        image: str,
        pipeline: Pipeline,
        environment: Environment,
        flags: dict[str, str] | None = None,
        publishes: bool = False,
        **kwargs: Any,
    ) -> None:
        # A list, because a string that begins with "[" would be taken for one; and one element a
        # flag, because a value may begin with a dash.
        command = [kwargs["task_id"], *(f"--{name}={value}" for name, value in (flags or {}).items())]
        super().__init__(image=image, command=command, mount_tmp_dir=False, timeout=_ENGINE_SECONDS, **kwargs)
        self.pipeline: Pipeline = pipeline
        self.bulkhead_environment: Environment = environment
        self.publishes = publishes
        self._stopped = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the step to its end.

        Returns:
            The content of its result file.

        Raises:
            AirflowFailException: it failed, and another attempt would fail alike.
            AirflowException: it failed, and another attempt may succeed.
        """
        settings = Settings.from_environment()
        registry = Registry(settings.folder / "models")
        ti = context["ti"]
        identity = Identity(
            dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, try_number=ti.try_number, map_index=ti.map_index
        )
        since = registry.size_of_log(self.pipeline)
        outcome: Failed | Result
        image = self._find_image(settings)
        if isinstance(image, Failed):
            outcome = image
        else:
            identity = msgspec.structs.replace(identity, image=f"{image.tag}@{image.id}")
            outcome = self._run(settings, registry, identity, image)
        if not isinstance(outcome, Failed):
            return dict(msgspec.to_builtins(outcome))
        sentence = f"{self.task_id}: {outcome.cause}: {one_line(outcome.detail)}"
        self.log.error("%s", sentence)
        record = failure(
            self.pipeline,
            outcome.cause,
            outcome.detail,
            environment=self.bulkhead_environment,
            step=self.task_id,
            identity=identity,
        )
        try:
            registry.record_failure_once(self.pipeline, record, since=since)
        except OSError as error:
            self.log.error("models/: %s. The failure above is in no log.", error.strerror)  # noqa: TRY400  # a sentence
        raise (AirflowException if outcome.retry else AirflowFailException)(sentence)

    def on_kill(self) -> None:
        """Stop the container; :meth:`execute` then sees its end, and fails the task whatever its exit code."""
        self._stopped = True
        if self.container is not None:
            with suppress(NotFound):
                self.cli.stop(self.container["Id"], timeout=_GRACE_SECONDS)

    def _find_image(self, settings: Settings) -> Image | Failed:
        tag = f"bulkhead/{self.image}:{settings.tag}"
        try:
            return Image(tag, self.cli.inspect_image(tag)["Id"])
        except ImageNotFound:
            next_step = "Run 'just build-images', then clear the task."
            return Failed("image_missing", f"no image {tag} on this engine. {next_step}", retry=False)
        except _ENGINE_ERRORS as error:
            return Failed("engine_unreachable", f"{error}. Start Docker, then clear the task.", retry=True)

    def _run(self, settings: Settings, registry: Registry, identity: Identity, image: Image) -> Failed | Result:
        try:
            folder = self._prepare(settings, registry, identity)
        except OSError as error:
            next_step = f"Make it writable for user {settings.user}, then clear the task."
            return Failed("mount_missing", f"{error.filename}: {error.strerror}. {next_step}", retry=False)
        try:
            container = self._create(settings, identity, image)
        except APIError as error:
            cause = "mount_missing" if "bind source path" in str(error) else "crashed"
            next_step = "Mend that (BULKHEAD_HOST_DIR in .env names the folders), then clear the task."
            return Failed(cause, f"the engine refused the container: {error.explanation}. {next_step}", retry=False)
        try:
            tail = self._follow(container)
            if self._stopped:
                return Failed(
                    "killed", "Airflow stopped the task before its end. Clear it to run it again.", retry=False
                )
            state = self.cli.inspect_container(container)["State"]
            return verdict.judge(state, result.read(folder, self.task_id), container, tail, settings)
        except _ENGINE_ERRORS as error:
            return Failed("engine_unreachable", f"{error}. Look at the engine's log, then clear the task.", retry=True)
        finally:
            self._remove(container)

    def _prepare(self, settings: Settings, registry: Registry, identity: Identity) -> Path:
        """Make what is mounted: a bind mount's source must exist."""
        folder = settings.folder / identity.run_path
        folder.mkdir(parents=True, exist_ok=True)
        # What an earlier attempt left is not this attempt's proof.
        result.path_of(folder, self.task_id).unlink(missing_ok=True)
        registry.check_writable(self.pipeline)
        return folder

    def _create(self, settings: Settings, identity: Identity, image: Image) -> str:
        parts = (settings.project, identity.dag_id, identity.run_id, self.task_id, identity.try_number)
        mounts = seal.mounts(settings, identity, self.pipeline, publishes=self.publishes)
        self.container = self.cli.create_container(
            image=image.id,
            command=self.command,
            name=run_folder.slug(".".join(map(str, parts))),
            user=settings.user,
            environment=seal.variables(settings, identity, self.bulkhead_environment),
            labels=seal.labels(settings, identity, image.tag),
            host_config=self.cli.create_host_config(**seal.host_config(settings, mounts)),
        )
        return str(self.container["Id"])

    def _follow(self, container: str) -> list[str]:
        """Start the container, log its lines until it ends, and return the last of them."""
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        if self._stopped:  # between create and start
            return []
        self.cli.start(container)
        for line in stream.lines(self.cli.logs(container, stream=True, follow=True)):
            self.log.info("%s", line)
            tail.append(line)
        self.cli.wait(container)
        return list(tail)

    def _remove(self, container: str) -> None:
        try:
            self.cli.remove_container(container, force=True)
        except NotFound:
            pass
        except (DockerException, OSError) as error:
            self.log.warning("container %s is left behind: %s", container[:12], error)
