"""Whether this image can serve a model: everything that inference would refuse, and a smoke prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

import transformation
from bulkhead.errors import NotVerified, Refused
from modeling import compatibility, libraries
from modeling.prediction import NotFinite, predict

if TYPE_CHECKING:
    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry


def check(registry: Registry, record: ModelRecord) -> dict[str, str]:
    """Prove that the model of ``record`` can be served: its hash, its signature, the libraries, a prediction.

    Returns:
        The library versions that predicted.

    Raises:
        Refused: what is not fit, and how to go on.
    """
    try:
        _smoke(registry.load(record), record)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a pickle, and what comes out of it, can fail in any way
        raise Refused(
            f"{record.model_filename} cannot be loaded, or does not predict: {error!r}. Train a new model."
        ) from error
    return libraries.versions()


def _smoke(model: Any, record: ModelRecord) -> None:
    compatibility.check_transformation(record, transformation.fingerprint())
    compatibility.check_libraries(record)
    if not record.features or not record.dtypes or sorted(record.features) != sorted(record.dtypes):
        raise NotVerified(f"the record of {record.model_filename} has no features with types. Train a new model.")
    # A row that training saw, because a transformation need not take any number (a logarithm no zero).
    example = record.input_example or dict.fromkeys(record.features, 1.0)
    frame = transformation.apply(pd.DataFrame([example], columns=record.features, dtype=float))
    try:
        predict(model, record, frame)
    except NotFinite:
        raise Refused(
            f"{record.model_filename} gives no finite prediction for a row of its training. Train a new model."
        ) from None
