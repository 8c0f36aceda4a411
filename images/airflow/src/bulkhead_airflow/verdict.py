"""Why a step ended as it did, from what the engine and the result file say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead.errors import EXIT_KILLED, EXIT_REFUSED, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.result import Result
    from bulkhead_airflow.settings import Settings

_SIGKILLED = 137


class Failed(msgspec.Struct, frozen=True):
    """A failed attempt."""

    cause: str
    """As in the records: ``refused``, ``crashed``, ``out_of_memory``, ..."""
    detail: str
    """One line: what, where, what next."""
    retry: bool
    """Whether another attempt could end otherwise."""


def judge(
    state: dict[str, Any], result: Result | None, container: str, tail: Sequence[str], settings: Settings
) -> Failed | Result:
    """The result of a step that succeeded, or how it failed.

    Exit 0 alone is no success: the result file must be there, written by this very container.

    Args:
        state: ``State`` of ``docker inspect``, after the end.
        result: the step's result file.
        container: the full id of the container.
        tail: the last lines it printed.
        settings: its limits.
    """
    code = int(state["ExitCode"])
    said = f" It said: {tail[-1]}" if tail else ""
    if code == 0 and result is not None and result.container and container.startswith(result.container):
        return result
    if state.get("OOMKilled"):
        return Failed(
            "out_of_memory",
            f"memory ran out at the limit of {settings.memory} (exit code {code})."
            " Raise BULKHEAD_STEP_MEMORY in .env and run 'just up', or give less data.",
            retry=False,
        )
    if code == 0:
        return Failed(
            "no_result", f"exit code 0 and no result file of this attempt.{said} See the task log.", retry=True
        )
    if code == EXIT_REFUSED:
        refusals = (line.partition(": refused: ")[2] for line in reversed(tail))
        sentence = next(filter(None, refusals), f"exit code 1.{said} Run it by hand with 'just step'.")
        return Failed("refused", sentence, retry=False)
    if code == EXIT_USAGE:
        return Failed("wrong_usage", f"the command line is wrong.{said} Mend the DAG or its parameters.", retry=False)
    if code == _SIGKILLED:
        return Failed(
            "killed",
            f"SIGKILL (exit code 137): by hand, or probably for want of memory on the host.{said} Look there.",
            retry=True,
        )
    if code == EXIT_KILLED:
        return Failed("killed", f"SIGTERM (exit code 143): stopped before the end.{said} Run it again.", retry=True)
    return Failed("crashed", f"exit code {code}.{said} The traceback is in the task log.", retry=True)
