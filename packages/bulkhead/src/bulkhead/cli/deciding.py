"""What ``registry`` decides: promote, rollback, revoke. Each says what is served then, and how to take it back."""

from __future__ import annotations

import os
from shlex import quote
from typing import TYPE_CHECKING

import click
import msgspec

from bulkhead import environments
from bulkhead.cli import output
from bulkhead.cli.group import by_option, examples, name_option
from bulkhead.cli.listing import read_state
from bulkhead.errors import Refused
from bulkhead.identity import Identity
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.queries import references
from bulkhead.queries.lineage import twins
from bulkhead.registry import decisions, journal
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bulkhead.cli.group import Place
    from bulkhead.registry.decisions import Check
    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry

CHECKS = "bulkhead.serving_check"
"""The group of entry points where an image that can load models says how it checks one."""


def _deciding(command: Callable[..., Any]) -> Callable[..., Any]:
    """``command`` with the options of every decision."""
    return click.option("--reason", required=True, help="Why; the record keeps it.")(by_option(command))


def _context(by: str, reason: str) -> DecisionContext:
    image, commit = (os.environ.get(f"BULKHEAD_{name}") or None for name in ("IMAGE", "GIT_COMMIT"))
    return DecisionContext(by, reason, Identity(image=image, git_commit=commit))


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
        "promote MODEL --reason 'better on last month'", "promote e68fff --reason 'first one' --replacing none"
    ),
)
@click.argument("model")
@click.option(
    "--environment",
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

    MODEL is its file, or 6 or more characters of its hash. It is verified, loaded, and makes one prediction first;
    'just registry' does that in a sealed container of the inference image. If anything else comes first, nothing is
    changed.
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
            *_named(record.name),
            (f"{environment} serves", f"{name}, promoted from {environments.origin_of(environment)} by {by}"),
            ("it served", replaced or "nothing"),
            ("checked with", output.value(libraries)),
            ("to take back", back),
        ]
    )


def _named(name: str) -> list[tuple[str, str]]:
    """Of which model it is told, where that is not the one that comes with the project."""
    return [] if name == DEFAULT_NAME else [("model", name)]


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
@click.option("--environment", type=click.Choice(environments.NAMES), required=True, help="Which environment's.")
@_deciding
@name_option(f"Of which model.  [default: that of --to, else {DEFAULT_NAME}]")
@click.option("--to", "model", metavar="MODEL", help="An earlier model of it; default: the one before.")
@click.pass_obj
def rollback(  # its options
    place: Place, environment: str, by: str, reason: str, name: str | None, model: str | None
) -> None:
    """Serve the previous good version of a model in an environment again.

    Good is one whose file is there, and is the one that was published; others are passed over. What was served is
    withdrawn: a later rollback does not come back to it. MODEL is a file, or 6 or more characters of its hash.
    """
    registry = place.registry_to_write
    state = read_state(registry)
    to = None if model is None else references.resolve_model(state, model).record.model_filename
    record = decisions.roll_back(registry, environment, _context(by, reason), to, name=name)
    withdrawn = record.withdrawn[0]
    output.pairs(
        [
            *_named(state.models[withdrawn].name),
            (f"{environment} serves", f"{record.model_filename}, rolled back to by {by}"),
            *(("withdrawn" if i else "it served", file) for i, file in enumerate(record.withdrawn)),
            ("to take back", _serve_again(state, withdrawn, environment)),
        ]
    )


def _serve_again(state: RegistryState, filename: str, environment: str) -> str:
    known = state.models[filename]
    if environments.get(environment).promotes_from in known.environments:
        return f"{environments.promotion_command(quote(filename), environment)} --reason ..."
    return f"train again: {environments.dag_id(environment, 'train_model', known.name)}"


@click.command("revoke", epilog=examples("revoke MODEL --reason 'trained on leaked data'"))
@click.argument("model")
@_deciding
@click.pass_obj
def revoke(place: Place, model: str, by: str, reason: str) -> None:
    """Take a model out of service for ever, in every environment.

    MODEL is its file, or 6 or more characters of its hash. Inference refuses it from then on, even when it is asked
    for by name. Nothing takes that back.
    """
    registry = place.registry_to_write
    before = read_state(registry)
    name = references.resolve_model(before, model).record.model_filename
    decisions.revoke(registry, name, _context(by, reason))
    after = RegistryState(journal.read(registry.training_journal))
    called = after.models[name].name
    rows = [*_named(called), ("revoked", f"{name}, by {by}, for ever")]
    for environment in (one for one, other in after.places if other == called):
        served, now = (
            record.model_filename if record else "nothing"
            for record in (before.served(environment, called), after.served(environment, called))
        )
        as_before = ", as before" if served == now else ""
        rows.append((environment, f"served it, and serves {now} now" if served == name else f"serves {now}{as_before}"))
    rows += [
        ("the same model", f"{twin} is not revoked: just registry revoke {quote(twin)} --reason ...")
        for twin in twins(after, name)
        if after.models[twin].revocation is None
    ]
    rows.append(("who used it", f"just registry impact {quote(name)}"))
    output.pairs(rows)
