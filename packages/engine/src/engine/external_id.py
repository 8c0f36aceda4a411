"""What Airflow keeps of a started container: its id, on which engine it is, and when it was started."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

_CONTAINER = re.compile(r"[0-9a-f]{12,64}")


class ExternalId(msgspec.Struct, frozen=True):
    """A container of one engine: another engine that does not know its id has said nothing about it."""

    engine: str
    """The engine's own id, as ``docker info`` has it, and ``@`` and its host where there are several; empty: kept by a
    version that knew one engine alone."""
    container: str
    started: str = ""

    @classmethod
    def now(cls, engine: str, container: str) -> ExternalId:
        """The id of a container that was found or started just now."""
        return cls(engine, container, datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def parse(cls, text: str) -> ExternalId | None:
        """What :meth:`__str__` wrote, or the bare id of an earlier version; None: it is neither."""
        parts = text.split("/")
        if len(parts) == 1:
            parts = ["", *parts, ""]
        if len(parts) != 3 or not _CONTAINER.fullmatch(parts[1]):  # noqa: PLR2004  # engine, container, start
            return None
        return cls(*parts)

    def __str__(self) -> str:
        """``<engine>/<container>/<time>``; an engine's id holds no slash."""
        return f"{self.engine.replace('/', '_')}/{self.container}/{self.started}"

    def is_on(self, engine: str) -> bool:
        """Whether the engine called ``engine`` is the one to ask for it, by whatever host's name."""
        own = self.engine.partition("@")[0]
        return own in {"", engine.partition("@")[0].replace("/", "_")}

    @property
    def host(self) -> str | None:
        """The host whose engine it is; None: it was started where there is but one."""
        return self.engine.partition("@")[2] or None


def container_of(external_id: str) -> str:
    """The id of the container.

    Raises:
        ValueError: it is none.
    """
    kept = ExternalId.parse(external_id)
    if kept is None:
        raise ValueError(f"{external_id!r} is no container")
    return kept.container
