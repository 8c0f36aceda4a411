"""``registry list``: models, failed attempts and inferences in tables."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
import msgspec

from bulkhead import environments, formatting
from bulkhead.cli import output
from bulkhead.cli.group import examples, json_option, name_option, wide_option
from bulkhead.errors import short
from bulkhead.queries import references
from bulkhead.queries.lineage import rows_of
from bulkhead.queries.status import VersionStatus, version_statuses
from bulkhead.registry import journal, metrics, notes, record_lines
from bulkhead.registry.records import Failure, InferenceFailure, InferenceRecord, TrainingFailure, Unreadable
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from bulkhead.cli.group import Place
    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry
    from bulkhead.text_table import Step

_IN_A_TABLE = 50

_METRICS = 3

_MODELS = ("", "MODEL", "ENVIRONMENT", "FILE", "STATE", "TRAINED", "ROWS", "METRICS", "SOURCE")
_FAILURES = ("TIME", "ENVIRONMENT", "NAME", "STEP", "CAUSE", "RUN", "WHAT")
_INFERENCES = ("TIME", "ENVIRONMENT", "NAME", "ROWS", "MODEL", "INPUT", "RUN")


# What becomes narrower first: a model is named by its short name, an inference by its time or its run.
_NARROWER: dict[tuple[str, ...], list[Step]] = {
    _MODELS: [
        *(("FILE", 14), ("SOURCE", 20), ("METRICS", 21), ("FILE", 0), ("SOURCE", 0), ("ROWS", 0)),
        *(("METRICS", 10), ("TRAINED", 0), ("METRICS", 0)),
    ],
    _FAILURES: [("WHAT", 40), ("RUN", 24), ("STEP", 14), ("RUN", 0), ("WHAT", 30), ("STEP", 0), ("WHAT", 20)],
    _INFERENCES: [
        *(("MODEL", 14), ("INPUT", 20), ("RUN", 30), ("INPUT", 0), ("RUN", 16), ("ROWS", 0), ("RUN", 0)),
        ("MODEL", 0),
    ],
}


class _Chosen(msgspec.Struct, frozen=True):
    """Which records are listed; None: any."""

    environment: str | None
    name: str | None

    def has(self, record: ModelRecord | Failure | InferenceRecord) -> bool:
        """Whether ``record`` is listed."""
        return self.environment in (None, record.environment) and self.name in (None, record.name)


@click.command(
    "list",
    epilog=examples(
        "list",
        "list --environment prd --served",
        "list --name model --limit 5",
        "list --tag reviewed --tag owner=ada",
        "list --failures --limit 5",
        "list --inferences --json | jq -r .predictions_path",
    ),
)
@click.option(*environments.FLAGS, type=click.Choice(environments.NAMES), help="Only of this environment.")
@name_option("Only of this model.")
@click.option(
    "--tag",
    "tags",
    metavar="KEY[=VALUE]",
    multiple=True,
    help="Only models that have this tag, with this value; again: that one too.",
)
@click.option("--served", is_flag=True, help="Only the models that are served.")
@click.option("--failures", is_flag=True, help="Failed attempts instead, of both pipelines.")
@click.option("--inferences", is_flag=True, help="Inferences instead.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"Only so many, the newest; 0: all.  [default: {_IN_A_TABLE} in a table, all with --json]",
)
@wide_option
@json_option
@click.pass_obj
def list_models(
    place: Place,
    /,
    environment: str | None,
    name: str | None,
    tags: tuple[str, ...],
    limit: int | None,
    *,
    as_json: bool,
    **only: bool,
) -> None:
    """List the published models, newest last; * marks what is served.

    MODEL is the short name: of which model it is a version, and which one. STATE: served; previous (a rollback serves
    it) or earlier; rolled back; revoked; not served (it was published so). Then, where it applies: removed or
    quarantined; missing (a file that should be there); unverifiable (a legacy record: the program before this one kept
    no hash); promoted from another environment. METRICS: the leading one first. TAGS, where there are any. Lines of the
    journal that cannot be read as records are counted on stderr.
    """
    registry = place.registry
    most = (None if as_json else _IN_A_TABLE) if limit is None else limit or None
    asked = [option for option, wanted in only.items() if wanted]
    for tag in tags:
        if not notes.KEY.fullmatch(tag.partition("=")[0]):
            wrong = f"{short(tag)} has no key that a tag can have. Give KEY or KEY=VALUE."
            raise click.BadParameter(wrong, param_hint="'--tag'")
    if tags and asked not in ([], ["served"]):
        raise click.UsageError(f"--tag is of models, and --{asked[0]} lists none. Leave one of the two out.")
    chosen = _Chosen(environment, name)
    match asked:
        case ["failures"]:
            _list_failures(registry, chosen, most, as_json=as_json)
        case ["inferences"]:
            _list_inferences(registry, chosen, most, as_json=as_json)
        case [] | ["served"]:
            _list_models(registry, chosen, tags, most, served=bool(asked), as_json=as_json)
        case _:
            raise click.UsageError(f"one list at a time: choose one of {', '.join(f'--{option}' for option in asked)}.")


def _list_models(  # its options
    registry: Registry, wanted: _Chosen, tags: Sequence[str], most: int | None, *, served: bool, as_json: bool
) -> None:
    state = read_state(registry)
    found = [
        status
        for status in version_statuses(state, registry.folder)
        if wanted.has(status.record) and (status.served or not served) and _has_tags(status, tags)
    ]
    chosen = found[-most:] if most else found
    if as_json:
        output.lines(output.as_json(_with_state(status)) for status in chosen)
    elif chosen:
        model_table(chosen)
        if len(found) > len(chosen):
            _tell_rest(len(chosen), f" of {len(found)}")
    else:
        of_it = f" called {wanted.name}" if wanted.name else ""
        of_it += f" of the environment {wanted.environment}" if wanted.environment else ""
        of_it += f" with the tag {' and '.join(tags)}" if tags else ""
        some = f"No {'served ' * served}models{of_it}. All that there are: just registry list"
        output.say(some if state.records else _NO_MODELS, err=True)


def _has_tags(status: VersionStatus, tags: Iterable[str]) -> bool:
    for tag in tags:
        key, _, value = tag.partition("=")
        if key not in status.tags or ("=" in tag and status.tags[key] != value):
            return False
    return True


_NO_MODELS = "No models yet. Trigger a train_model DAG, or run: just demo"


def read_state(registry: Registry) -> RegistryState:
    """The registry's state; says on stderr how many lines of ``log.txt`` could not be read as records."""
    state, unreadable = RegistryState(), 0
    for record in journal.read(registry.training_journal):
        unreadable += isinstance(record, Unreadable)
        state.feed(record)
    if unreadable:
        lines = f"{unreadable} unreadable line{'s' * (unreadable > 1)}"
        output.say(f"{registry.training_journal.name}: passed over {lines}", err=True)
    return state


