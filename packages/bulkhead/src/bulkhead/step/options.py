"""The options that steps share."""

from __future__ import annotations

import click

from bulkhead import environments
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

source_option = click.option(
    "--source",
    default=SAMPLE,
    show_default=True,
    help="A .csv or .parquet file in /inputs, by its name there; or 'sample', the built-in table.",
)
