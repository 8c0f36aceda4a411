"""How the values of columns and predictions are distributed: of training, and of an inference beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from bulkhead import formatting
from bulkhead.registry.profiles import PREDICTION, PROBABILITY
from models_page.plots import figure
from models_page.plots.figure import Axis, Figure, Groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhead.registry.lineage import Lineage
    from bulkhead.registry.profiles import ColumnProfile
    from bulkhead.registry.records import InferenceRecord

_COLUMNS = 24
"""Pictures of columns on one page; those that drifted most are first."""
_OTHERS, _EMPTY = "all others", "empty"
_REST = {_OTHERS, _EMPTY}


def of_training(record: Lineage) -> list[Figure]:
    """What training has predicted, and what it has seen of each column."""
    profile = record.profile
    if profile is None:
        return []
    found: list[tuple[str, ColumnProfile | None]] = [
        ("Predictions", profile.predictions),
        ("Predicted probability", profile.probability),
        *[*profile.columns.items()][:_COLUMNS],
    ]
    dtypes = record.dtypes or {}
    drawn = [
        _figure(title, known, is_date=dtypes.get(title) == "date" and title in profile.columns)
        for title, known in found
        if known is not None
    ]
    return [one for one in drawn if one is not None]


def beside_training(model: Lineage | None, record: InferenceRecord) -> list[Figure]:
    """What an inference has read and predicted, beside training: predictions first, then what drifted most."""
    profile = model.profile if model is not None else None
    if model is None or profile is None or record.drift is None:
        return []
    dates = {name for name, dtype in (model.dtypes or {}).items() if dtype == "date"}
    own = {
        PREDICTION: ("Predictions", profile.predictions),
        PROBABILITY: ("Predicted probability", profile.probability),
    }
    drawn = []
    for name, seen in [*record.drift.shares.items()][:_COLUMNS]:
        title, known = own.get(name, (name, profile.columns.get(name)))
        if known is not None:
            drawn.append(_figure(title, known, seen, is_date=name in dates))
    return [one for one in drawn if one is not None]


def _figure(title: str, known: ColumnProfile, seen: object = None, *, is_date: bool = False) -> Figure | None:
    """Of ``known``, and of the shares that were ``seen`` in the same bins, where there are some."""
    shown_as = _day if is_date else formatting.metric
    names = [*_bins(known, shown_as), _EMPTY]
    shares = [share * (1 - known.empty) for share in known.shares]
    values = [figure.numbers(column) for column in ([*shares, known.empty], *([] if seen is None else [seen]))]
    found = [column for column in values if column is not None and len(column) == len(names)]
    if len(found) < len(values) or len(names) > figure.MOST_NAMES + len(_REST):
        return None
    # Nobody needs to be told that nothing is empty, and that there are no others.
    kept = [at for at, name in enumerate(names) if name not in _REST or any(column[at] for column in found)]
    names, found = [names[at] for at in kept], [[column[at] for at in kept] for column in found]
    series = ["training", "this inference"][: len(found)]
    shown = figure.name(title)
    range_ = (
        f", from {shown_as(float(known.low))} to {shown_as(float(known.high))} in training"
        if known.low is not None and known.high is not None
        else ""
    )
    return Figure(
        title=shown,
        summary=f"Share of rows by value of {shown}: {' and '.join(series)}{range_}",
        across=Axis("share of rows"),
        series=series if len(series) > 1 else [],
        marks=[Groups(names, found)],
        header=["value", *series],
        rows=[[name, *(f"{column[at]:.2%}" for column in found)] for at, name in enumerate(names)],
    )


def _day(days: float) -> str:
    """A date, which a profile has as days since 1970."""
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days):%Y-%m-%d}"
    except (OverflowError, ValueError):
        return formatting.metric(days)


def _bins(known: ColumnProfile, shown_as: Callable[[float], str]) -> list[str]:
    """What each share is of."""
    if known.categories is not None:
        return [*(figure.name(one) for one in known.categories), _OTHERS]
    shown = [shown_as(float(edge)) for edge in known.edges or []]
    if not shown:
        return ["all"]
    between = [f"{low} to {high}" for low, high in pairwise(shown)]
    return [f"up to {shown[0]}", *between, f"above {shown[-1]}"]
