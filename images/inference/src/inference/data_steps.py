"""generate_inf_data and preprocess_inf_data: from a user's table to columns that a model can take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import NoModel, OutOfService
from bulkhead.prediction import compatibility
from bulkhead.prediction.signature import TEXT, InputSignature, columns_of
from bulkhead.step.runner import Outcome
from modeling import older
from modeling.definition import Definition
from modeling.fingerprint import OLDER, fingerprint
from tabular import sample, tables

if TYPE_CHECKING:
    from bulkhead.columns import Column
    from bulkhead.registry.records import ModelRecord
    from bulkhead.step.runner import Step
    from tabular.tables import SourceTable

GENERATED = "generate_inf_data.parquet"
PREPROCESSED = "preprocess_inf_data.parquet"


def generate_inf_data(step: Step, source: str, filename: str | None = None) -> Outcome:
    """Read ``source`` (see :func:`tabular.tables.read_source`), check it, write :data:`GENERATED`.

    The cells are read as what the model was trained on. What else keeps the model from predicting (its file, its
    libraries, its transformation) is model_inference's to tell.

    Args:
        step: where to read and write, and for which model.
        source: the table.
        filename: the version that is to predict; None: the one that the environment serves.

    Raises:
        Refused: it is no table that the model could take, or there is no such version.
    """
    definition = Definition(step.model_name)
    table = tables.read_source(source, step.inputs, sample.without_target)
    model = _model(step, filename)
    if model is None:
        features = [name for name in table.names if name != definition.target]
        columns = definition.columns_for(features, table.inferred, definition.target)
    else:
        columns = columns_of(model)
    read = _readable(table, columns)
    typed = table.typed(read)
    identifier = next((name for name, column in read.items() if column.kind == "identifier"), None)
    signature = InputSignature(
        data=table.data,
        dtypes={name: typed.dtypes.get(name, TEXT) if name != identifier else TEXT for name in table.names},
        identifier=identifier,
        missing=bool(typed.missing),
        trained_with=model.transformation if model is not None else None,
    )
    if model is not None:
        compatibility.check_columns(model, signature)
    features = [name for name, column in read.items() if column.is_feature]
    frame = typed.frame(features)
    definition.check(frame, table.data.source)
    if identifier is not None:
        frame[identifier] = typed.words(identifier)
    output = step.write(GENERATED, tables.to_parquet(frame), len(frame))
    return Outcome(outputs={"table": output}, facts=msgspec.to_builtins(signature))


def preprocess_inf_data(step: Step) -> Outcome:
    """Transform what generate_inf_data left, write :data:`PREPROCESSED`.

    Raises:
        Refused: generate_inf_data has not run here, its output has changed, or the transformation
            gave what no model can take.
    """
    generated = step.input("generate_inf_data", InputSignature)
    facts = generated.facts
    frame = tables.from_parquet(generated.read("table"))
    if facts.identifier is not None:
        frame = frame.drop(columns=facts.identifier)
    if facts.trained_with == OLDER:
        transformed, used = older.transformed(frame), OLDER
    else:
        transformed = Definition(step.model_name).transformed(frame, may_be_empty=facts.missing)
        used = fingerprint(step.model_name)
    output = step.write(PREPROCESSED, tables.to_parquet(transformed), len(transformed))
    signature = msgspec.structs.replace(facts, transformation=used)
    return Outcome(outputs={"table": output}, facts=msgspec.to_builtins(signature))


def _model(step: Step, filename: str | None) -> ModelRecord | None:
    """The version that is to predict; None: there is none, or it does not say what it takes."""
    try:
        if filename is None:
            found = step.registry.latest(step.environment, step.model_name)
        else:
            found = step.registry.find(filename, step.environment)
    except (NoModel, OutOfService):  # model_inference refuses it
        return None
    return found if found.features and found.dtypes and found.name == step.model_name else None


def _readable(table: SourceTable, columns: dict[str, Column]) -> dict[str, Column]:
    """Those of ``columns`` that the table has, in its order, but for numbers that are text from top to bottom."""
    return {
        name: columns[name]
        for name in table.names
        if name in columns
        and columns[name].kind != "text"
        and not (columns[name].kind == "number" and table.is_text(name))
    }
