"""What ``registry`` tells of single models: latest, show, compare."""

from __future__ import annotations

from itertools import groupby
from shlex import quote
from typing import TYPE_CHECKING

import click

from bulkhead import environments, formatting
from bulkhead.cli import output
from bulkhead.cli.group import examples, json_option, name_option
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


@click.command("latest", epilog=examples("latest --environment prd", "show $(just registry latest --environment prd)"))
@click.option("--environment", type=click.Choice(environments.NAMES), required=True, help="Which environment's.")
@name_option("Of which model.", DEFAULT_NAME)
@json_option
@click.pass_obj
def latest(place: Place, environment: str, name: str, *, as_json: bool) -> None:
    """Print the file name of the served version of a model, for scripts.

    Exit code 1 where none is.
    """
    record = place.registry.latest(environment, name)
    click.echo(output.as_json(record) if as_json else output.shown(record.model_filename))


@click.command("show", epilog=examples("show MODEL", "show e68fff --json"))
@click.argument("model")
@json_option
@click.pass_obj
def show(place: Place, model: str, *, as_json: bool) -> None:
    """Show one model: its state, record and history.

    MODEL is its file, or 6 or more characters of its hash.
    """
    registry = place.registry
    state = read_state(registry)
    known = references.resolve_model(state, model)
    name = known.record.model_filename
    status = version_statuses(state, registry.folder, known.publications)
    told_of_it = history(journal.lines(registry.training_journal), name)
    if as_json:
        states = {s.record.environment: s.states for s in status}  # the last one of each environment
        click.echo(
            output.as_json({"record": known.record, "state": states, "history": [entry for entry, _ in told_of_it]})
        )
        return
    output.say(name, output.TITLE)
    output.pairs(((s.record.environment, ", ".join(s.states)) for s in status), "  ")
    if known.out_of_service is not None:
        output.say(f"  Out of service: {known.out_of_service}", output.BAD)
    recorded = [(key, content) for key, content in facts(known.record).items() if content is not None]
    for section, named in groupby(recorded, key=lambda fact: fact[0][0]):
        output.say()
        output.say(section, output.TITLE)
        output.pairs(((key[1], output.value(content)) for key, content in named), "  ")
    output.say()
    output.say("history", output.TITLE)
    rows = [(*told(entry, name), " (recorded by hand)" if by_hand else "") for entry, by_hand in told_of_it]
    output.pairs([(formatting.time(time), what + mark) for time, what, mark in rows], "  ")
    output.say()
    output.say(f"What depends on it: just registry impact {quote(name)}")


@click.command(
    "compare", epilog=examples("compare MODEL MODEL", "compare MODEL $(just registry latest --environment prd)")
)
@click.argument("model_a", metavar="A")
@click.argument("model_b", metavar="B")
@click.option("--differing", is_flag=True, help="Only what differs.")
@json_option
@click.pass_obj
def compare_models(place: Place, model_a: str, model_b: str, *, differing: bool, as_json: bool) -> None:
    """Put two models side by side; ≠ marks what differs.

    A and B are model files, or 6 or more characters of their hashes. Compared are metrics, parameters, data, schema,
    transformation, libraries, coefficients, importances, commit and image. BETTER names the model whose metric is
    better by the goal that both records have for it.
    """
    state = read_state(place.registry)
    left, right = (references.resolve_model(state, name).record for name in (model_a, model_b))
    rows = compare(left, right)
    if as_json:
        click.echo(output.as_json({"a": left, "b": right, "rows": rows}))
        return
    output.pairs([("A", left.model_filename), ("B", right.model_filename)])
    # The names stand above.
    chosen = [row for row in rows if row.name != "model_filename" and not (differing and row.same)]
    if chosen:
        output.say()
        output.table(
            ("", "SECTION", "NAME", "A", "B", "B - A", "BETTER"),
            [_compared(row) for row in chosen],
            lambda i: output.FADED if chosen[i].same else output.PLAIN,
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
