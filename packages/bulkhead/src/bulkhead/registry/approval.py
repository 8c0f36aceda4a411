"""A person's word before a promotion, as whoever asks for it and the registrar both understand it.

Both make the question of the registry's own words. So what was approved is what is recorded: that model, there, in
place of the one that was shown.
"""

from __future__ import annotations

import re

from bulkhead.errors import Refused

FOUR_EYES = "BULKHEAD_FOUR_EYES"
_ON, _OFF = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST = 120


def question(model: object, environment: object, served: object) -> str:
    """The question.

    Args:
        model: the model file.
        environment: where it is promoted to.
        served: the model file that it replaces there; None: there is none.
    """
    instead = f"in place of {name(served)}" if served else "where nothing is served"
    return f"Promote {name(model)} to {name(environment)}, {instead}?"


def name(value: object) -> str:
    """``value`` where a name belongs, and no Markdown is read: other characters than a name's become ``?``."""
    return _NO_NAME.sub("?", str(value)[:_LONGEST])


def four_eyes(text: str | None) -> bool:
    """Whether who asks for a promotion may not approve it, as ``BULKHEAD_FOUR_EYES`` says.

    Raises:
        Refused: it says neither; a rule that is not understood must not count as off.
    """
    word = (text or "").strip().lower()
    if word not in _ON | _OFF:
        raise Refused(f"{FOUR_EYES} is {word!r}, which is neither 1 nor 0. Fix .env, then run 'just up'.")
    return word in _ON
