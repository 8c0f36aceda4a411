"""What of a step's word can be put into a record: bounded, plain, and pointing where it may.

The rest (metrics, coefficients, the number that was predicted) is the step's own word, as it is in any registry.
"""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead.columns import is_of_predictions
from bulkhead.errors import Refused
from bulkhead.registry import bounded, record_lines
from bulkhead.registry.bounded import unbelievable
from bulkhead.registry.lineage import MOST_INLINE, Lineage
from bulkhead.registry.metrics import GOALS

if TYPE_CHECKING:
    from bulkhead.registry.records import InferenceRecord, Record

LONGEST_RECORD = 1 << 20
"""Bytes of a record that a step has a part in."""
_LONGEST_TEXT = 4096
_DEEPEST = 8
_LARGEST = float.fromhex("0x1p1023")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODEL_HASH = re.compile(r"[0-9a-f]{6,128}")


def lineage(given: Lineage) -> Lineage:
    """``given``, if a record may hold it.

    Raises:
        Refused: why not.
    """
    _plain("the lineage", msgspec.to_builtins(given), _DEEPEST)
    if given.data is not None:
        project_path("data.path", given.data.path)
        sha256("data.sha256", given.data.sha256)
    if given.trained_on is not None:
        sha256("trained_on.sha256", given.trained_on.sha256)
    for what, names in (("features", given.features), ("classes", given.classes), ("missing", given.missing)):
        if names is not None and len(set(names)) < len(names):
            raise unbelievable(what, "a name twice", "distinct names")
    if given.profile is not None:
        bounded.profile(given.profile)
    if given.evaluation is not None:
        bounded.evaluation(given.evaluation)
    for goal in (given.goals or {}).values():
        if goal not in GOALS:
            raise unbelievable("a metric's goal", goal, " or ".join(GOALS))
    name = given.identifier
    if name is not None and (name in {*(given.features or []), given.target} or is_of_predictions(name)):
        raise unbelievable("the identifier", name, "a column of its own")
    return given


def inference(given: InferenceRecord) -> InferenceRecord:
    """``given``, if a record may hold it.

    Raises:
        Refused: why not.
    """
    _plain("the inference", msgspec.to_builtins(given), _DEEPEST)
    project_path("inference_data", given.inference_data)
    if given.rows is None or given.rows < 0:
        raise unbelievable("rows", given.rows, "how many rows there are")
    if given.predictions is not None:
        if not isinstance(given.predictions, list) or len(given.predictions) > MOST_INLINE:
            raise unbelievable("predictions", type(given.predictions).__name__, "a short list of predictions")
        if len(given.predictions) != given.rows:
            raise unbelievable("predictions", len(given.predictions), f"one prediction for each of {given.rows} rows")
    return given


def predictions(values: list[Any], classes: list[str] | None) -> None:
    """Refuse ``values`` that no model of ``classes`` has predicted; None: it predicts numbers.

    Raises:
        Refused: the first of them.
    """
    for value in values:
        if classes and (type(value) is not str or value not in classes):
            raise unbelievable("predictions", value, "a class of the model each")
        if not classes and (type(value) not in (int, float) or not math.isfinite(value)):
            raise unbelievable("predictions", value, "a finite number each")


def metrics(given: dict[str, Any]) -> dict[str, Any]:
    """``given``, if a record may hold it.

    Raises:
        Refused: why not.
    """
    _plain("the metrics", given, _DEEPEST)
    found = len(msgspec.json.encode(given))
    if found > LONGEST_RECORD // 2:
        raise unbelievable("the metrics", f"{found} bytes", f"at most {LONGEST_RECORD // 2}")
    return given


def project_path(what: str, path: str) -> str:
    """``path``, relative to the project and inside of it.

    Raises:
        Refused: it is not.
    """
    parts = PurePosixPath(path).parts
    if not path or path.startswith("/") or ".." in parts or not path.isprintable() or len(path) > _LONGEST_TEXT:
        raise unbelievable(what, path, "a path in the project")
    return path


def sha256(what: str, text: str | None) -> str:
    """``text``, a SHA-256 in hex.

    Raises:
        Refused: it is none.
    """
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise unbelievable(what, text, "a SHA-256 in hex")
    return text


def model_hash(text: str) -> str:
    """``text``, a hash that can be part of a file's name.

    Raises:
        Refused: it cannot.
    """
    if not _MODEL_HASH.fullmatch(text):
        raise unbelievable("model_hash", text, "a hash in hex")
    return text


def size(record: Record) -> None:
    """Refuse a record that is larger than one that a step has a part in may be.

    Raises:
        Refused: it is larger.
    """
    found = len(record_lines.encode(record))
    if found > LONGEST_RECORD:
        raise Refused(
            f"the record would have {found} bytes, and {LONGEST_RECORD} are kept at most. Have the step say less."
        )


def _plain(what: str, value: Any, depth: int) -> None:
    """Refuse numbers, text and lists in lists without end."""
    if isinstance(value, int | float):
        if abs(value) > _LARGEST:
            raise unbelievable(what, f"a number of {len(str(value))} digits", "a number that a computer counts with")
    elif isinstance(value, str):
        if len(value) > _LONGEST_TEXT or "\0" in value:
            raise unbelievable(what, value, f"text of at most {_LONGEST_TEXT} characters")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise unbelievable(what, "lists in lists", f"at most {_DEEPEST} deep")
        members = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        for member in members:
            _plain(what, member, depth - 1)
