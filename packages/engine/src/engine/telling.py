"""What a step prints, as its task's log takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from engine.caller import Log

_REFUSED = ": refused: "


def say(log: Log, line: str, is_error: bool) -> None:  # noqa: FBT001  # the follower's callback
    """Hand ``line`` on: what is on stderr as a warning, and why the step refuses its work as an error."""
    how: Callable[..., Any] = log.info
    if is_error:
        how = log.error if _REFUSED in line[:300] else log.warning
    how("%s", line)


def was_said(sentence: str, tail: Sequence[str] | None) -> bool:
    """Whether the step has told ``sentence`` itself, at its end: then the log has it, and once is enough."""
    return tail is not None and list(tail[-1:]) == [sentence]
