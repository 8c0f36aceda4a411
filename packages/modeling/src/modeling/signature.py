"""What a model takes: the columns of training, and those of an input, in order and with their types."""

from __future__ import annotations

import msgspec

from bulkhead.registry.records import Data  # msgspec reads the annotations

TEXT = "text"
"""The type, in a signature, of a column that holds no numbers."""


class ModelSignature(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is trained for, and from: preprocessing leaves it, and the model's record keeps it."""

    features: list[str]
    dtypes: dict[str, str]
    target: str
    left_out: list[str]
    transformation: str
    data: Data
    input_example: dict[str, float]


class InputSignature(msgspec.Struct, frozen=True, kw_only=True):
    """What the source table of an inference was, before the transformation."""

    data: Data
    dtypes: dict[str, str]
    """The type of each column, in the table's order."""
    transformation: str | None = None
    """Fingerprint of the code that was applied since."""
