"""Which versions a list shows, and in which order: the same for the page and for the API."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from bulkhead.errors import Refused, listed, short
from bulkhead.registry.serving import ServingState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bulkhead.index.state_reader import LoadedState, ModelSummary
    from bulkhead.registry.serving import ModelVersion

FileState = Literal["removed", "quarantined", "missing", "unverifiable"]
STATES: tuple[str, ...] = (*get_args(ServingState), *get_args(FileState))
SORTS = ("time", "name", "rows", "inferences")
"""Besides the name of any metric; with ``-`` before it, from the greatest down."""

_CONDITION = re.compile(r"\s*(?P<name>[^<>=\s]+)\s*(?P<sign>>=|<=|>|<|=)\s*(?P<number>[-+]?[\d.][\d.eE+-]*)\s*")
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}


class ModelSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions; None: any."""

    search: str | None = None
    """In the short name, file, hash, data source, notes, tags."""
    environment: str | None = None
    name: str | None = None
    state: str | None = None
    data: str | None = None
    """The beginning of a SHA-256 of the training data, or a part of its source's name."""
    metric: str | None = None
    """``roc_auc>=0.8``, several with commas."""
    note: str | None = None
    """A part of a note."""
    tag: str | None = None
    """``key`` or ``key=value``."""
    sort: str = "-time"


class Condition(msgspec.Struct, frozen=True):
    """What is asked of one metric."""

    name: str
    sign: str
    number: float

    def holds(self, summary: ModelSummary) -> bool:
        """Whether ``summary`` was measured so."""
        found = summary.metrics.get(self.name)
        return found is not None and _SIGNS[self.sign](found, self.number)


def conditions(text: str | None) -> list[Condition]:
    """What ``text`` asks of metrics.

    Raises:
        Refused: it is no such text.
    """
    found = []
    for part in (text or "").split(","):
        if not part.strip():
            continue
        match = _CONDITION.fullmatch(part)
        try:
            number = float(match["number"]) if match else None
        except ValueError:
            number = None
        if match is None or number is None:
            raise Refused(
                f"{short(part.strip())} asks nothing of a metric. Write it like roc_auc>=0.8; join several by commas."
            )
        found.append(Condition(match["name"], match["sign"], number))
    return found


def chosen(
    state: LoadedState,
    wanted: ModelSelection,
    states_of: Callable[[Sequence[ModelSummary]], list[list[str]]],
    uses: Mapping[tuple[str, str], int],
) -> list[ModelSummary]:
    """The versions of ``state`` that are ``wanted``, in the order that is wanted.

    Args:
        state: of the registry.
        wanted: which.
        states_of: the states of versions, in words.
        uses: by file and environment, how many inferences used it.

    Raises:
        Refused: a metric's condition or the order is none; an order by a metric that no version has, too.
    """
    asked = conditions(wanted.metric)
    if wanted.state is not None and wanted.state not in STATES:
        raise Refused(f"{short(wanted.state)} is no state. Ask for one of {', '.join(STATES)}.")
    found = [
        one
        for one in state.summaries
        if wanted.environment in (None, one.environment)
        and wanted.name in (None, one.name)
        and all(condition.holds(one) for condition in asked)
        and _is_of_data(one, wanted.data)
        and _is_told(state.models[one.model_filename], one, wanted)
    ]
    if wanted.state in get_args(ServingState):  # which no file has to be looked at for
        found = [one for one in found if state.state_of(one) == wanted.state]
    elif wanted.state is not None:
        found = [one for one, words in zip(found, states_of(found), strict=True) if wanted.state in words]
    return _ordered(found, wanted.sort, uses)


def _is_of_data(one: ModelSummary, data: str | None) -> bool:
    if data is None:
        return True
    return one.data is not None and (one.data.sha256.startswith(data) or data.lower() in one.data.source.lower())


def _is_told(known: ModelVersion, one: ModelSummary, wanted: ModelSelection) -> bool:
    """Whether what people say of it, and what it is called, is what was asked for."""
    if wanted.note is not None and not any(wanted.note.lower() in note.text.lower() for note in known.notes):
        return False
    if wanted.tag is not None and not _has_tag(known, wanted.tag):
        return False
    return wanted.search is None or any(wanted.search.lower() in text.lower() for text in _texts(known, one))


def _has_tag(known: ModelVersion, asked: str) -> bool:
    key, has_value, value = asked.partition("=")
    tag = known.tags.get(key)
    return tag is not None and (not has_value or tag.value == value)


def _texts(known: ModelVersion, one: ModelSummary) -> Iterable[str]:
    yield known.short_name
    yield known.short_name.replace(" ", "")
    yield one.model_filename
    yield one.model_hash
    if one.data is not None:
        yield one.data.source
    yield from (note.text for note in known.notes)
    yield from (f"{key}={tag.value}" for key, tag in known.tags.items())


def _ordered(found: list[ModelSummary], sort: str, uses: Mapping[tuple[str, str], int]) -> list[ModelSummary]:
    key, is_down = sort.removeprefix("-"), sort.startswith("-")
    match key:
        case "time":
            return found[::-1] if is_down else found
        case "name":
            return sorted(found, key=lambda one: (one.name, one.version or 0, one.number), reverse=is_down)
        case "rows":
            return _by(found, lambda one: one.data.rows if one.data else None, is_down=is_down)
        case "inferences":
            return _by(found, lambda one: uses.get((one.model_filename, one.environment), 0), is_down=is_down)
    if found and not any(key in one.metrics for one in found):
        known = dict.fromkeys(name for one in found for name in one.metrics)
        raise Refused(f"no version here has a metric {short(key)} to sort by. Sort by {listed([*SORTS, *known])}.")
    return _by(found, lambda one: one.metrics.get(key), is_down=is_down)


def _by(
    found: list[ModelSummary], value: Callable[[ModelSummary], float | None], *, is_down: bool
) -> list[ModelSummary]:
    """Those without a value last, whichever way."""
    known = [one for one in found if value(one) is not None]
    known.sort(key=lambda one: (value(one) or 0, one.number), reverse=is_down)
    return known + [one for one in reversed(found) if value(one) is None]
