"""What a model takes: the columns of training, and those of an input, in order and with their types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from bulkhead.columns import Column, Kind
from bulkhead.registry.lineage import Data  # msgspec reads the annotations

if TYPE_CHECKING:
    from bulkhead.registry.lineage import Lineage

TEXT: Literal["text"] = "text"
"""The type, in a signature, of a column that no model looks at."""
_KINDS: dict[str, Kind] = {"category": "category", "boolean": "boolean", "date": "date", TEXT: TEXT}


class ModelSignature(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is trained for, and from: preprocessing leaves it, and the model's record keeps it."""

    features: list[str]
    dtypes: dict[str, str]
    missing: list[str]
    categories: dict[str, int]
    identifier: str | None
    target: str
    left_out: list[str]
    transformation: str
    data: Data
    input_example: dict[str, Any]


class InputSignature(msgspec.Struct, frozen=True, kw_only=True):
    """What the source table of an inference was, before the transformation."""

    data: Data
    dtypes: dict[str, str]
    """The type of each column, in the table's order."""
    identifier: str | None = None
    """The column that is carried into the predictions."""
    missing: bool = False
    """Whether a feature may have empty cells."""
    trained_with: str | None = None
    """Fingerprint of the transformation of the model that the table was read for; None: there was none yet."""
    transformation: str | None = None
    """Fingerprint of the code that was applied since."""


def columns_of(record: Lineage) -> dict[str, Column]:
    """What each feature of the model of ``record`` is, and its identifier."""
    missing = set(record.missing or [])
    columns = {
        name: Column(kind=_KINDS.get(dtype, "number"), missing=name in missing)
        for name, dtype in (record.dtypes or {}).items()
    }
    if record.identifier is not None:
        columns[record.identifier] = Column(kind="identifier", missing=True)
    return columns
