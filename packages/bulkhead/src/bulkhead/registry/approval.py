"""A person's word before a promotion, as whoever asks for it and the registrar both understand it.

Both make the question of the registry's own words. So what was approved is what is recorded: that model, there, in
place of the one that was shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bulkhead.errors import Refused

if TYPE_CHECKING:
    from bulkhead.registry.records import ModelRecord

FOUR_EYES = "BULKHEAD_FOUR_EYES"
_ON, _OFF = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST = 120
_ASKED = re.compile(r"Promote (?:[A-Za-z0-9_.?-]+ #[0-9]+ \()?([A-Za-z0-9_.-]+)\)? to ")


def asked(candidate: ModelRecord, environment: str, served: ModelRecord | None) -> str:
    """The question, in which both models stand by their files, and by their short names as far as their records say.

    Args:
        candidate: the model that is to be promoted.
        environment: where.
        served: what it replaces there; None: nothing.
    """
    return _question(_called(candidate), name(environment), _called(served) if served else None)


def question(model: object, environment: object, served: object) -> str:
    """The question by the files alone, as it was asked before models had short names; it still counts.

    Args:
        model: the model file.
        environment: where it is promoted to.
        served: the model file that it replaces there; None: there is none.
    """
    return _question(name(model), name(environment), name(served) if served else None)


def model_in(text: str) -> str | None:
    """The model file that a question is about; None: it is no question of ours."""
    found = _ASKED.match(text)
    return found[1] if found else None


def _question(model: str, environment: str, served: str | None) -> str:
    instead = f"in place of {served}" if served else "where nothing is served"
    return f"Promote {model} to {environment}, {instead}?"


def _called(model: ModelRecord) -> str:
    file = name(model.model_filename)
    return f"{name(model.name)} #{model.version} ({file})" if model.short_name else file


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
