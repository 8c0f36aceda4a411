"""Why a step ended as it did, from what the engine and the result file say."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import protocol
from bulkhead.errors import EXIT_BUSY, EXIT_KILLED, EXIT_REFUSED, EXIT_UNKNOWN, EXIT_USAGE, one_line, wants_threads
from bulkhead.registry.proposals import FailureProposal
from bulkhead.registry.records import Evidence
from bulkhead.step.result import REBUILD_AIRFLOW, rebuild

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.step.result import StepResult
    from engine.settings import Settings

_SIGKILLED = 137
_ENDS = {
    EXIT_BUSY: ("busy", "an earlier container of this task still runs here", "It is tried again after its end.", True),
    EXIT_USAGE: ("wrong_usage", "the command line is wrong", "Fix the DAG or its parameters.", False),
    _SIGKILLED: (
        *("killed", "SIGKILL: by hand, or probably because the host ran out of memory", "Check the host's memory."),
        True,
    ),
    EXIT_KILLED: ("killed", "SIGTERM: stopped before the end", "It is run again.", True),
}
"""By exit code, the cause, why, what next, and whether another attempt could end otherwise."""
_REFUSALS = {"refused", "disk_full", "busy"}
"""Causes of which the step's own sentence says all there is to say."""
_SIGXFSZ = 153
_NO_ROOM = ("[Errno 28]", "[Errno 27]", "No space left on device", "File too large")
"""How Python and libraries say ENOSPC and EFBIG."""


class Failed(msgspec.Struct, frozen=True):
    """A failed attempt."""

    cause: str
    """As in the records: ``refused``, ``crashed``, ``out_of_memory``, ..."""
    detail: str
    """One line: what, where, what next."""
    retry: bool
    """Whether another attempt could end otherwise."""
    evidence: Evidence = Evidence()


def judge(
    state: dict[str, Any],
    result: StepResult | None,
    container: str,
    tail: Sequence[str],
    settings: Settings,
    peak_memory_bytes: int | None = None,
) -> Failed | StepResult:
    """The result of a step that succeeded, or how it failed.

    Exit 0 alone is no success: the result file must be there, written by this very container, and of the
    version that is read here.

    Args:
        state: ``State`` of ``docker inspect``, after the end.
        result: the step's result file.
        container: the full id of the container.
        tail: the last lines it printed on stderr.
        settings: its limits.
        peak_memory_bytes: the most memory that it was seen to use.
    """
    code = int(state["ExitCode"])
    own = result if result is not None and result.is_by(container) else None
    # Where nobody saw the exit code, the result file alone has to do: it is written last, and whole.
    if code in {0, EXIT_UNKNOWN} and own is not None and own.is_readable and not (code and own.is_failure):
        return own
    evidence = Evidence(
        exit_code=code,
        oom_killed=bool(state.get("OOMKilled")),
        memory_limit=settings.memory,
        peak_memory_bytes=peak_memory_bytes,
        duration_seconds=duration(state),
        last_lines=list(tail),
    )
    if code == 0 and own is not None:
        return Failed(*_other_protocol(own), evidence)
    said = own.proposal if own is not None and own.is_readable else None
    return Failed(*_explain(code, evidence, settings, said if isinstance(said, FailureProposal) else None), evidence)


def _other_protocol(found: StepResult) -> tuple[str, str, bool]:
    older = rebuild(found.identity.image) if found.protocol < protocol.PROTOCOL else REBUILD_AIRFLOW
    image = found.identity.image.partition("@")[0] if found.identity.image else "the image"
    detail = (
        f"{image} wrote a result of version {found.protocol}, and Airflow reads version {protocol.PROTOCOL}."
        f" Run {older}, then clear the task."
    )
    return "wrong_protocol", detail, False


def duration(state: dict[str, Any]) -> float | None:
    """Seconds from a container's start to its end."""
    started, finished = (moment(state.get(key, "")) for key in ("StartedAt", "FinishedAt"))
    return round((finished - started).total_seconds(), 3) if started and finished and finished > started else None


def _explain(code: int, evidence: Evidence, settings: Settings, own: FailureProposal | None) -> tuple[str, str, bool]:
    """Cause, sentence, and whether another attempt could end otherwise.

    Args:
        code: the exit code.
        evidence: what else is known.
        settings: the step's limits.
        own: what the step itself says, in its result file.
    """
    tail = evidence.last_lines or []
    told = one_line(own.detail) if own is not None else ""
    said = f" It said: {told or tail[-1]}" if told or tail else ""
    after = f"exit code {code}" + (f" after {evidence.duration_seconds:.1f} s" if evidence.duration_seconds else "")
    if evidence.oom_killed or (own is not None and own.cause == "out_of_memory"):
        next_step = f"{settings.raising('memory')}, or give less data."
        return "out_of_memory", f"memory ran out at the limit of {settings.memory} ({after}). {next_step}", False
    if code == 0:
        return "no_result", f"{after}, and no result file of this attempt.{said} See the task log.", True
    # The step's own sentence: from its result file, or as it printed it where that could not be written.
    refusal = told if own is not None and own.cause in _REFUSALS else ""
    refusal = refusal or next(filter(None, (line.partition(": refused: ")[2] for line in reversed(tail))), "")
    is_full = code == _SIGXFSZ or (own is not None and own.cause == "disk_full")
    if is_full or any(words in line for words in _NO_ROOM for line in (*tail, refusal)):
        next_step = f"{settings.raising('disk')}, free some space, or give less data."
        what = refusal or f"a file could not grow ({after}).{said}"
        return "disk_full", f"{what} The limit is {settings.disk} a step. {next_step}", False
    # Whatever the exit code: the container's init says 1 when it may not start the step.
    if not refusal and any(map(wants_threads, (*tail, told))):
        next_step = f"Raise BULKHEAD_STEP_PIDS ({settings.pids}) in .env and run 'just up'."
        return "crashed", f"no more processes or threads could be started ({after}).{said} {next_step}", False
    if code == EXIT_REFUSED:
        return "refused", refusal or f"{after}.{said} Run it by hand with 'just step'.", False
    # Whoever is told that the command line is wrong is told why; an engine that goes away in the start says 2, too.
    known = None if code == EXIT_USAGE and not tail else _ENDS.get(code)
    cause, why, next_step, retry = known or ("crashed", "", "The traceback is in the task log.", True)
    return cause, f"{why} ({after}).{said} {next_step}" if why else f"{after}.{said} {next_step}", retry


def moment(text: str) -> datetime | None:
    """The time that the engine wrote, in UTC; None for "never"."""
    # The engine writes nanoseconds, and the year 1 for never.
    whole = text.partition(".")[0].rstrip("Z")
    fraction = text.partition(".")[2].rstrip("Z")[:6]
    if not whole or whole.startswith("0001"):
        return None
    return datetime.fromisoformat(f"{whole}.{fraction.ljust(6, '0')}+00:00")
