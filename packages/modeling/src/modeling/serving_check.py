"""Whether this image can serve a model: everything that inference would refuse, and a smoke prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhead.errors import NotVerified, Refused, one_line
from bulkhead.prediction import compatibility, libraries
from bulkhead.prediction.predicting import DoesNotPredict, NotFinite, estimator_of, predict
from bulkhead.prediction.signature import columns_of
from modeling import older
from modeling.definition import Definition
from modeling.fingerprint import OLDER, fingerprint

if TYPE_CHECKING:
    import pandas as pd

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
    except DoesNotPredict as error:
        raise _useless(record, error.__cause__ or error) from error
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a pickle, and what comes out of it, can fail in any way
        raise _useless(record, error) from error
    return libraries.present(record.libraries or {})


def _useless(record: ModelRecord, error: BaseException) -> Refused:
    told = one_line(repr(error), 500)
    return Refused(f"{record.model_filename} cannot be loaded, or does not predict: {told}. Train a new model.")


def _smoke(model: Any, record: ModelRecord) -> None:
    used = OLDER if record.transformation == OLDER else fingerprint(record.name)
    compatibility.check_transformation(record, used)
    compatibility.check_libraries(record)
    if not record.features or not record.dtypes or sorted(record.features) != sorted(record.dtypes):
        raise NotVerified(f"the record of {record.model_filename} has no features with types. Train a new model.")
    frame = _example(record)
    if used == OLDER:
        transformed = older.transformed(frame)
    else:
        transformed = Definition(record.name).transformed(frame, may_be_empty=bool(record.missing))
    try:
        predict(estimator_of(model), record, transformed)
    except NotFinite:
        raise Refused(
            f"{record.model_filename} gives no finite prediction for a row of its training. Train a new model."
        ) from None


def _example(record: ModelRecord) -> pd.DataFrame:
    """A row that training saw, because a transformation need not take any number (a logarithm no zero)."""
    import pyarrow as pa

    from bulkhead.prediction.typed import TypedReader

    features = record.features or []
    example = record.input_example or dict.fromkeys(features, 1.0)
    columns = columns_of(record)
    row = pa.table({name: pa.array([_cell(example.get(name))], pa.string()) for name in features})
    return TypedReader({name: columns[name] for name in features}).read(row).frame(features)


def _cell(value: Any) -> str | None:
    return None if value is None else str(value)
