"""preprocessing: from a user's table to numbers that train_model can fit."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import msgspec

import transformation
from bulkhead.errors import Refused, listed, short
from bulkhead.step.runner import Outcome
from modeling.signature import ModelSignature
from tabular import sample, tables

if TYPE_CHECKING:
    from bulkhead.step.runner import Step

OUTPUT = "preprocessing.parquet"
"""The transformed features, then the target, all float64."""


def preprocess(step: Step, source: str, target: str, features: str) -> Outcome:
    """Read ``source``, check it, transform the features, write :data:`OUTPUT`.

    Args:
        step: where to read and write.
        source: see :func:`tabular.tables.read_source`.
        target: the column to predict.
        features: the columns to predict from, as one line of CSV; empty: all but the target.

    Raises:
        Refused: the table or the choice of columns is not fit for training.
    """
    table = tables.read_source(source, step.inputs, sample.with_target)
    chosen = _choose(table.names, target, features)
    numbers, dtypes = table.numbers([*chosen, target])
    frame = transformation.apply(numbers[chosen])
    if target in frame:
        raise Refused(f"the transformation makes a column called {target!r}, the target's name. Rename one of them.")
    frame[target] = numbers[target]
    signature = ModelSignature(
        features=chosen,
        dtypes={name: dtypes[name] for name in chosen},
        target=target,
        left_out=[name for name in table.names if name != target and name not in set(chosen)],
        transformation=transformation.fingerprint(),
        data=table.data,
        input_example={name: float(numbers[name].iloc[0]) for name in chosen},
    )
    output = step.write(OUTPUT, tables.to_parquet(frame), len(frame))
    return Outcome(outputs={"table": output}, facts=msgspec.to_builtins(signature))


def _choose(names: list[str], target: str, features: str) -> list[str]:
    known = f"The table has: {listed(names)}."
    if target not in names:
        raise Refused(f"target {short(target)}: no such column. {known} Name one of them with --target.")
    try:
        asked = next(csv.reader([features], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise Refused(
            f"features {features!r}: {error}. Write a,b,c, and a name with a comma in double quotes."
        ) from None
    chosen = [name.strip() for name in asked] or [name for name in names if name != target]
    missing = [name for name in chosen if name not in set(names)]
    if missing:
        raise Refused(f"features: no column called {listed(missing)}. {known} Name some of them with --features.")
    if target in chosen:
        raise Refused(f"features: {target!r} is the target, and cannot be predicted from itself. Leave it out.")
    if len(set(chosen)) < len(chosen):
        raise Refused(f"features: a column is named twice in {listed(chosen)}. Name each once.")
    if not chosen:
        raise Refused(f"there is no column but the target {target!r}. Give a table with at least one feature.")
    # In the table's order, which is what inference sees.
    return [name for name in names if name in set(chosen)]