def model_table(chosen: Sequence[VersionStatus]) -> None:
    """Print a line for each of ``chosen``."""

    def style(index: int) -> output.Style:
        status = chosen[index]
        if status.served_but_unusable or "missing" in status.states:
            return output.BAD
        if status.served:
            return output.GOOD
        return output.FADED if {"revoked", "removed", "quarantined"} & {*status.states} else output.PLAIN

    rows = [_model_row(status) for status in chosen]
    if any(status.tags for status in chosen):
        tags = [", ".join(f"{key}={value}" for key, value in status.tags.items()) for status in chosen]
        rows = [(*row, told) for row, told in zip(rows, tags, strict=True)]
        output.table((*_MODELS, "TAGS"), rows, style, steps=[("TAGS", 20), *_NARROWER[_MODELS], ("TAGS", 0)])
    else:
        output.table(_MODELS, rows, style, steps=_NARROWER[_MODELS])


def _model_row(status: VersionStatus) -> tuple[str, ...]:
    record = status.record
    data = record.data
    return (
        "*" if status.served else "",
        status.short_name,
        record.environment,
        record.model_filename,
        ", ".join(status.states),
        formatting.time(record.training_timestamp),
        formatting.number(data.rows if data else None),
        metrics_of(record),
        data.path if data else formatting.UNKNOWN,
    )


def metrics_of(record: ModelRecord) -> str:
    """The first of its metrics, the leading one first."""
    shown = metrics.measured(record, _METRICS).items()
    return ", ".join(f"{name} {formatting.metric(number)}" for name, number in shown) or formatting.UNKNOWN


