"""The options that steps share."""

from __future__ import annotations

import click

from bulkhead.identity import ENVIRONMENTS

environment_option = click.option(
    "--environment",
    type=click.Choice(ENVIRONMENTS),
    envvar="BULKHEAD_ENVIRONMENT",
    default="dev",
    show_default=True,
    show_envvar=True,
    help="Where models are stored to and taken from; the two never mix.",
)

source_option = click.option(
    "--source",
    default="sample",
    show_default=True,
    help="A .csv or .parquet file in /inputs, by its name there; or 'sample', the built-in table.",
)
