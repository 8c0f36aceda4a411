"""How far an inference's input may be from training's: ``[<environment>.<name>.drift]`` of ``models/gate.toml``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection


class DriftGate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"excepted": "except"}):
    """How far an inference's columns and predictions may be from training's: PSI (:mod:`bulkhead.registry.drift`)."""

    warn: float = 0.25
    """Beyond it a column counts as drifted."""
    refuse: float | None = None
    """Beyond it the inference is refused; None: it never is."""
    excepted: list[str] = []
    """Columns that are not judged; ``prediction`` and ``probability`` may be there."""

    @property
    def is_upside_down(self) -> bool:
        """Whether more is refused than is marked."""
        return self.refuse is not None and self.refuse < self.warn


def divided(table: dict[str, Any], of_a_metric: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a table called ``drift`` says of a metric of that name, and what of an inference's drift."""
    metric = {key: value for key, value in table.items() if key in of_a_metric}
    return metric, {key: value for key, value in table.items() if key not in metric}


def checked(given: dict[str, Any], called: str) -> dict[str, Any]:
    """What is written, by the fields of :class:`DriftGate`; what is left out is not there.

    Raises:
        msgspec.ValidationError: it cannot be meant.
    """
    read = msgspec.convert(given, DriftGate)
    for key in ("warn", "refuse"):
        value = getattr(read, key)
        if key in given and not (math.isfinite(value) and value >= 0):
            raise msgspec.ValidationError(f"[{called}] {key} is {value:g}, and must be a number from 0 on")
    if "warn" in given and read.is_upside_down:
        raise msgspec.ValidationError(
            f"[{called}] refuse is {read.refuse:g}, and must not be below warn, {read.warn:g}"
        )
    fields = {"except": "excepted"}
    return {fields.get(key, key): getattr(read, fields.get(key, key)) for key in given}
