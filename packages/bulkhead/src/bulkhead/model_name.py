"""The names of models: each is a file of ``project/``, and has its own versions and its own served version."""

from __future__ import annotations

import re

from bulkhead.errors import Refused, short

DEFAULT_NAME = "model"
"""The one that comes with the project; records of before models had names are its."""
VARIABLE = "BULKHEAD_MODEL_NAME"
"""What tells a step which model it works for."""
WORDS = "small letters, digits and '_', a letter first, at most 40"

MOST_VERSIONS = 10**9
"""A number above this is none that a model version has."""

PATTERN = r"[a-z][a-z0-9_]{0,39}"
_NAME = re.compile(PATTERN)
_RESERVED = frozenset({"parameters", "tests", "dags"})


def is_valid(name: str) -> bool:
    """Whether a model can be called ``name``."""
    return bool(_NAME.fullmatch(name)) and name not in _RESERVED and not name.endswith("_parameters")


def checked(name: str) -> str:
    """``name``, if a model can be called so.

    Raises:
        Refused: it cannot.
    """
    if not is_valid(name):
        raise Refused(f"{short(name)} is no name of a model. Use {WORDS}; not {', '.join(sorted(_RESERVED))}.")
    return name


def is_number(version: int) -> bool:
    """Whether a model version can have this number: not so of some that a hand has written."""
    return 0 < version <= MOST_VERSIONS


def short_name(name: str, number: int) -> str:
    """What people call the ``number``-th version of the model ``name``: ``churn #12``."""
    return f"{name} #{number}"


def named(text: str, name: str) -> str:
    """``text`` of the model ``name``: the one that comes with the project is not named."""
    return text if name == DEFAULT_NAME else f"{text} of {name}"
