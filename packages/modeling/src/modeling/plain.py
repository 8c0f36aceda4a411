"""What a model's own code returns, as JSON has it."""

from __future__ import annotations

import math
from typing import Any

from bulkhead.errors import Refused, short
from bulkhead.registry.lineage import MOST_INLINE

_DEEPEST = 20


def numbers_by_name(given: Any, called: str) -> dict[str, float]:
    """What a model's code has ``given``: a number by name.

    Raises:
        Refused: it is something else, or too much; ``called`` is what gave it.
    """
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise Refused(f"{called} returned {short(repr(given))}. Return a dict of a number for each column.")
    if len(given) > MOST_INLINE:
        raise Refused(f"{called} has {len(given)} numbers, and {MOST_INLINE} are kept. Return fewer.")
    found = {plain(name, called): plain(value, f"{called}: {name}") for name, value in given.items()}
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in found.values()):
        raise Refused(f"{called} has something else than a number in it. Return a number for each column.")
    return {name: float(value) for name, value in found.items()}


def plain(value: Any, called: str, depth: int = 0) -> Any:
    """``value`` as JSON has it: numbers, text, and lists and dicts of them.

    Raises:
        Refused: it is something else; ``called`` is what gave it.
    """
    if depth > _DEEPEST:
        raise Refused(f"{called} has lists or dicts more than {_DEEPEST} deep. Return flatter ones.")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {plain(str(key), called): plain(one, called, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, called, depth + 1) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(f"{called} has {value} in it, which is not finite. Leave it out.")
    if isinstance(value, int) and abs(value) >= 1 << 63:
        raise Refused(f"{called} has a whole number of {len(str(abs(value)))} digits in it. Return it as a float.")
    if isinstance(value, str) and not value.isascii():
        value = value.encode(errors="replace").decode()  # half a character is none that a record can hold
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise Refused(f"{called} has {short(repr(value))} in it. Return numbers, and lists and dicts of them.")
