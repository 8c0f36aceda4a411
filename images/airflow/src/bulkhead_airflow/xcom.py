"""What the next task reads of a step's result: bounded, because XCom takes whatever it is given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhead.registrar_protocol import Concluded

LIMIT = 48 << 10
"""Bytes of JSON. A result of 150 MiB ended the API server."""
LEFT_OUT = "left_out"
_MOST_NAMES, _LONGEST_NAME = 20, 80
_ROOM = 2 << 10
"""For their names."""


def facts_of(outcome: Concluded) -> dict[str, Any]:
    """What the step says of its work, and over it what was recorded."""
    said = (outcome.result or {}).get("facts")
    return {**(said if isinstance(said, dict) else {}), **outcome.facts}


def bounded(result: dict[str, Any]) -> dict[str, Any]:
    """``result``, without its largest values where it is larger than ``LIMIT``; ``left_out`` names some of them."""
    over = _size(result) - LIMIT
    if over <= 0:
        return dict(result)
    over += _ROOM
    parts = sorted(_parts(result), key=lambda part: part[-1])
    left_out: list[tuple[str, ...]] = []
    while over > 0 and parts:
        *place, size = parts.pop()
        left_out.append(tuple(place))
        over -= size
    gone = set(left_out)
    found = {
        key: {name: inner for name, inner in value.items() if (key, name) not in gone} if _is_open(value) else value
        for key, value in result.items()
        if (key,) not in gone
    }
    return {**found, LEFT_OUT: [".".join(place)[:_LONGEST_NAME] for place in left_out[:_MOST_NAMES]]}


def _parts(result: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """What could be left out, and how large it is: what objects hold one by one, and all else as a whole."""
    for key, value in result.items():
        if _is_open(value):
            for name, inner in value.items():
                yield key, name, _size({name: inner})
        else:
            yield key, _size({key: value})


def _is_open(value: Any) -> bool:
    return isinstance(value, dict)


def _size(value: Any) -> int:
    return len(json.dumps(value, default=str).encode())
