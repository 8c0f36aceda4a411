"""One try of one task: who it is, what its container is called, where its files are.

The container's name is the *logical task's* (DAG, run, task, map index), without the try. The engine
keeps names unique, so no two containers of one logical task can be live at once. A container that
has been judged a failure is set aside under another name, kept as evidence, and no longer in the
way of the next try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import paths
from bulkhead.identity import Identity

if TYPE_CHECKING:
    from pathlib import Path

    from engine.settings import Settings

_PREFIX = "io.bulkhead."
FIRST_TRY_LABEL = f"{_PREFIX}first-try"
"""Which outcome a container works for."""
COMMIT_LABEL = "org.opencontainers.image.revision"


class Attempt(msgspec.Struct, frozen=True):
    """One try of one task, and the outcome that it works for."""

    identity: Identity
    try_id: str = ""
    """Airflow's id of the try; each has another."""
    first_try: str | None = None
    """The id of the first try of this outcome, as the registrar says; None: it was not asked yet."""

    @classmethod
    def of_container(cls, labels: dict[str, str]) -> Attempt:
        """The try that started a container, from the labels that the launcher gave it.

        Raises:
            ValueError: they are not those of a step.
        """
        try:
            identity = Identity(
                dag_id=labels[f"{_PREFIX}dag"],
                run_id=labels[f"{_PREFIX}run"],
                task_id=labels[f"{_PREFIX}task"],
                try_number=int(labels[f"{_PREFIX}try"]),
                map_index=int(labels[f"{_PREFIX}map-index"]),
                image=labels[f"{_PREFIX}image"],
                git_commit=labels.get(COMMIT_LABEL),
            )
            return cls(identity, labels[f"{_PREFIX}try-id"], labels[FIRST_TRY_LABEL])
        except KeyError as error:
            raise ValueError(f"no label {error}") from None

    def of_outcome(self, first_try: str) -> Attempt:
        """This try, now that its outcome is known."""
        return msgspec.structs.replace(self, first_try=first_try)

    def with_image(self, image: Image) -> Attempt:
        """This try, now that its image is known."""
        identity = msgspec.structs.replace(self.identity, image=f"{image.tag}@{image.id}", git_commit=image.commit)
        return msgspec.structs.replace(self, identity=identity)

    def labels(self) -> dict[str, str]:
        """Who it is: what :meth:`of_container` reads, and ``docker ps --filter label=...``."""
        identity = self.identity
        return {
            f"{_PREFIX}dag": str(identity.dag_id),
            f"{_PREFIX}run": str(identity.run_id),
            f"{_PREFIX}task": str(identity.task_id),
            f"{_PREFIX}map-index": str(identity.map_index),
            f"{_PREFIX}try": str(identity.try_number),
            f"{_PREFIX}image": str(identity.image),
            f"{_PREFIX}try-id": self.try_id,
            FIRST_TRY_LABEL: str(self.first_try),
        }

    def variables(self) -> dict[str, object]:
        """Who it is: what the step reads from ``BULKHEAD_*``."""
        identity = self.identity
        return {
            "DAG_ID": identity.dag_id,
            "RUN_ID": identity.run_id,
            "TASK_ID": identity.task_id,
            "TRY_NUMBER": identity.try_number,
            "MAP_INDEX": identity.map_index,
            "IMAGE": identity.image,
        }

    def container_name(self, settings: Settings) -> str:
        """The name of the one container that may be live for this logical task."""
        identity = self.identity
        parts = [settings.project, identity.dag_id, identity.run_id, identity.task_id]
        if identity.map_index not in (None, -1):
            parts.append(str(identity.map_index))
        return paths.slug(".".join(map(str, parts)))

    @property
    def run_folder(self) -> str:
        """The run folder, relative to ``shared/runs``."""
        return self.identity.run_path.removeprefix(f"{paths.RUNS}/")

    def folder(self, settings: Settings) -> Path:
        """The run folder, as this process sees it."""
        return settings.folder / self.identity.run_path


class Image(msgspec.Struct, frozen=True):
    """The image that runs: its tag for people, its id as the proof."""

    tag: str
    id: str
    commit: str | None
    layers: list[str] = []
    """Digests of what it holds: the same on every engine, where an id may differ."""

    @classmethod
    def inspected(cls, tag: str, inspected: dict[str, Any]) -> Image:
        """From ``docker image inspect``."""
        labels = inspected["Config"].get("Labels") or {}
        layers = (inspected.get("RootFS") or {}).get("Layers") or []
        return cls(tag, inspected["Id"], labels.get(COMMIT_LABEL), layers)
