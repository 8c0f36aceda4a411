"""What the command lines of the step images share."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

import click

from bulkhead.errors import EXIT_CRASHED, EXIT_INTERRUPTED
from bulkhead.identity import ENVIRONMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def run(group: click.Group, argv: Sequence[str] | None) -> int:
    """Run ``group`` on ``argv`` (the process's own where None); a command returns its exit code.

    Returns:
        The exit code; 2 for a wrong command line, which is explained on stderr; EXIT_INTERRUPTED for
        Ctrl-C; EXIT_CRASHED for a bug outside of a step, with its traceback.
    """
    try:
        return int(group.main(args=argv, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    except Exception:  # noqa: BLE001  # a bug before the step began: Python's own exit code, 1, would read as a refusal
        traceback.print_exc()
        return EXIT_CRASHED
