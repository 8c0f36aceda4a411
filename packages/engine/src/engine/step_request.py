"""What the launcher is asked for: which step of which task, in a few bounded words, and nothing of how it is sealed.

It travels as one label of an ordinary "create a container" of Docker's API, so that a client of Docker can send it. The
launcher reads that label alone, and builds the container by its own settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from bulkhead import environments
from bulkhead.errors import Refused
from bulkhead.identity import Identity
from bulkhead.paths import JournalName
from engine.attempt import Attempt
from engine.settings import Limits
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from engine.settings import Settings

LABEL = "io.bulkhead.request"
LARGEST = 48 << 10
"""Bytes of a request."""

Name = Annotated[str, Meta(min_length=1, max_length=250)]
"""Airflow's ids have at most 250 characters."""
Word = Annotated[str, Meta(max_length=8192)]
Id = Annotated[str, Meta(pattern=r"^[0-9a-f-]{8,64}$")]
ImageName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Limit = Annotated[str, Meta(max_length=32)]
Number = Annotated[int, Meta(ge=-1, le=1_000_000_000)]


class StepRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step to be started."""

    image: ImageName
    """The image's purpose, like ``trainer``."""
    command: Annotated[list[Word], Meta(min_length=1, max_length=64)]
    journal: JournalName
    environment: Name
    dag_id: Name
    run_id: Name
    task_id: Name
    try_number: Number
    map_index: Number
    try_id: Id | None = None
    first_try: Id | None = None
    approval_task: Name | None = None
    cpus: float | None = None
    memory: Limit | None = None
    disk: Limit | None = None

    @property
    def spec(self) -> StepSpec:
        """The step."""
        return StepSpec(
            image=self.image,
            command=self.command,
            journal=self.journal,
            environment=self.environment,
            approval_task=self.approval_task,
        )

    @property
    def attempt(self) -> Attempt:
        """Which try of which task it is."""
        identity = Identity(
            dag_id=self.dag_id,
            run_id=self.run_id,
            task_id=self.task_id,
            try_number=self.try_number,
            map_index=self.map_index,
        )
        return Attempt(identity, self.try_id, self.first_try)

    @property
    def limits(self) -> Limits:
        """Its limits.

        Raises:
            Refused: one is none.
        """
        return Limits(cpus=self.cpus, memory=self.memory, disk=self.disk)


def of(spec: StepSpec, settings: Settings, attempt: Attempt) -> StepRequest:
    """The request for ``spec`` as ``attempt``."""
    who = attempt.identity
    return StepRequest(
        image=spec.image,
        command=list(spec.command),
        journal=spec.journal,
        environment=str(spec.environment),
        approval_task=spec.approval_task,
        dag_id=str(who.dag_id),
        run_id=str(who.run_id),
        task_id=str(who.task_id),
        try_number=who.try_number if who.try_number is not None else 1,
        map_index=who.map_index if who.map_index is not None else -1,
        try_id=attempt.try_id,
        first_try=attempt.first_try,
        cpus=settings.cpus,
        memory=settings.memory,
        disk=settings.disk,
    )


def create_arguments(spec: StepSpec, settings: Settings, attempt: Attempt) -> dict[str, Any]:
    """Arguments of docker-py's ``create_container``: of what they say, the launcher reads the one label."""
    return {
        "image": settings.tag_of(spec.image),
        "command": list(spec.command),
        "name": attempt.container_name(settings),
        "labels": {**attempt.labels(), LABEL: msgspec.json.encode(of(spec, settings, attempt)).decode()},
    }


def decode(text: str) -> StepRequest:
    """The request in the label's ``text``.

    Raises:
        Refused: it is none.
    """
    if len(text) > LARGEST:
        raise Refused(f"the step request has {len(text)} characters, and {LARGEST} are read at most.")
    try:
        request = msgspec.json.decode(text, type=StepRequest)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(f"the step request is none: {str(error)[:300]}.") from None
    if any("\0" in word for word in (*request.command, request.dag_id, request.run_id, request.task_id)):
        raise Refused("the step request holds a character that no command can have.")
    environments.get(request.environment)
    return request
