"""How far an input, and what was predicted for it, are from the profile of the model that predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.special import rel_entr

from bulkhead.registry import drift
from bulkhead.registry.profiles import MOST_DRIFTED_SHOWN, PREDICTION, PROBABILITY, Drift
from modeling.held_out import Draw
from modeling.profiling import counts_of
from modeling.sampling import MOST_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bulkhead.prediction.predicting import Predictions
    from bulkhead.registry.profiles import ColumnProfile, Profile


class Comparison:
    """Counts an input and its predictions into the bins of ``profile``.

    Args:
        profile: of the model that predicts.
        sample: of the input: a uniform sample of its rows, or all, float64 or words
            (:class:`modeling.sampling.Sampler`).
        rows: of the input; of their predictions as many are counted as of a table's rows, by a draw of their own.
    """

    def __init__(self, profile: Profile, sample: Iterable[pa.RecordBatch], rows: int) -> None:
        self._profile = profile
        self._columns = {name: _Counted(column) for name, column in profile.columns.items()}
        self._rows, self._sampled = rows, 0
        self._draw = Draw(rows, min(rows, MOST_ROWS), [0])
        for batch in sample:
            self._sampled += batch.num_rows
            for name, counted in self._columns.items():
                counted.add(batch.column(name))
        self._predictions = _Counted(profile.predictions) if profile.predictions else None
        self._probability = _Counted(profile.probability) if profile.probability else None

    def add(self, found: Predictions) -> None:
        """What was predicted for the next rows."""
        mask = self._draw.next(len(found.values))
        if self._predictions is not None:
            self._predictions.add(pa.array(found.values[mask]))
        if self._probability is not None and found.probabilities is not None:
            self._probability.add(pa.array(found.probabilities[mask, -1]))

    def drift(self) -> Drift:
        """How far all of it is from the profile; nobody has judged it yet."""
        found = {name: counted.psi for name, counted in self._columns.items()}
        beside = {PREDICTION: self._predictions, PROBABILITY: self._probability}
        # Of a column that has not moved the shares are training's, and a journal of a million lines has no room for it.
        comparisons = len(drift.compared(self._profile))
        moved = [
            name
            for name, column in self._profile.columns.items()
            if found[name] > drift.chance(column, self._sampled, comparisons)
        ]
        furthest = sorted(moved, key=lambda name: -found[name])[:MOST_DRIFTED_SHOWN]
        shown = {name: self._columns[name].shares for name in furthest}
        shown |= {name: counted.shares for name, counted in beside.items() if counted is not None}
        return Drift(
            rows=self._rows,
            sampled=self._sampled,
            columns=found,
            predictions=self._predictions.psi if self._predictions else None,
            probability=self._probability.psi if self._probability else None,
            shares=shown,
        )


class _Counted:
    def __init__(self, profile: ColumnProfile) -> None:
        self._profile = profile
        self._counts = np.zeros(len(profile.shares) + 1, dtype=np.int64)

    def add(self, column: pa.Array) -> None:
        self._counts += counts_of(self._profile, column)

    @property
    def shares(self) -> list[float]:
        return [_rounded(one) for one in (self._counts / max(int(self._counts.sum()), 1)).tolist()]

    @property
    def psi(self) -> float:
        return _rounded(psi(self._counts, self._profile))


def psi(counts: np.ndarray, profile: ColumnProfile) -> float:
    """The population stability index of ``counts`` against ``profile``: the sum of ``(a - e) * ln(a / e)``.

    ``a`` and ``e`` are the shares of the input's rows and of training's in each bin, empty cells being one
    (:mod:`bulkhead.registry.drift`, with the sources). A bin that one of them has no row in, and the other has, counts
    as if it had half a row there, for the logarithm of nothing is infinite.

    Args:
        counts: of the input, by bin, the empty cells last.
        profile: training's.
    """
    rows = int(counts.sum())
    if not rows or not profile.rows:
        return 0.0
    actual = counts / rows
    expected = np.append(np.array(profile.shares) * (1 - profile.empty), profile.empty)
    floored = np.where((actual == 0) & (expected > 0), 0.5 / rows, actual)
    reference = np.where((expected == 0) & (actual > 0), 0.5 / profile.rows, expected)
    # rel_entr(a, e) is a * ln(a / e), and nothing where both are.
    return float((rel_entr(floored, reference) + rel_entr(reference, floored)).sum())


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")
