"""What a model takes: the columns of training, and those of an input, in order and with their types."""

from __future__ import annotations

import msgspec

from bulkhead.registry.records import Data  # msgspec reads the annotations

TEXT = "text"
"""The type, in a schema, of a column that holds no numbers."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What train_model must know of the table, and the model's record keeps."""

    features: list[str]
    dtypes: dict[str, str]
    target: str
    left_out: list[str]
    transformation: str
    data: Data
    input_example: dict[str, float]


class InputSchema(msgspec.Struct, frozen=True, kw_only=True):
    """What the source table was, before the transformation."""

    data: Data
    dtypes: dict[str, str]
    """The type of each column, in the table's order."""
    transformation: str | None = None
    """Fingerprint of the code that was applied since."""
