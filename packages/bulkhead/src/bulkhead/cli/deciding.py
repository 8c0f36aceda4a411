"""What ``registry`` decides: promote, rollback, revoke. Each says what is served then, and how to take it back."""

from __future__ import annotations

import sys
from shlex import quote
from typing import TYPE_CHECKING

import click
import msgspec

from bulkhead import environments
from bulkhead.cli import annotating, output
from bulkhead.cli.group import by_option, examples, name_option
from bulkhead.cli.listing import read_state
from bulkhead.errors import Refused
from bulkhead.formatting import number
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.queries import references
from bulkhead.queries.lineage import ImpactScope, impact, twins
from bulkhead.registry import decisions, journal
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bulkhead.cli.group import Place
    from bulkhead.registry.decisions import Check
    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.serving import ModelVersion
    from bulkhead.registry.store import Registry

CHECKS = "bulkhead.serving_check"
"""The group of entry points where an image that can load models says how it checks one."""


def _deciding(command: Callable[..., Any]) -> Callable[..., Any]:
    """``command`` with the options of every decision."""
    return click.option("--reason", required=True, help="Why; the record keeps it.")(by_option(command))


def _context(by: str, reason: str) -> DecisionContext:
    return DecisionContext(by, reason, annotating.identity())


def _libraries(context: click.Context, parameter: click.Parameter, text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        raise click.BadParameter("give a JSON object of library versions.", context, parameter) from None


@click.command(
    "promote",
    epilog=examples(
        "promote 'churn #12' --reason 'better on last month'", "promote e68fff --reason 'first one' --replacing none"
    ),
)
@click.argument("model")
@click.option(
    *environments.FLAGS,
    type=click.Choice(environments.PROMOTED_TO),
    default=environments.LAST,
    show_default=True,
    help="Where it is promoted to.",
)
@_deciding
@click.option("--replacing", metavar="MODEL|none", help="Only if the environment serves this one now.")
# For 'just registry', which has the model loaded in a sealed container of the inference image before this.
@click.option("--checked", metavar="JSON", callback=_libraries, hidden=True)
@click.pass_obj
def promote(  # noqa: PLR0913, PLR0917  # its options
    place: Place,
    model: str,
    environment: str,
    by: str,
    reason: str,
    replacing: str | None,
    checked: dict[str, str] | None,
) -> None:
    """Serve a model in the next environment too: the same file, a new record.

    MODEL is its short name, 6 or more characters of its hash, or its file. It is verified, loaded, and makes one
    prediction first; 'just registry' does that in a sealed container of the inference image. If anything else comes
    first, nothing is changed.
    """
    registry = place.registry_to_write
    state = read_state(registry)
    name = references.resolve_model(state, model).record.model_filename
    if replacing not in (None, "none"):
        replacing = references.resolve_model(state, str(replacing)).record.model_filename
    context = _context(by, reason)
    check = serving_check() if checked is None else _checked(checked)
    record = decisions.promote(registry, name, context, check, environment=environment, replacing=replacing)
    replaced = record.promotion.replaces if record.promotion else None
    if replaced:
        of_it = "" if record.name == DEFAULT_NAME else f" --name {quote(record.name)}"
        back = f"just registry rollback --environment {environment}{of_it} --reason ..."
    else:
        back = "nothing to roll back to: a training or promotion comes on top of it, a revocation is for ever"
    libraries = record.promotion.libraries if record.promotion else None
    output.pairs(
        [
            (
                f"{environment} serves",
                f"{_called(state, name)}, promoted from {environments.origin_of(environment)} by {by}",
            ),
            ("it served", _called(state, replaced)),
            ("checked with", output.value(libraries)),
            ("to take back", back),
            *([("warning", warning)] if (warning := decisions.revoked_twin(registry, record)) else []),
        ]
    )


def _called(state: RegistryState, filename: str | None) -> str:
    """What a model is called, and its file; None is nothing."""
    known = state.models.get(filename or "")
    return known.called if known is not None else filename or "nothing"


def _checked(libraries: dict[str, str]) -> Check:
    """The check of a model that has predicted elsewhere: its file is still the one that was published."""

    def check(registry: Registry, record: ModelRecord) -> dict[str, str]:
        registry.check_file(record)
        return libraries

    return check


def serving_check() -> Check:
    """What makes sure that a model can be served, before it is.

    Raises:
        Refused: this installation has none, or several.
    """
    from importlib.metadata import entry_points  # slow to import, and no other command needs it

    found = list(entry_points(group=CHECKS))
    if not found:
        raise Refused(
            "promote needs a model that was loaded and has made a prediction, which takes the inference image:"
            " run 'just registry promote ...', which does that first."
        )
    if len(found) > 1:
        names = ", ".join(sorted(f"{entry.name} ({entry.value})" for entry in found))
        raise Refused(f"{CHECKS} has {len(found)} entry points: {names}. Leave one of these packages installed.")
    check: Check = found[0].load()
    return check


@click.command(
    "rollback",
    epilog=examples(
        "rollback --environment prd --reason 'r2 fell on the new data'",
        "rollback --environment prd --name churn --reason 'drifted'",
        "rollback --environment prd --to MODEL --reason 'that of May'",
    ),
)
@click.option(*environments.FLAGS, type=click.Choice(environments.NAMES), required=True, help="Which environment's.")
@_deciding
@name_option(f"Of which model.  [default: that of --to, else {DEFAULT_NAME}]")
@click.option("--to", "model", metavar="MODEL", help="An earlier model of it; default: the one before.")
@click.pass_obj
def rollback(  # its options
    place: Place, environment: str, by: str, reason: str, name: str | None, model: str | None
) -> None:
    """Serve the previous good version of a model in an environment again.

    Good is one whose file is there, and is the one that was published; others are passed over. What was served is
    withdrawn: a later rollback does not come back to it. MODEL is its short name, 6 or more characters of its hash, or
    its file.
    """
    registry = place.registry_to_write
    state = read_state(registry)
    to = None if model is None else references.resolve_model(state, model, name).record.model_filename
    record = decisions.roll_back(registry, environment, _context(by, reason), to, name=name)
    withdrawn = record.withdrawn[0]
    output.pairs(
        [
            (f"{environment} serves", f"{_called(state, record.model_filename)}, rolled back to by {by}"),
            *(("withdrawn" if i else "it served", _called(state, file)) for i, file in enumerate(record.withdrawn)),
            ("to take back", _serve_again(state, withdrawn, environment)),
        ]
    )


def _serve_again(state: RegistryState, filename: str, environment: str) -> str:
    known = state.models[filename]
    if environments.get(environment).promotes_from in known.environments:
        return f"{environments.promotion_command(quote(filename), environment)} --reason ..."
    return f"train again: {environments.dag_id(environment, 'train_model', known.name)}"


@click.command(
    "revoke",
    epilog=examples("revoke 'churn #12' --reason 'trained on leaked data'", "revoke MODEL --reason 'leaked' --yes"),
)
@click.argument("model")
@_deciding
@click.option("--yes", is_flag=True, help="Do not ask; without a terminal to ask on, nothing is revoked otherwise.")
@click.pass_obj
def revoke(place: Place, model: str, by: str, reason: str, *, yes: bool) -> None:
    """Take a model out of service for ever, in every environment.

    MODEL is its short name, 6 or more characters of its hash, or its file. On a terminal you are told first
    who serves it and how often it was used, and asked. Inference refuses it from then on, even when it is asked for by
    name. Nothing takes that back.
    """
    registry = place.registry_to_write
    before = read_state(registry)
    known = references.resolve_model(before, model)
    name = known.record.model_filename
    context = _context(by, reason)
    if known.revocation is None and not yes:
        _ask(registry, before, known)
    decisions.revoke(registry, name, context)
    after = RegistryState(journal.read(registry.training_journal))
    rows = [("revoked", f"{known.called}, by {by}, for ever")]
    for environment in (one for one, other in after.places if other == known.name):
        served, now = (
            _called(after, record.model_filename if record else None)
            for record in (before.served(environment, known.name), after.served(environment, known.name))
        )
        as_before = ", as before" if served == now else ""
        is_it = served == known.called
        rows.append((environment, f"served it, and serves {now} now" if is_it else f"serves {now}{as_before}"))
    rows += [
        ("the same model", f"{_called(after, twin)} is not revoked: just registry revoke {quote(twin)} --reason ...")
        for twin in twins(after, name)
        if after.models[twin].revocation is None
    ]
    rows.append(("who used it", f"just registry impact {quote(name)}"))
    output.pairs(rows)


def _ask(registry: Registry, state: RegistryState, known: ModelVersion) -> None:
    """Have a person say yes, who has read what depends on the model.

    Raises:
        Refused: it was no, or there is nobody to ask.
    """
    served_in = [
        environment
        for environment in known.environments
        if (record := state.served(environment, known.name)) and record.model_filename == known.record.model_filename
    ]
    used = impact(registry, ImpactScope([known.record], None), 1)
    served = f"{' and '.join(served_in) or 'no environment'} serve{'s' * (len(served_in) <= 1)} it"
    inferences = f"{number(used.inferences)} inference{'s' * (used.inferences != 1)}"
    told = f"{served}; {inferences} used it, with {number(used.rows)} predictions"
    if not sys.stdin.isatty():
        raise Refused(
            f"{known.called} would be out of service for ever: {told}. There is no terminal to ask on, so nothing was"
            " revoked. Give --yes."
        )
    output.say(f"{known.called}: {told}.", err=True)
    if not click.confirm(f"Revoke {output.shown(known.short_name)} for ever, in every environment?", err=True):
        raise Refused("nothing was revoked: you said no. Run it again when you are sure.")
