"""What the launcher is asked: which step is to run for which try, and nothing of how.

It travels as one label of a create request, so that Docker's own client can carry it. The launcher reads that label,
and nothing else of the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from bulkhead import model_name
from bulkhead.identity import Identity
from bulkhead.paths import JournalName
from engine.attempt import Attempt
from engine.settings import Limits
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from engine.settings import Settings

REQUEST_LABEL = "io.bulkhead.request"

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}\Z")]
"""An image's purpose, or an environment's name."""
ModelName = Annotated[str, msgspec.Meta(pattern=rf"^{model_name.PATTERN}\Z")]
AirflowId = Annotated[str, msgspec.Meta(min_length=1, max_length=250, pattern=r"^[^\x00-\x1f\x7f/]+\Z")]
"""Of a DAG or a task: it becomes a label, and a task's becomes a file's name."""
RunId = Annotated[str, msgspec.Meta(min_length=1, max_length=250, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
TryId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}\Z")]
Word = Annotated[str, msgspec.Meta(max_length=8192, pattern=r"^[^\x00]*\Z")]


class TaskIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which try of which task it is."""

    dag_id: AirflowId
    run_id: RunId
    task_id: AirflowId
    try_number: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    map_index: Annotated[int, msgspec.Meta(ge=-1, le=1_000_000)] = -1


class StepRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step for one try of a task."""

    image: Name
    command: Annotated[list[Word], msgspec.Meta(min_length=1, max_length=200)]
    environment: Name | None
    journal: JournalName
    identity: TaskIdentity
    try_id: TryId
    first_try: TryId
    model_name: ModelName = model_name.DEFAULT_NAME
    approval_task: AirflowId | None = None
    cpus: float | None = None
    memory: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    seconds: float | None = None
    disk: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    is_anew: bool = False
    """Whether a container of this task may be running on a lost host: its run folder is left to it."""

    @classmethod
    def decode(cls, text: str) -> StepRequest:
        """The request in a label.

        Raises:
            ValueError: it is none.
        """
        return msgspec.json.decode(text, type=cls)

    @property
    def spec(self) -> StepSpec:
        """The step that is asked for."""
        return StepSpec(
            image=self.image,
            command=self.command,
            journal=self.journal,
            environment=self.environment,
            model_name=self.model_name,
            approval_task=self.approval_task,
        )

    @property
    def limits(self) -> Limits:
        """The step's own limits.

        Raises:
            Refused: one is no limit.
        """
        return Limits(seconds=self.seconds, cpus=self.cpus, memory=self.memory, disk=self.disk)

    @property
    def attempt(self) -> Attempt:
        """Who asks."""
        return Attempt(Identity(**msgspec.structs.asdict(self.identity)), self.try_id, self.first_try)


def create_arguments(spec: StepSpec, settings: Settings, attempt: Attempt, *, is_anew: bool = False) -> dict[str, Any]:
    """Arguments of docker-py's ``create_container``, for a client that speaks to the launcher."""
    identity = attempt.identity
    own = {name: getattr(settings, name) for name, how in settings.sources.items() if how.endswith("in its DAG")}
    request = {
        "image": spec.image,
        "command": [*spec.command],
        "environment": spec.environment,
        "journal": spec.journal,
        "identity": {
            "dag_id": identity.dag_id,
            "run_id": identity.run_id,
            "task_id": identity.task_id,
            "try_number": identity.try_number,
            "map_index": identity.map_index,
        },
        "try_id": attempt.try_id,
        "first_try": attempt.first_try,
        "approval_task": spec.approval_task,
        **({} if spec.model_name is None else {"model_name": spec.model_name}),
        **{name: value for name, value in own.items() if name in _LIMITS},
        **({"is_anew": True} if is_anew else {}),
    }
    return {
        "image": settings.tag_of(spec.image),
        "command": [*spec.command],
        "name": attempt.container_name(settings),
        "labels": {**attempt.labels(), REQUEST_LABEL: msgspec.json.encode(request).decode()},
    }


_LIMITS = frozenset({"seconds", "cpus", "memory", "disk"})
