"""generate_inf_data and preprocess_inf_data: from a user's table to numbers that a model can take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

import transformation
from bulkhead.step.runner import Outcome
from modeling.signature import TEXT, InputSignature
from tabular import sample, tables

if TYPE_CHECKING:
    from bulkhead.step.runner import Step

GENERATED = "generate_inf_data.parquet"
PREPROCESSED = "preprocess_inf_data.parquet"


def generate_inf_data(step: Step, source: str) -> Outcome:
    """Read ``source`` (see :func:`tabular.tables.read_source`), check it, write :data:`GENERATED`.

    Raises:
        Refused: it is no table of finite numbers.
    """
    table = tables.read_source(source, step.inputs, sample.without_target)
    # A column of text, a name say, is set aside: training may have left it out. Where the model
    # needs it, model_inference refuses it by its type.
    frame, dtypes = table.numbers([name for name in table.names if not table.is_text(name)] or table.names)
    output = step.write(GENERATED, tables.to_parquet(frame), len(frame))
    signature = InputSignature(data=table.data, dtypes={name: dtypes.get(name, TEXT) for name in table.names})
    return Outcome(outputs={"table": output}, facts=msgspec.to_builtins(signature))


def preprocess_inf_data(step: Step) -> Outcome:
    """Transform what generate_inf_data left, write :data:`PREPROCESSED`.

    Raises:
        Refused: generate_inf_data has not run here, its output has changed, or the transformation
            gave no finite numbers.
    """
    generated = step.input("generate_inf_data", InputSignature)
    frame = transformation.apply(tables.from_parquet(generated.read("table")))
    output = step.write(PREPROCESSED, tables.to_parquet(frame), len(frame))
    signature = msgspec.structs.replace(generated.facts, transformation=transformation.fingerprint())
    return Outcome(outputs={"table": output}, facts=msgspec.to_builtins(signature))
