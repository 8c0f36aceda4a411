"""preprocessing: from a user's table to columns that train_model can fit."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead.columns import Column, is_of_predictions
from bulkhead.errors import BulkheadError, Refused, listed, short
from bulkhead.prediction import frames
from bulkhead.prediction.signature import ModelSignature
from bulkhead.prediction.typed import TypedReader
from bulkhead.step.runner import Outcome
from modeling import whole_check
from modeling.definition import Definition
from modeling.fingerprint import fingerprint
from modeling.profiling import Profiler
from tabular import exchange, sample, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from bulkhead.prediction.typed import TypedBatch
    from bulkhead.step.runner import Step
    from tabular.tables import SourceTable

OUTPUT = "preprocessing.parquet"
"""The transformed features, then the target."""
PROFILE = "preprocessing.profile.json"
"""What the features looked like before the transformation: too much for Airflow's database, where facts end."""


def preprocess(step: Step, source: str, target: str, features: str) -> Outcome:
    """Read ``source``, check it, transform the features, write :data:`OUTPUT`; all of it batch by batch.

    Args:
        step: where to read and write, and for which model.
        source: see :func:`tabular.tables.read_source`.
        target: the column to predict; empty: the one that the model's file names.
        features: the columns to predict from, as one line of CSV; empty: all that the model can take.

    Raises:
        Refused: the table or the choice of columns is not fit for training.
    """
    step.source = source
    definition = Definition(step.model_name)
    target = target or definition.target
    table = tables.read_source(source, step.inputs, sample.with_target)
    columns, identifier = _choose(table, definition, target, features)
    chosen = [name for name, column in columns.items() if column.is_feature]
    kinds = {name: column for name, column in columns.items() if name != identifier}
    reader = TypedReader(columns | {target: _target_column(table, definition, target)})
    if definition.checks_whole:
        whole_check.check(table, definition, chosen, kinds)
    example: dict[str, Any] = {}
    profiler = Profiler({name: columns[name] for name in chosen})

    def transformed() -> Iterator[pa.RecordBatch]:
        for batch in table.typed(reader):
            profiler.add(batch)
            if not batch.before:
                example.update(batch.example(chosen))
            yield _transformed(batch, definition, chosen, target, table.source)

    output = exchange.write(step, OUTPUT, transformed())
    dtypes, categories = reader.dtypes, reader.categories
    signature = ModelSignature(
        features=chosen,
        dtypes={name: dtypes[name] for name in chosen},
        missing=[name for name in reader.missing if name in kinds],
        categories={name: count for name, count in categories.items() if name in kinds},
        identifier=identifier,
        target=target,
        left_out=[name for name in table.names if name != target and name not in columns],
        transformation=fingerprint(step.model_name),
        data=table.data,
        input_example=example,
    )
    profile = step.write(PROFILE, msgspec.json.encode(profiler.profile()), output.rows)
    return Outcome(outputs={"table": output, "profile": profile}, facts=msgspec.to_builtins(signature))


def _transformed(
    batch: TypedBatch, definition: Definition, chosen: list[str], target: str, source: str
) -> pa.RecordBatch:
    """What training gets of some rows: the transformed features, then the target."""
    frame = batch.frame(chosen)
    may_be_empty = any(batch.kinds[name].missing for name in chosen)
    definition.check_rows(frame, source, batch.before)
    if not batch.before:
        definition.check_by_row(frame, may_be_empty=may_be_empty)
    ready = definition.transformed(frame, may_be_empty=may_be_empty, rows_before=batch.before)
    if target in ready:
        raise Refused(f"the transformation makes a column called {target!r}, the target's name. Rename one of them.")
    features = frames.to_batch(ready, may_be_empty=may_be_empty)
    labels = frames.batch([target], [batch.labels(target)], [False])
    return frames.beside(features, labels)


def _target_column(table: SourceTable, definition: Definition, target: str) -> Column:
    """Numbers where numbers are predicted, or where all of it is; else words, which are classes."""
    declared = (definition.columns or {}).get(target)
    if declared is not None:
        return Column(kind=declared.kind)
    # To know that all of it is numbers takes a pass over the table, which numbers alone would not need.
    if definition.problem == "regression" or (definition.problem is None and _predicts_numbers(definition)):
        return Column(kind="number")
    if table.is_all_numbers(target):
        return Column(kind="number")
    # A word that is no number: a class, or a fault of the table, which depends on what is predicted.
    classifies = definition.problem is not None or definition.predicts_classes()
    return Column(kind="category" if classifies else "number")


def _predicts_numbers(definition: Definition) -> bool:
    try:
        return not definition.predicts_classes()
    except BulkheadError:  # train_model tells what is wrong with build
        return False


def _choose(
    table: SourceTable, definition: Definition, target: str, features: str
) -> tuple[dict[str, Column], str | None]:
    """The features and the identifier in the table's order, which is what inference sees; and the identifier's name."""
    table.check_separator()
    names = table.names
    known = f"The table has: {listed(names)}."
    if target not in names:
        raise Refused(f"target {short(target)}: no such column. {known} Name one of them with --target.")
    try:
        asked = next(csv.reader([features], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise Refused(
            f"features {features!r}: {error}. Write a,b,c, and a name with a comma in double quotes."
        ) from None
    chosen = [name.strip() for name in asked]
    missing = [name for name in chosen if name not in set(names)]
    if missing:
        raise Refused(f"features: no column called {listed(missing)}. {known} Name some of them with --features.")
    if target in chosen:
        raise Refused(f"features: {target!r} is the target, and cannot be predicted from itself. Leave it out.")
    if len(set(chosen)) < len(chosen):
        raise Refused(f"features: a column is named twice in {listed(chosen)}. Name each once.")
    columns = definition.columns_for([name for name in names if name != target], table.inferred, target)
    if chosen:
        if unknown := [name for name in chosen if name not in columns or not columns[name].is_feature]:
            raise Refused(
                f"features: {listed(unknown)} cannot be features: {definition.file} passes them over."
                " Leave them out, or say in COLUMNS what they are."
            )
        wanted = set(chosen)
        columns = {name: one for name, one in columns.items() if name in wanted or one.kind == "identifier"}
    identifier = next((name for name, column in columns.items() if column.kind == "identifier"), None)
    if identifier is not None and is_of_predictions(identifier):
        raise Refused(
            f"the identifier is called {identifier!r}, as a column of predictions is. Rename it in the table."
        )
    columns = {name: column for name, column in columns.items() if column.kind != "text"}
    if not any(column.is_feature for column in columns.values()):
        raise Refused(f"there is no column but the target {target!r}. Give a table with at least one feature.")
    return columns, identifier
