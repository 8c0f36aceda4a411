"""How a command line runs, and how it ends: one exit code for each kind of end."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click

from bulkhead.errors import (
    EXIT_CRASHED,
    EXIT_INTERRUPTED,
    EXIT_REFUSED,
    EXIT_UNREAD,
    BulkheadError,
    one_line,
    refusal_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(group: click.Group, argv: Sequence[str] | None) -> int:
    """Run ``group`` on ``argv`` (the process's own where None); a command returns its exit code.

    Returns:
        The exit code; EXIT_REFUSED for a refusal, told in one line on stderr; 2 for a wrong command line, which
        is explained there; EXIT_INTERRUPTED for Ctrl-C; EXIT_UNREAD when nobody reads stdout any more;
        EXIT_CRASHED for a bug outside of a step, with its traceback.
    """
    try:
        return int(group.main(args=argv, prog_name=group.name, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    except SystemExit:  # click's own answer to a broken pipe, with stdout made safe for Python's last flush
        return EXIT_UNREAD
    except Exception as error:  # noqa: BLE001  # a bug before the step began: Python's own exit code, 1, would read as a refusal
        refusal = refusal_of(error, str(error.filename)) if isinstance(error, OSError) else error
        if isinstance(refusal, BulkheadError):
            sys.stderr.write(f"{group.name}: {one_line(str(refusal))}\n")
            return EXIT_REFUSED
        traceback.print_exc()
        return EXIT_CRASHED


def end(code: int) -> NoReturn:
    """End this process at once, with what was registered for its exit, and without taking the interpreter apart.

    A step has written all that it will by then, and its container goes with it: to free one by one what pandas and
    scikit-learn have made takes a quarter of a second, a fifth of a small step.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  # what Python calls itself; for those who started processes of their own
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(code)
