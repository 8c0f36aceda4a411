"""preprocessing: from a user's table to columns that train_model can fit."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import msgspec

from bulkhead.columns import Column, is_of_predictions
from bulkhead.errors import Refused, listed, short
from bulkhead.prediction.signature import ModelSignature
from bulkhead.step.runner import Outcome
from modeling.definition import Definition
from modeling.fingerprint import fingerprint
from tabular import sample, tables

if TYPE_CHECKING:
    from bulkhead.step.runner import Step
    from tabular.tables import SourceTable

OUTPUT = "preprocessing.parquet"
"""The transformed features, then the target."""


def preprocess(step: Step, source: str, target: str, features: str) -> Outcome:
    """Read ``source``, check it, transform the features, write :data:`OUTPUT`.

    Args:
        step: where to read and write, and for which model.
        source: see :func:`tabular.tables.read_source`.
        target: the column to predict; empty: the one that the model's file names.
        features: the columns to predict from, as one line of CSV; empty: all that the model can take.

    Raises:
        Refused: the table or the choice of columns is not fit for training.
    """
    definition = Definition(step.model_name)
    target = target or definition.target
    table = tables.read_source(source, step.inputs, sample.with_target)
    columns, identifier = _choose(table, definition, target, features)
    chosen = [name for name, column in columns.items() if column.is_feature]
    typed = table.typed(columns)
    labels = table.typed({target: _target_column(table, definition, target)})
    signature = ModelSignature(
        features=chosen,
        dtypes={name: typed.dtypes[name] for name in chosen},
        missing=[name for name in typed.missing if name != identifier],
        categories=typed.categories,
        identifier=identifier,
        target=target,
        left_out=[name for name in table.names if name != target and name not in columns],
        transformation=fingerprint(step.model_name),
        data=table.data,
        input_example=typed.example(chosen),
    )
    del table  # the text of it, which is the most of the memory that this takes
    frame, may_be_empty = typed.frame(chosen), bool(typed.missing)
    del typed
    definition.check(frame, signature.data.source)
    transformed = definition.transformed(frame, may_be_empty=may_be_empty)
    del frame
    if target in transformed:
        raise Refused(f"the transformation makes a column called {target!r}, the target's name. Rename one of them.")
    transformed[target] = labels.frame([target])[target] if _is_number(labels.kinds[target]) else labels.words(target)
    output = step.write(OUTPUT, tables.to_parquet(transformed), len(transformed))
    return Outcome(outputs={"table": output}, facts=msgspec.to_builtins(signature))


def _target_column(table: SourceTable, definition: Definition, target: str) -> Column:
    """Numbers where all of it is, or where numbers are predicted; else words, which are classes."""
    declared = (definition.columns or {}).get(target)
    if declared is not None:
        return Column(kind=declared.kind)
    if definition.problem == "regression" or table.is_all_numbers(target):
        return Column(kind="number")
    # A word that is no number: a class, or a fault of the table, which depends on what is predicted.
    classifies = definition.problem is not None or definition.predicts_classes()
    return Column(kind="category" if classifies else "number")


def _is_number(column: Column) -> bool:
    return column.kind == "number"


def _choose(
    table: SourceTable, definition: Definition, target: str, features: str
) -> tuple[dict[str, Column], str | None]:
    """The features and the identifier in the table's order, which is what inference sees; and the identifier's name."""
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
                f"features: [{listed(unknown)}] cannot be features: {definition.file} passes them over."
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
