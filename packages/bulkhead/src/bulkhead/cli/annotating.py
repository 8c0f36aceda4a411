"""What ``registry`` writes down about single models: notes and tags."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from bulkhead.cli import output
from bulkhead.cli.group import by_option, examples
from bulkhead.cli.listing import read_state
from bulkhead.identity import Identity
from bulkhead.queries import references
from bulkhead.registry import annotating

if TYPE_CHECKING:
    from bulkhead.cli.group import Place


def identity() -> Identity:
    """Of what this command is a part, as far as it was told."""
    image, commit = (os.environ.get(f"BULKHEAD_{name}") or None for name in ("IMAGE", "GIT_COMMIT"))
    return Identity(image=image, git_commit=commit)


@click.command(
    "note",
    epilog=examples("note 'churn #12' 'trained before the prices changed'", "note MODEL 'see the review of May'"),
)
@click.argument("model")
@click.argument("text")
@by_option
@click.pass_obj
def note(place: Place, model: str, text: str, by: str) -> None:
    """Write a note about a model; 'show' tells it.

    MODEL is its short name, 6 or more characters of its hash, or its file. A note stays: nothing of the registry is
    ever rewritten.
    """
    registry = place.registry_to_write
    known = references.resolve_model(read_state(registry), model)
    made = annotating.note(registry, known.record.model_filename, by, text, identity())
    output.pairs([("model", known.called), (f"noted by {made.by}", made.text.replace("\n", " "))])


@click.command(
    "tag",
    epilog=examples("tag 'churn #12' reviewed=yes", "tag MODEL owner=ada", "tag MODEL owner --remove"),
)
@click.argument("model")
@click.argument("tag", metavar="KEY=VALUE|KEY")
@click.option("--remove", is_flag=True, help="Take the tag KEY away.")
@by_option
@click.pass_obj
def tag_model(place: Place, model: str, tag: str, by: str, *, remove: bool) -> None:
    """Give a model a tag, or take one away; 'list --tag' finds it.

    MODEL is its short name, 6 or more characters of its hash, or its file. Of a key a model has one value, the newest;
    those before it stay in the history that 'show' tells.
    """
    key, is_set, value = tag.partition("=")
    if is_set and remove:
        raise click.UsageError(f"{key}=... and --remove say two things. Give {key} alone to remove it.")
    if not is_set and not remove:
        raise click.UsageError(f"give a value: {key}=VALUE; or --remove.")
    registry = place.registry_to_write
    known = references.resolve_model(read_state(registry), model)
    name = known.record.model_filename
    annotating.tag(registry, name, by, key, None if remove else value, identity())
    tags = references.resolve_model(read_state(registry), name).tags
    told = ", ".join(f"{key}={one.value}" for key, one in tags.items()) or "none"
    output.pairs([("model", known.called), ("tags", told)])
