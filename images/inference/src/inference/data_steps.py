"""generate_inf_data and preprocess_inf_data: from a user's table to columns that a model can take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import NoModel, OutOfService, Refused, listed
from bulkhead.prediction import compatibility, frames
from bulkhead.prediction.signature import TEXT, InputSignature, columns_of
from bulkhead.prediction.typed import TypedReader
from bulkhead.queries import references
from bulkhead.step.runner import Outcome
from modeling import older, whole_check
from modeling.definition import Definition
from modeling.fingerprint import OLDER, fingerprint
from modeling.sampling import Sampler
from tabular import exchange, sample, tables
from tabular.exchange import Exchanged

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from bulkhead.columns import Column
    from bulkhead.registry.records import ModelRecord
    from bulkhead.step.runner import Step
    from tabular.tables import SourceTable

GENERATED = "generate_inf_data.parquet"
SAMPLED = "generate_inf_data.sample.parquet"
"""Some of the rows, which model_inference compares with those of training."""
PREPROCESSED = "preprocess_inf_data.parquet"


def generate_inf_data(step: Step, source: str, filename: str | None = None) -> Outcome:
    """Read ``source`` (see :func:`tabular.tables.read_source`), check it, write :data:`GENERATED` and :data:`SAMPLED`.

    The cells are read as what the model was trained on. What else keeps the model from predicting (its file, its
    libraries, its transformation) is model_inference's to tell.

    Args:
        step: where to read and write, and for which model.
        source: the table.
        filename: the version that is to predict; None: the one that the environment serves.

    Raises:
        Refused: it is no table that the model could take, or there is no such version.
    """
    step.source = source
    definition = Definition(step.model_name)
    table = tables.read_source(source, step.inputs, sample.without_target)
    model = _model(step, filename)
    if model is None:
        features = [name for name in table.names if name != definition.target]
        columns = definition.columns_for(features, table.inferred, definition.target)
    else:
        columns = columns_of(model)
    read = _readable(table, columns)
    identifier = next((name for name, column in read.items() if column.kind == "identifier"), None)
    if model is not None:  # before a large table is read for nothing; what its columns are, the reading tells
        asked = {name: (model.dtypes or {})[name] for name, column in read.items() if column.is_feature}
        seen = {name: asked.get(name, TEXT) for name in table.names}
        compatibility.check_columns(model, seen, table.path)
    features = [name for name, column in read.items() if column.is_feature]
    if not features:
        raise Refused(
            f"{table.source}: no column of it can be a feature; it has: {listed(table.names)}. Give columns of numbers,"
            f" categories or dates, or say in COLUMNS of {definition.file} what they are."
        )
    reader = TypedReader(read)
    sampler = Sampler({name: read[name] for name in features})
    if definition.checks_whole:
        whole_check.check(table, definition, features, read)

    def checked() -> Iterator[pa.RecordBatch]:
        for batch in table.typed(reader):
            if definition.checks_rows:
                definition.check_rows(batch.frame(features), table.source, batch.before)
            sampler.add(batch)
            generated = batch.columns(features)
            yield generated if identifier is None else generated.append_column(identifier, batch.words(identifier))

    output = exchange.write(step, GENERATED, checked())
    dtypes = reader.dtypes
    signature = InputSignature(
        data=table.data,
        dtypes={name: dtypes.get(name, TEXT) if name != identifier else TEXT for name in table.names},
        identifier=identifier,
        missing=bool(reader.missing),
        trained_with=model.transformation if model is not None else None,
    )
    if model is not None:
        compatibility.check_columns(model, signature.dtypes, signature.data.path)
    sampled = exchange.write(step, SAMPLED, [sampler.taken()])
    return Outcome(outputs={"table": output, "sample": sampled}, facts=msgspec.to_builtins(signature))


def preprocess_inf_data(step: Step) -> Outcome:
    """Transform what generate_inf_data left, write :data:`PREPROCESSED`.

    Raises:
        Refused: generate_inf_data has not run here, its output has changed, or the transformation
            gave what no model can take.
    """
    generated = step.input("generate_inf_data", InputSignature)
    facts = generated.facts
    is_older = facts.trained_with == OLDER
    used = OLDER if is_older else fingerprint(step.model_name)
    definition = None if is_older else Definition(step.model_name)

    def transformed(table: Exchanged) -> Iterator[pa.RecordBatch]:
        rows = 0
        for frame in table.frames([name for name in table.schema.names if name != facts.identifier]):
            if definition is None:
                yield frames.to_batch(older.transformed(frame), may_be_empty=False)
            else:
                ready = definition.transformed(frame, may_be_empty=facts.missing, rows_before=rows)
                yield frames.to_batch(ready, may_be_empty=facts.missing)
            rows += len(frame)

    with generated.opened("table") as opened:
        output = exchange.write(step, PREPROCESSED, transformed(Exchanged(opened)))
    signature = msgspec.structs.replace(facts, transformation=used)
    return Outcome(outputs={"table": output}, facts=msgspec.to_builtins(signature))


def _model(step: Step, filename: str | None) -> ModelRecord | None:
    """The version that is to predict; None: there is none, or it does not say what it takes."""
    try:
        if filename is None:
            found = step.registry.latest(step.environment, step.model_name)
        else:
            filename = references.filename_of(step.registry, filename, step.model_name)
            found = step.registry.find(filename, step.environment)
    except (NoModel, OutOfService):  # model_inference refuses it
        return None
    return found if found.features and found.dtypes and found.name == step.model_name else None


def _readable(table: SourceTable, columns: dict[str, Column]) -> dict[str, Column]:
    """Those of ``columns`` that the table has, in its order, but for numbers that are text from top to bottom."""
    known = {name: columns[name] for name in table.names if name in columns and columns[name].kind != "text"}
    suspected = table.begins_with_text([name for name, column in known.items() if column.kind == "number"])
    text = {name for name in suspected if table.is_text(name)}
    return {name: column for name, column in known.items() if name not in text}
