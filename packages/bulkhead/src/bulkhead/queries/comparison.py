"""What is known of a model, one named value at a time, and two models side by side."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from bulkhead.registry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bulkhead.registry.records import ModelRecord

Key = tuple[str, str]
"""Section and name."""
_LETTERS: dict[str | None, Literal["A", "B"]] = {"left": "A", "right": "B"}


class Row(msgspec.Struct, frozen=True):
    """One value of two models; None: not recorded."""

    section: str
    name: str
    left: Any
    right: Any
    same: bool
    better: Literal["A", "B"] | None = None
    """Of a metric: the model, left or right, that is better by the goal which both have; None: neither, or unknown."""


def facts(record: ModelRecord) -> dict[Key, Any]:
    """Everything that ``record`` says of the model itself, by section and name, in the order for reading."""
    return dict(
        chain(
            _section(
                "model",
                {
                    "name": record.name,
                    "version": record.version,
                    "model_filename": record.model_filename,
                    "model_hash": record.model_hash,
                    "environment": record.environment,
                    "training_timestamp": record.training_timestamp,
                    "sha256": record.sha256,
                    "size_bytes": record.size_bytes,
                },
            ),
            _section("metrics", record.metrics),
            _section("goals", record.goals),
            _section("gate", record.gate),
            _section("parameters", record.parameters),
            _section("data", _builtins(record.data)),
            _section("trained_on", _builtins(record.trained_on)),
            _section(
                "schema",
                {
                    "problem": record.problem,
                    "target": record.target,
                    "classes": record.classes,
                    "identifier": record.identifier,
                    "missing": record.missing,
                    "left_out": record.left_out,
                },
            ),
            _section("features", record.dtypes or dict.fromkeys(record.features or ())),
            _section("categories", record.categories),
            _section("input_example", record.input_example),
            _section("transformation", {"fingerprint": record.transformation}),
            _section("libraries", record.libraries),
            _section("coefficients", {"intercept": record.intercept, **(record.coefficients or {})}),
            _section("importances", record.importances),
            _section("code", {"git_commit": record.git_commit, "image": record.image}),
            _section("cost", {"seconds": record.duration_seconds, "peak_memory_bytes": record.peak_memory_bytes}),
            _section(
                "run",
                {
                    "dag_id": record.dag_id,
                    "run_id": record.run_id,
                    "task_id": record.task_id,
                    "try_number": record.try_number,
                    "map_index": record.map_index,
                },
            ),
        )
    )


def compare(left: ModelRecord, right: ModelRecord) -> list[Row]:
    """Every value that either model has; those of one section stand together."""
    first, second = facts(left), facts(right)
    order = list(dict.fromkeys(section for section, _ in [*first, *second]))
    keys = sorted({**first, **second}, key=lambda key: order.index(key[0]))  # stable: names stay in their order
    return [
        Row(
            *key,
            first.get(key),
            second.get(key),
            first.get(key) == second.get(key),
            _LETTERS.get(metrics.better(left, right, key[1])) if key[0] == "metrics" else None,
        )
        for key in keys
    ]


def _builtins(struct: msgspec.Struct | None) -> dict[str, Any]:
    return msgspec.structs.asdict(struct) if struct is not None else {}


def _section(section: str, values: dict[str, Any] | None) -> Iterable[tuple[Key, Any]]:
    return (((section, name), value) for name, value in (values or {}).items())
