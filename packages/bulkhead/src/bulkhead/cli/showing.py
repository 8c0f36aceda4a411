"""What ``registry`` tells of single models: latest, show, compare."""

from __future__ import annotations

from itertools import groupby
from shlex import quote
from typing import TYPE_CHECKING

import click
import msgspec

from bulkhead import environments, formatting
from bulkhead.cli import output
from bulkhead.cli.group import examples, json_option, name_option, wide_option
from bulkhead.cli.listing import read_state
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.queries import references
from bulkhead.queries.comparison import compare, facts
from bulkhead.queries.lineage import history, told
from bulkhead.queries.status import version_statuses
from bulkhead.registry import journal

if TYPE_CHECKING:
    from bulkhead.cli.group import Place
    from bulkhead.queries.comparison import Row
    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.serving import ModelVersion


@click.command("latest", epilog=examples("latest --environment prd", "show $(just registry latest --environment prd)"))
@click.option(*environments.FLAGS, type=click.Choice(environments.NAMES), required=True, help="Which environment's.")
@name_option("Of which model.", DEFAULT_NAME)
@json_option
@click.pass_obj
def latest(place: Place, environment: str, name: str, *, as_json: bool) -> None:
    """Print the file name of the served version of a model, for scripts.

    Exit code 1 where none is.
    """
    record = place.registry.latest(environment, name)
    click.echo(output.as_json(record) if as_json else output.shown(record.model_filename))


@click.command("show", epilog=examples("show 'churn #12'", "show e68fff --json"))
@click.argument("model")
@json_option
@click.pass_obj
def show(place: Place, model: str, *, as_json: bool) -> None:
    """Show one model: its state, tags, record and history.

    MODEL is its short name, 6 or more characters of its hash, or its file.
    """
    registry = place.registry
    state = read_state(registry)
    known = references.resolve_model(state, model)
    name = known.record.model_filename
    status = version_statuses(state, registry.folder, known.publications)
    told_of_it = history(journal.lines(registry.training_journal), name)
    if as_json:
        states = {s.record.environment: s.states for s in status}  # the last one of each environment
        tags = {key: tag.value for key, tag in known.tags.items()}
        entries = [entry for entry, _ in told_of_it]
        said = {"short_name": known.short_name, "record": known.record, "state": states, "tags": tags}
        click.echo(output.as_json({**said, "history": entries}))
        return
    output.say(known.called, output.TITLE)
    output.pairs(((s.record.environment, ", ".join(s.states)) for s in status), "  ")
    if known.out_of_service is not None:
        output.say(f"  Out of service: {known.out_of_service}", output.BAD)
    twin = state.revoked_twin(name)
    if twin is not None:
        output.say(f"  The same model as {twin.called}: {twin.out_of_service}", output.BAD)
    if known.tags:
        output.say()
        output.say("tags", output.TITLE)
        output.pairs(((key, tag.value or "") for key, tag in known.tags.items()), "  ")
    recorded = [(key, content) for key, content in facts(_numbered(known)).items() if content is not None]
    for section, named in groupby(recorded, key=lambda fact: fact[0][0]):
        output.say()
        output.say(section, output.TITLE)
        output.pairs(((key[1], output.value(content)) for key, content in named), "  ")
    output.say()
    output.say("history", output.TITLE)
    rows = [(*told(entry, name), " (recorded by hand)" if by_hand else "") for entry, by_hand in told_of_it]
    output.pairs([(formatting.time(time), " ".join(what.split()) + mark) for time, what, mark in rows], "  ")
    output.say()
    output.say(f"What depends on it: just registry impact {quote(name)}")


def _numbered(known: ModelVersion) -> ModelRecord:
    """Its record, with its number where that says none."""
    return msgspec.structs.replace(known.record, version=known.number)


@click.command(
    "compare",
    epilog=examples("compare 'churn #11' 'churn #12'", "compare MODEL $(just registry latest --environment prd)"),
)
@click.argument("model_a", metavar="A")
@click.argument("model_b", metavar="B")
@click.option("--differing", is_flag=True, help="Only what differs.")
@wide_option
@json_option
@click.pass_obj
def compare_models(place: Place, model_a: str, model_b: str, *, differing: bool, as_json: bool) -> None:
    """Put two models side by side; ≠ marks what differs.

    A and B are short names, 6 or more characters of their hashes, or files. Compared are metrics, parameters, data,
    schema, transformation, libraries, coefficients, importances, commit and image. BETTER names the model whose metric
    is better by the goal that both records have for it.
    """
    state = read_state(place.registry)
    one, other = (references.resolve_model(state, name) for name in (model_a, model_b))
    left, right = one.record, other.record
    rows = compare(_numbered(one), _numbered(other))
    if as_json:
        names = {"a": one.short_name, "b": other.short_name}
        click.echo(output.as_json({"a": left, "b": right, "short_names": names, "rows": rows}))
        return
    output.pairs([("A", one.called), ("B", other.called)])
    # The names stand above.
    chosen = [row for row in rows if row.name not in ("model_filename", "version") and not (differing and row.same)]
    if chosen:
        output.say()
        output.table(
            ("", "SECTION", "NAME", "A", "B", "B - A", "BETTER"),
            [_compared(row) for row in chosen],
            lambda i: output.FADED if chosen[i].same else output.PLAIN,
            steps=[("A", 24), ("B", 24), ("SECTION", 0), ("A", 14), ("B", 14), ("NAME", 20)],
        )
    same = sum(row.same for row in rows)
    output.say()
    output.say(f"{len(rows) - same} differ, {same} are the same.")


def _compared(row: Row) -> tuple[str, ...]:
    change = ""
    if not row.same and all(type(side) in (int, float) for side in (row.left, row.right)):
        change = f"{row.right - row.left:+.4g}"
    sides = (output.squeezed(output.value(row.left)), output.squeezed(output.value(row.right)))
    return ("" if row.same else "≠", row.section, row.name, *sides, change, row.better or "")
