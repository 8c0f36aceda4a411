"""The options that steps share."""

from __future__ import annotations

import click

from bulkhead import environments, model_name
from bulkhead.errors import Refused
from bulkhead.paths import SAMPLE

environment_option = click.option(
    "--environment",
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
    help="A .csv or .parquet file in /inputs, by its name there; or 'sample', the built-in table.",
)
