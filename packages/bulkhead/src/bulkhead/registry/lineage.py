"""What a model's record says of how it came to be: from what, by whom, at what cost, and how good it is."""

from __future__ import annotations

from typing import Any

import msgspec

from bulkhead.identity import Identity
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.registry.profiles import Evaluation, Profile  # msgspec reads the annotations

MOST_INLINE = 1000
"""A longer list of coefficients or predictions stays out of a record; the model, or the predictions file, has all."""


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The input a user gave: ``path`` relative to the project, ``source`` as it was asked for."""

    path: str
    sha256: str
    rows: int
    source: str


class TrainedOn(msgspec.Struct, frozen=True, kw_only=True):
    """The transformed table that the trainer read, and how many of its rows the fit saw."""

    sha256: str
    rows: int


class Lineage(Identity, frozen=True, kw_only=True):
    """Who made a model, from what, at what cost, and how good it is."""

    model_name: str | None = None
    """Of which model it is a version; None in a record of before models had names: of ``model``."""
    features: list[str] | None = None
    """Source columns the model needs, in training's order."""
    dtypes: dict[str, str] | None = None
    """The type each feature had in training's source: ``int64`` or ``double`` for numbers, else the kind of column."""
    missing: list[str] | None = None
    """Features that may have empty cells."""
    categories: dict[str, int] | None = None
    """By feature that is a category, how many there were."""
    identifier: str | None = None
    """The column that says which row is which: carried into the predictions, and no feature."""
    problem: str | None = None
    """``regression``, ``binary`` or ``multiclass``; None: regression, in an older record."""
    classes: list[str] | None = None
    """Of a classifier, in the order of its probabilities; of a binary one the last is the one that metrics are of."""
    target: str | None = None
    left_out: list[str] | None = None
    """Columns of training's source that are neither feature nor target."""
    transformation: str | None = None
    """Fingerprint of the code that transforms features: of the model's file in ``project/``, and of what it shares."""
    data: Data | None = None
    input_example: dict[str, Any] | None = None
    """The first row of the features, before the transformation: what a smoke prediction takes."""
    trained_on: TrainedOn | None = None
    libraries: dict[str, str] | None = None
    parameters: dict[str, Any] | None = None
    """The seed among them."""
    metrics: dict[str, Any] | None = None
    goals: dict[str, str] | None = None
    """By metric, ``maximize`` or ``minimize``; the first one leads. None: those of an older record."""
    gate: dict[str, Any] | None = None
    """What the model had to pass before it was published, and how it did."""
    intercept: float | None = None
    coefficients: dict[str, float] | None = None
    """By transformed feature; inline up to :data:`MOST_INLINE` of them."""
    importances: dict[str, float] | None = None
    """By feature, how much the leading metric loses where its values are shuffled; as the coefficients."""
    plots: dict[str, Any] | None = None
    """What the model's ``plots`` gave: numbers, by the name of the plot."""
    profile: Profile | None = None
    """What its columns and predictions looked like, which those of an inference are compared with. None: the record is
    older."""
    evaluation: Evaluation | None = None
    """What was true and predicted of the held-out rows; None: there were none, or the record is older."""
    duration_seconds: float | None = None
    """From the step's start to its proposal."""
    peak_memory_bytes: int | None = None
    """The most that the step's process held in memory until then."""

    @property
    def name(self) -> str:
        """Of which model it is a version."""
        return self.model_name or DEFAULT_NAME
