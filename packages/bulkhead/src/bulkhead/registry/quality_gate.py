"""What a model must show before it is published: ``models/gate.toml``, one table an environment.

The settings lie in the registry itself, so whoever publishes finds the same ones: Airflow, ``just step``
and plain ``docker run``. A registry without the file has the defaults of ``environments.py``, which are those
of the file that comes with the project.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import environments, files, untrusted
from bulkhead.errors import Refused, one_line

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = "gate.toml"
_SHOWN = f"models/{SETTINGS}"


class QualityGate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One environment's conditions; None: none."""

    min_r2: float | None = None
    """The least r2 on the held-out rows."""
    max_r2_drop: float | None = None
    """By how much r2 may be less than the served model's, on the same rows."""
    allow_unmeasured: bool = True
    """Whether a model passes of which nothing was measured (a hold-out share of 0, or a single row held out)."""

    def failing(self, environment: str, r2: float | None) -> str | None:
        """Why a model of this ``r2`` does not pass, whatever is served; None: it passes."""
        if r2 is None:
            if self.allow_unmeasured:
                return None
            return (
                f"its r2 was not measured, and allow_unmeasured is false for {environment} in {_SHOWN}."
                " Give --test-fraction a share that holds out two rows or more."
            )
        if self.min_r2 is not None and not r2 >= self.min_r2:
            return (
                f"r2 is {r2:.6g} on the held-out rows, and min_r2 for {environment} in {_SHOWN} is {self.min_r2:g}."
                " Give better data or features, or lower it there."
            )
        return None

    def failing_beside(self, environment: str, r2: float | None, served: str, served_r2: float) -> str | None:
        """Why a model of this ``r2`` may not follow the model file ``served``; None: it may."""
        if r2 is None or self.max_r2_drop is None or r2 >= served_r2 - self.max_r2_drop:
            return None
        return (
            f"r2 is {r2:.6g} on the held-out rows, where the served {served} has {served_r2:.6g}; max_r2_drop for"
            f" {environment} in {_SHOWN} is {self.max_r2_drop:g}. Give better data or features, or raise it there."
        )


def _content(registry: Path) -> bytes | None:
    try:
        return untrusted.read(registry, SETTINGS, limit=untrusted.SETTINGS_LIMIT, called=_SHOWN)
    except FileNotFoundError:
        return None


DEFAULTS = {one.name: msgspec.convert(one.gate, QualityGate) for one in environments.ENVIRONMENTS}


def read(registry: Path, environment: str) -> QualityGate:
    """The conditions of ``environment`` in the registry's folder.

    Raises:
        Refused: the file is not what it should be.
        OSError: it cannot be read.
    """
    return read_hashed(registry, environment)[0]


def read_hashed(registry: Path, environment: str) -> tuple[QualityGate, str | None]:
    """What :func:`read` returns, and the SHA-256 of the very bytes that say so; None: there is no file.

    Read once for both: a record must not name settings that somebody saved after its model was judged.

    Raises:
        Refused: as :func:`read`.
        OSError: as :func:`read`.
    """
    content = _content(registry)
    if content is None:
        return msgspec.convert(environments.get(environment).gate, QualityGate), None
    return _decoded(content, environment), files.sha256(content)


def _decoded(content: bytes, environment: str) -> QualityGate:
    try:
        gates: dict[str, QualityGate] = msgspec.toml.decode(content, type=dict[str, QualityGate])
        unknown = sorted(gates.keys() - DEFAULTS.keys())
        if unknown:
            raise msgspec.ValidationError(f"there is no environment {unknown[0]!r}, only {', '.join(DEFAULTS)}")
        gate = gates.get(environment, QualityGate())
        for name in ("min_r2", "max_r2_drop"):
            value: Any = getattr(gate, name)
            if value is not None and not math.isfinite(value):
                raise msgspec.ValidationError(f"{name} is {value}, not a finite number")
        if gate.max_r2_drop is not None and gate.max_r2_drop < 0:
            raise msgspec.ValidationError(f"max_r2_drop is {gate.max_r2_drop:g}, and must not be negative")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{_SHOWN}: {one_line(str(error))}. Fix it; docs/gate.md shows how it looks.") from None
    return gate
