"""``registry trace`` and ``registry impact``: from predictions back to data, and from data on to predictions."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import click

from bulkhead import formatting, untrusted
from bulkhead.cli import output
from bulkhead.cli.group import examples, json_option, wide_option
from bulkhead.cli.listing import inference_table, model_table, read_state
from bulkhead.errors import EXIT_REFUSED, NoModel, Refused, short
from bulkhead.queries import references
from bulkhead.queries.lineage import ImpactScope, dependents, impact, reach_of_data, rows_of, trace, twins
from bulkhead.queries.status import version_statuses
from bulkhead.registry import drift

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.cli.group import Place
    from bulkhead.queries.lineage import File, Trace
    from bulkhead.registry.serving import RegistryState
    from bulkhead.registry.store import Registry


def _airflow() -> str:
    return f"http://localhost:{os.environ.get('BULKHEAD_PORT') or 8080}"


@click.command(
    "trace",
    epilog=examples(
        "trace shared/runs/DAG/RUN/predictions_TIME.parquet",
        "trace 44cfd44f202d",
        "trace manual__2026-11-23T06:36:18.754021+00:00",
        "trace 2026-11-23T06:36:24.171553 --json",
    ),
)
@click.argument("inference", metavar="PREDICTIONS_FILE|INFERENCE")
@click.option(
    "--airflow",
    default=_airflow,
    show_default="http://localhost:$BULKHEAD_PORT, or 8080",
    help="Address of Airflow's web interface, for the links.",
)
@json_option
@click.pass_obj
def trace_inference(place: Place, inference: str, airflow: str, *, as_json: bool) -> int:
    """Trace predictions back to model, data, commit and runs.

    PREDICTIONS_FILE is its path, or the first 6 or more characters of its SHA-256; INFERENCE is Airflow's run id,
    or the inference_time. Each file is hashed again.

    Exit code 1 also where the chain is broken: a file is not the one recorded, a record is missing.
    """
    registry = place.registry
    found = references.resolve_inference(registry, place.in_project(inference))
    state = read_state(registry)
    traced = trace(registry, state, found, place.path, airflow)
    if as_json:
        click.echo(output.as_json(traced))
    else:
        _print_trace(traced)
    return EXIT_REFUSED if traced.broken else 0


def _print_trace(traced: Trace) -> None:
    inference, model = traced.inference, traced.model
    files = {file.what: file for file in traced.files}
    runs = {run.what: run.url for run in traced.runs}
    said = drift.sentence(inference.drift)
    rows = [
        ("time", inference.inference_time),
        ("environment", inference.environment),
        ("name", inference.name),
        ("rows", formatting.number(rows_of(inference))),
        ("predictions", _file(files.get("predictions"))),
        ("input", _file(files.get("inference data"))),
        *([("drift", said.removeprefix("drift: "))] if said else []),
        ("commit", inference.git_commit or formatting.UNKNOWN),
        ("image", inference.image or formatting.UNKNOWN),
        *([("host", inference.host)] if inference.host else []),
        ("run", inference.run_id or formatting.UNKNOWN),
        ("in Airflow", runs.get("inference", formatting.UNKNOWN)),
    ]
    _part("Inference", rows)
    if model is None:
        _part("Model", [("file", inference.model_used)])
    else:
        told = [("name", model.name), ("short name", traced.short_name or "-"), ("file", _file(files["model"]))]
        told.append(("model_hash", model.model_hash))
        recorded = (
            ("problem", model.problem),
            ("classes", model.classes),
            ("identifier", model.identifier),
            ("missing", model.missing),
            ("categories", model.categories),
            ("metrics", model.metrics),
            ("goals", model.goals),
            ("importances", model.importances),
        )
        told += [(name, output.value(content)) for name, content in recorded if content or name == "metrics"]
        _part("Model", told)
        promotion = model.promotion
        if promotion is not None:
            rows = [("by", promotion.by), ("reason", promotion.reason), ("time", promotion.promotion_time)]
            _part(
                f"Promoted from {promotion.origin}", [*rows, ("in Airflow", runs.get("promotion", formatting.UNKNOWN))]
            )
        data = model.data
        rows = [
            ("time", model.training_timestamp),
            ("data", _file(files.get("training data"))),
            ("rows", formatting.number(data.rows if data else None)),
            ("commit", model.git_commit or formatting.UNKNOWN),
            ("image", model.image or formatting.UNKNOWN),
            *([("host", model.host)] if model.host else []),
            ("run", model.run_id or formatting.UNKNOWN),
            ("in Airflow", runs.get("training", formatting.UNKNOWN)),
        ]
        _part("Training", rows)
    if traced.out_of_service:
        output.say(f"Out of service: {traced.out_of_service}", output.BAD)
    for sentence in traced.broken:
        output.say(f"Broken: {sentence}", output.BAD)


def _part(title: str, rows: Sequence[tuple[str, str]]) -> None:
    output.say(title, output.TITLE)
    output.pairs(rows, "  ")


def _file(file: File | None) -> str:
    if file is None:
        return formatting.UNKNOWN
    return f"{file.path}  ({file.state}{f', sha256 {file.sha256}' if file.sha256 else ''})"


@click.command(
    "impact", epilog=examples("impact 'churn #12'", "impact d0b14a7a6a40", "impact shared/inputs/diabetes.csv")
)
@click.argument("what", metavar="MODEL|DATA")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Rows in each table.")
@wide_option
@json_option
@click.pass_obj
def show_impact(place: Place, what: str, limit: int, *, as_json: bool) -> None:
    """Show what depends on a model or on data.

    That is every model trained on the data, and every inference by these models or with the data as input.
    MODEL is its short name, 6 or more characters of its hash, or its file. DATA is 6 or more characters of the SHA-256
    of data that a model was trained on, the whole one of any other data, or a file in shared/. With --json: all of it,
    first the models' records, then the inferences'.
    """
    registry = place.registry
    state = read_state(registry)
    reach = _reach(place, state, what)
    if as_json:
        told = output.lines(map(output.as_json, itertools.chain(reach.models, dependents(registry, reach))))
        if not told:
            raise _nothing(reach)
        return
    found = impact(registry, reach, limit)
    if not found.models and not found.inferences:
        raise _nothing(reach)
    if reach.data is not None:
        output.say(f"Data with sha256 {reach.data}")
        _print_models(registry, state, reach, limit)
    else:
        _print_twins(state, reach)
    of_it = f", {found.on_data} with the data as input" if reach.data is not None else ""
    output.say(
        f"Inferences: {formatting.number(found.inferences)}, {formatting.number(found.rows)} rows{of_it}", output.TITLE
    )
    if found.newest:
        inference_table(found.newest)
        if found.inferences > len(found.newest):
            output.say(f"The newest {len(found.newest)}; --limit lists more, --json all.", err=True)


def _nothing(reach: ImpactScope) -> Refused:
    return Refused(
        f"no model was trained on data with sha256 {reach.data}, and no inference had it as its input."
        " Give the hash of the whole file: sha256sum FILE."
    )


def _reach(place: Place, state: RegistryState, what: str) -> ImpactScope:
    """What ``what`` asks about.

    Raises:
        Refused: it is nothing, or could be several things.
    """
    path = place.path(place.in_project(what))
    if path is not None and what not in state.models and place.in_project(what).startswith("shared/"):
        try:
            found = untrusted.hash_of(*path, called=place.in_project(what))
        except FileNotFoundError:
            raise Refused(
                f"{short(what, 200)}: there is no such file. Name a file in shared/, a MODEL, or a SHA-256."
            ) from None
        except OSError as error:
            raise Refused(
                f"{short(what, 200)}: {error.strerror}. Name a file that can be read, or a SHA-256."
            ) from None
        return reach_of_data(state, found)
    sha256 = references.resolve_data(state, what)
    try:
        model = references.resolve_model(state, what)
    except NoModel:
        if sha256 is None:
            raise
        return reach_of_data(state, sha256)
    if sha256 is not None:
        name = model.record.model_filename
        raise Refused(f"{short(what)} begins the hash of the model {name} and of the data {sha256}. Name more of it.")
    return ImpactScope([model.record], None)


def _print_models(registry: Registry, state: RegistryState, reach: ImpactScope, limit: int) -> None:
    names = {record.model_filename for record in reach.models}
    output.say(f"Models trained on it: {len(names)}", output.TITLE)
    found = [record for record in state.records if record.model_filename in names]
    if found:
        model_table(version_statuses(state, registry.folder, found[-limit:]))
    if len(found) > limit:
        output.say(f"The newest {limit} of {len(found)}; --limit lists more, --json all.", err=True)


def _print_twins(state: RegistryState, reach: ImpactScope) -> None:
    (record,) = reach.models
    output.say(f"Model: {state.models[record.model_filename].called}")
    for twin in twins(state, record.model_filename):
        output.say(f"The same model by another name, not counted here: {state.models[twin].called}")
