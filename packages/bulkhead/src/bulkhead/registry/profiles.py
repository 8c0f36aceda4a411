"""What training's table and predictions looked like, how good the model was, and how far an input drifts.

Plain, bounded values, as records keep them: what fills them is in ``packages/modeling``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

LARGEST = 64 << 10
"""Bytes of JSON that a profile may take in a record, and an evaluation."""
MOST_EDGES = 9
MOST_CATEGORIES = 30
MOST_POINTS = 500
MOST_CURVE_POINTS = 100
MOST_CURVES = 10
MOST_DRIFTED_SHOWN = 20
"""Columns of which an inference's record has the shares."""
PREDICTION, PROBABILITY = "prediction", "probability"
"""What predictions, and the probability of a binary classifier's last class, are called beside columns."""


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the values of one column, or the predictions, were spread over bins."""

    kind: Literal["number", "category"]
    """Truth values are categories, dates are numbers of days since 1970."""
    rows: int
    """Of which the shares were counted: all, or a uniform sample."""
    shares: list[float]
    """Of the rows that were not empty, by bin: of a number one more than ``edges``, of a category one more than
    ``categories``, the last of all other words."""
    empty: float = 0.0
    """The share of empty cells, of all rows."""
    edges: list[float] | None = None
    """Of a number, the inner boundaries of its bins, ascending; a bin holds its upper boundary."""
    categories: list[str] | None = None
    """Of a category, its commonest words, the commonest first."""
    low: float | None = None
    """Of a number, the least of all rows; None: all were empty."""
    high: float | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was trained on, column by column, before the transformation; and what it predicted."""

    rows: int
    """Of training's table."""
    columns: dict[str, ColumnProfile]
    left_out: int = 0
    """Columns for which there was no room."""
    predictions: ColumnProfile | None = None
    """On the held-out rows; where none were held out, on those that trained."""
    probability: ColumnProfile | None = None
    """Of a binary classifier's last class, on the same rows."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What was true and what was predicted of the held-out rows, for plots; None where it does not apply."""

    rows: int
    """That were looked at: all that were held out, or a uniform sample."""
    scatter: dict[str, list[float]] | None = None
    """Of a regression: ``actual`` and ``predicted`` of some rows."""
    residuals: dict[str, list[float]] | None = None
    """Of a regression, actual less predicted: ``edges``, and ``counts`` between them."""
    roc: dict[str, dict[str, list[float]]] | None = None
    """By class, ``false_positive_rate`` and ``true_positive_rate``; of a binary classifier the last class alone."""
    calibration: dict[str, list[float]] | None = None
    """Of a binary classifier, by bin of the last class's probability: the mean ``predicted``, the share ``observed``,
    and how many ``rows``."""
    confusion: Confusion | None = None


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """How often which class was predicted for which: of many classes, the commonest."""

    classes: list[str]
    counts: list[list[int]]
    """Rows: what was true; columns: what was predicted."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How far an input, and the predictions for it, are from the profile of the model that predicted: PSI each."""

    rows: int
    """Of the input."""
    sampled: int
    """Of these, how many were counted: all, or a uniform sample."""
    columns: dict[str, float]
    """By feature; :mod:`bulkhead.registry.drift` has the formula."""
    predictions: float | None = None
    probability: float | None = None
    chance: float = 0.0
    """What tables of so many rows may reach by chance, in the column of the most bins."""
    shares: dict[str, list[float]] = {}
    """The input's shares in training's bins, the last one that of empty cells: of ``prediction``, of ``probability``,
    and of the columns that are furthest beyond chance, at most 20."""
    drifted: list[str] = []
    """Those beyond the limit and beyond chance, the furthest first; ``prediction`` and ``probability`` may be there."""
    limit: float | None = None
    """The gate's ``warn`` of that time; None: nobody has judged yet."""
