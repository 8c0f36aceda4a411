"""The options that steps share."""

from __future__ import annotations

import os
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from bulkhead import environments, model_name
from bulkhead.errors import Refused
from bulkhead.parameters import fields_of, from_word
from bulkhead.paths import SAMPLE
from bulkhead.project_models import parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bulkhead.parameters import Field

_PARAMETERS = "bulkhead.parameters"

environment_option = click.option(
    *environments.FLAGS,
    type=click.Choice(environments.NAMES),
    envvar="BULKHEAD_ENVIRONMENT",
    default=environments.FIRST,
    show_default=True,
    show_envvar=True,
    help="Where models are stored to and taken from; environments never mix.",
)


def _name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return model_name.checked(value)
    except Refused as error:
        raise click.BadParameter(str(error)) from None


name_option = click.option(
    "--name",
    envvar=model_name.VARIABLE,
    default=model_name.DEFAULT_NAME,
    show_default=True,
    show_envvar=True,
    callback=_name,
    help="Which model of project/ it is for; each has its own versions.",
)

source_option = click.option(
    "--source",
    default=SAMPLE,
    show_default=True,
    help="A .csv, .csv.gz or .parquet file in /inputs, by its name there; a folder or pattern (2026-*.csv) of several;"
    " or 'sample', the built-in table.",
)


def switch(flag: str, words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A flag that is on where it is given, or as ``flag=true`` and ``flag=false`` say: DAGs have no other way."""
    return click.option(flag, type=bool, is_flag=False, flag_value=True, default=False, help=words)


class WithParameters(click.Command):
    """A command that takes the parameters of the model which ``--name`` names, each as a flag."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's, once it is known which parameters there are."""
        try:
            ctx.meta[_PARAMETERS] = parameters_of(_named_in(args))
        except Refused:
            # The step itself refuses, and records it: what stands for the parameters is not looked at until then.
            ctx.ignore_unknown_options = ctx.allow_extra_args = True
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own, and the model's."""
        own = super().get_params(ctx)
        parameters = ctx.meta.get(_PARAMETERS)
        if parameters is None:
            return own
        return [*own[:-1], *(_option(field) for field in fields_of(parameters)), own[-1]]


def _named_in(args: Sequence[str]) -> str:
    """The model that a command line names, before it is read as a whole."""
    name = os.environ.get(model_name.VARIABLE) or model_name.DEFAULT_NAME
    for word, following in zip_longest(args, args[1:], fillvalue=""):
        if word == "--name":
            name = following
        elif word.startswith("--name="):
            name = word.partition("=")[2]
    return name


def _option(field: Field) -> click.Option:
    def checked(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
        if text is not None:
            try:
                from_word(field.name, field.type, text)
            except Refused as error:
                raise click.BadParameter(str(error)) from None
        return text

    words = field.schema.get("description") or field.schema.get("title") or "A parameter of the model."
    help_text = f"{words}  [default: {field.default}]"
    return click.Option([f"--{field.flag}", field.name], callback=checked, help=help_text)
