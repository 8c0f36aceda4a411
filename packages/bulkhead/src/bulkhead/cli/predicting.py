"""``registry predictions``: what an inference has predicted, as a table or as CSV."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from bulkhead import formatting
from bulkhead.cli import output
from bulkhead.cli.group import examples, wide_option
from bulkhead.queries import prediction_csv, predictions, references

if TYPE_CHECKING:
    from bulkhead.cli.group import Place
    from bulkhead.queries.predictions import Predictions

_ROWS, _COLUMNS = 20, 12


@click.command(
    "predictions",
    epilog=examples(
        "predictions manual__2026-11-23T06:36:18.754021+00:00",
        "predictions shared/runs/DAG/RUN/predictions_TIME.parquet",
        "predictions 44cfd44f202d --csv > predictions.csv",
    ),
)
@click.argument("inference", metavar="RUN|INFERENCE")
@click.option("--csv", "as_csv", is_flag=True, help="All rows and columns, as CSV.")
@wide_option
@click.pass_obj
def show_predictions(place: Place, inference: str, *, as_csv: bool) -> None:
    """Show what an inference has predicted: the first rows of its file.

    RUN is Airflow's run id; INFERENCE is the inference_time, the path of the predictions file, or the first 6 or more
    characters of its SHA-256. A file that is not the one recorded is refused; of one that is gone, the predictions in
    the record are shown.
    """
    record = references.resolve_inference(place.registry, place.in_project(inference))
    with predictions.opened(record, place.path) as found:
        if not found.in_file:
            output.say("The predictions file is gone; these are the predictions in the record.", err=True)
        if as_csv:
            # On a terminal, without what one would obey.
            output.lines(prediction_csv.lines(found, output.shown if sys.stdout.isatty() else prediction_csv.as_it_is))
        else:
            _print(found)


def _print(found: Predictions) -> None:
    more = len(found.columns) - _COLUMNS
    rows = [[_cell(value) for value in row[:_COLUMNS]] for row in islice(found.rows, _ROWS)]
    output.table(found.columns[:_COLUMNS], rows)
    if found.count > len(rows) or more > 0:
        columns = f", and {more} columns more" if more > 0 else ""
        output.say(f"The first {len(rows)} of {formatting.number(found.count)} rows{columns}; --csv has all.", err=True)


def _cell(value: Any) -> str:
    # A whole number may be an identifier: its thousands are not set apart.
    return str(value) if type(value) is int else output.value(value)
