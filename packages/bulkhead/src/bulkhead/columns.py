"""What the columns of a model's table are: the words of ``COLUMNS`` in ``project/<name>.py``.

============  ==================================================  ==============================
column        what a cell may be                                  what the model's code gets
============  ==================================================  ==============================
number        a finite number                                     float64, empty cells as NaN
category      any text, whole numbers too                         pandas' ``category`` of strings
boolean       true or false, yes or no, 1 or 0                    float64: 1, 0, empty cells NaN
date          ISO 8601, with or without a time; UTC               ``datetime64[us]``
text          anything: it is passed over                         nothing
identifier    anything: it says which row is which                nothing; it is in predictions
============  ==================================================  ==============================

Empty cells are refused unless ``missing=True``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["number", "category", "boolean", "date", "text", "identifier"]

EVERY_OTHER = "*"
"""In ``COLUMNS``: every column that is not named."""


def is_of_predictions(name: str) -> bool:
    """Whether a column of predictions is called ``name``, so that no identifier beside it can be."""
    return name == "prediction" or name.startswith("probability_")


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """What one column is."""

    kind: Kind
    missing: bool = False
    """Whether it may have empty cells."""

    @property
    def is_feature(self) -> bool:
        """Whether a model can predict from it."""
        return self.kind not in {"text", "identifier"}


def number(*, missing: bool = False) -> Column:
    """A number in each cell."""
    return Column(kind="number", missing=missing)


def category(*, missing: bool = False) -> Column:
    """One of some words in each cell."""
    return Column(kind="category", missing=missing)


def boolean(*, missing: bool = False) -> Column:
    """True or false in each cell."""
    return Column(kind="boolean", missing=missing)


def date(*, missing: bool = False) -> Column:
    """A day, or a moment, in each cell."""
    return Column(kind="date", missing=missing)


def text() -> Column:
    """Anything; the model does not look at it."""
    return Column(kind="text", missing=True)


def identifier() -> Column:
    """What says which row is which, like a customer's number; a table has one at most."""
    return Column(kind="identifier", missing=True)
