"""generate_inf_data and preprocess_inf_data: from a user's table to numbers that a model can take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

import transformation
from bulkhead.step.runner import Outcome
from modeling.signature import TEXT, InputSchema
from tabular import tables

if TYPE_CHECKING:
    from bulkhead.step.runner import Step

GENERATED = "generate_inf_data.parquet"
PREPROCESSED = "preprocess_inf_data.parquet"


def sample_csv() -> bytes:
    """The built-in sample: training's, without the target."""
    return ("feature1,feature2\n" + "".join(f"{i},{i + 20}\n" for i in range(20))).encode()


def generate(step: Step, source: str) -> Outcome:
    """Read ``source`` (see :func:`tabular.tables.read_source`), check it, write :data:`GENERATED`.

    Raises:
        Refused: it is no table of finite numbers.
    """
    table = tables.read_source(source, step.inputs, sample_csv)
    # A column of text, a name say, is set aside: training may have left it out. Where the model
    # needs it, model_inference refuses it by its type.
    frame, dtypes = table.numbers([name for name in table.names if not table.is_text(name)] or table.names)
    output = step.write(GENERATED, tables.to_parquet(frame), len(frame))
    schema = InputSchema(data=table.data, dtypes={name: dtypes.get(name, TEXT) for name in table.names})
    return Outcome(outputs={"table": output}, facts=msgspec.to_builtins(schema))


def preprocess(step: Step) -> Outcome:
    """Transform what generate_inf_data left, write :data:`PREPROCESSED`.

    Raises:
        Refused: generate_inf_data has not run here, its output has changed, or the transformation
            gave no finite numbers.
    """
    schema = step.facts("generate_inf_data", InputSchema)
    frame = transformation.apply(tables.from_parquet(step.read("generate_inf_data", "table")))
    output = step.write(PREPROCESSED, tables.to_parquet(frame), len(frame))
    schema = msgspec.structs.replace(schema, transformation=transformation.fingerprint())
    return Outcome(outputs={"table": output}, facts=msgspec.to_builtins(schema))
