"""What a step is, whoever starts it: Airflow, ``just step``, a test. Needs the standard library alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.paths import JournalName


@dataclass(frozen=True, kw_only=True)
class StepSpec:
    """One step: an image, a command, and what it may do."""

    image: str
    """The image's purpose, like ``trainer``; ``bulkhead/`` and the tag are added."""
    command: Sequence[str]
    """The task's id, then its flags."""
    journal: JournalName
    """Where its failures are recorded."""
    environment: str | None = None
    """An environment's name; None leaves it to the flags."""
    model_name: str | None = None
    """For which model of ``project/`` it works; None leaves it to the flags."""
    approval_task: str | None = None
    """The task of the same run in which a person approves what the step does."""

    @property
    def task_id(self) -> str:
        """The step's name."""
        return self.command[0] if self.command else ""