def _with_state(status: VersionStatus) -> dict[str, Any]:
    told = {"short_name": status.short_name, "served": status.served, "state": status.states, "tags": status.tags}
    return {**msgspec.to_builtins(status.record), **told}


def _list_failures(registry: Registry, wanted: _Chosen, most: int | None, *, as_json: bool) -> None:
    found, more = _newest_last([registry.training_journal, registry.inference_journal], Failure, wanted, most)
    if as_json:
        output.lines(map(output.as_json, found))
    elif rows := [_failure_row(record) for record in found]:
        output.table(_FAILURES, rows, longest=2000, steps=_NARROWER[_FAILURES], wrapped="WHAT")
        if more:
            _tell_rest(len(rows), ", and there are more")
    else:
        output.say("No failed attempts.", err=True)


def _failure_row(record: Failure) -> tuple[str, ...]:
    what = record.detail if isinstance(record, TrainingFailure) else record.error_message
    told = (record.environment, record.name, record.step, record.cause, record.run_id, what)
    return (formatting.time(_time(record)), *(text or formatting.UNKNOWN for text in told))


def _list_inferences(registry: Registry, wanted: _Chosen, most: int | None, *, as_json: bool) -> None:
    found, more = _newest_last([registry.inference_journal], InferenceRecord, wanted, most)
    if as_json:
        output.lines(map(output.as_json, found))
    elif rows := list(found):
        inference_table(rows)
        if more:
            _tell_rest(len(rows), ", and there are more")
    else:
        output.say("No inferences yet. Trigger an inference_pipe DAG, or run: just demo", err=True)


def inference_table(chosen: Iterable[InferenceRecord]) -> None:
    """Print a line for each of ``chosen``, and which of its columns have drifted, where any has."""
    found = list(chosen)
    rows = [_inference_row(record) for record in found]
    drifted = [", ".join(record.drift.drifted) if record.drift else "" for record in found]
    if any(drifted):
        rows = [(*row, told) for row, told in zip(rows, drifted, strict=True)]
        output.table((*_INFERENCES, "DRIFT"), rows, steps=[("DRIFT", 20), *_NARROWER[_INFERENCES], ("DRIFT", 0)])
    else:
        output.table(_INFERENCES, rows, steps=_NARROWER[_INFERENCES])


def _inference_row(record: InferenceRecord) -> tuple[str, ...]:
    return (
        record.inference_time[:26],  # to the microsecond: 'trace' takes it as it stands here
        record.environment,
        record.name,
        formatting.number(rows_of(record)),
        record.model_used,
        record.inference_data,
        record.run_id or formatting.UNKNOWN,
    )


def _newest_last(paths: Sequence[Path], kind: Any, wanted: _Chosen, most: int | None) -> tuple[Iterable[Any], bool]:
    """The records of ``kind`` in the journals by time, all or the newest ``most``; and whether there are more.

    A journal's own order is kept, and its end alone is read where that is enough.
    """

    def chosen(lines: Iterable[tuple[int, bytes]]) -> Iterator[Any]:
        # Of a million inferences few have failed: the others are not decoded whole.
        seen = (line for _, line in lines if _may_be(kind, line))
        return (r for r in map(record_lines.decode, seen) if isinstance(r, kind) and wanted.has(r))

    if most is None:
        return heapq.merge(*(chosen(journal.lines(path)) for path in paths), key=_time), False
    newest = [list(islice(chosen(journal.lines_newest_first(path)), most + 1))[::-1] for path in paths]
    merged = list(heapq.merge(*newest, key=_time))
    return merged[-most:], len(merged) > most


class _Keys(msgspec.Struct):
    """Keys that only some kinds of record have."""

    inference_time: Any = None
    error_timestamp: Any = None
    error_time: Any = None


def _may_be(kind: Any, line: bytes) -> bool:
    seen = references.peek(line, _Keys)
    if seen is None:
        return False
    if kind is InferenceRecord:
        return seen.inference_time is not None
    return seen.error_timestamp is not None or seen.error_time is not None


def _time(record: Failure | InferenceRecord) -> str:
    match record:
        case TrainingFailure():
            return record.error_timestamp
        case InferenceFailure():
            return record.error_time
    return record.inference_time


def _tell_rest(chosen: int, of_all: str) -> None:
    output.say(f"The newest {chosen}{of_all}; --limit 0 lists all.", err=True)
