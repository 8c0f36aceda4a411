"""When a column counts as drifted: beyond the gate's limit, and beyond what so few rows may reach by chance.

The measure is the population stability index of the shares ``a`` of an input and ``e`` of training, over the bins of
training's profile, with empty cells as one bin more::

    PSI = sum((a - e) * ln(a / e))

(N. Siddiqi, *Credit Risk Scorecards*, 2006; it is Jeffreys' divergence of 1946). Where both tables come of one
distribution, PSI is spread as ``(1/n + 1/m)`` times chi-squared with one degree of freedom less than there are bins,
``n`` and ``m`` being the rows of both (B. Yurdakul, *Statistical Properties of Population Stability Index*, 2018). So
the level that chance reaches once in ten thousand inferences follows from the rows alone.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import Drifted, short
from bulkhead.registry.profiles import PREDICTION, PROBABILITY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhead.registry.drift_gate import DriftGate
    from bulkhead.registry.profiles import ColumnProfile, Drift, Profile

_FALSE_ALARMS = 1e-4
"""Of inferences whose input is as training's, the share in which any column may be beyond chance."""
_MOST_SAID = 5


def compared(profile: Profile) -> dict[str, ColumnProfile]:
    """What of ``profile`` an input is compared with, by the name that a person gives it: predictions first."""
    beside = {PREDICTION: profile.predictions, PROBABILITY: profile.probability}
    named = {name: one for name, one in beside.items() if one is not None}
    return named | {name: one for name, one in profile.columns.items() if name not in named}


def chance(column: ColumnProfile, rows: int, comparisons: int) -> float:
    """What PSI of ``column`` may reach where ``rows`` rows are of training's distribution.

    Args:
        column: training's.
        rows: of the input, that were counted.
        comparisons: how many columns are looked at, any of which may raise a false alarm.
    """
    bins = sum(share > 0 for share in column.shares) + (column.empty > 0)
    quantile = _chi_squared(_FALSE_ALARMS / max(comparisons, 1), max(bins - 1, 1))
    return quantile * (1 / max(rows, 1) + 1 / max(column.rows, 1))


def _chi_squared(beyond: float, freedom: int) -> float:
    """The value beyond which chi-squared lies with the probability ``beyond``.

    Exact for one degree of freedom and for two; of more by Wilson and Hilferty (1931), up to a tenth too high, which
    errs towards silence.
    """
    if freedom == 1:
        return NormalDist().inv_cdf(1 - beyond / 2) ** 2
    if freedom == 2:  # noqa: PLR2004
        return -2 * math.log(beyond)
    spread = 2 / (9 * freedom)
    found: float = freedom * (1 - spread + NormalDist().inv_cdf(1 - beyond) * math.sqrt(spread)) ** 3
    return found


def judged(drift: Drift, profile: Profile, gate: DriftGate) -> Drift:
    """``drift`` with what is beyond the ``warn`` of ``gate``, and beyond chance.

    Args:
        drift: of an input, its figures.
        profile: of the model that predicted.
        gate: the limits of now.
    """
    found = sorted(_beyond(drift, profile, gate, gate.warn), key=lambda one: -one[1])
    levels = [level for _, _, level in _levels(drift, profile)]
    return msgspec.structs.replace(
        drift, drifted=[name for name, _ in found], limit=gate.warn, chance=_rounded(max(levels, default=0.0))
    )


def refuse(drift: Drift, profile: Profile, gate: DriftGate, where: str, shown: str) -> None:
    """Refuse what is beyond the ``refuse`` of ``gate``, and beyond chance.

    Args:
        drift: what is judged.
        profile: as in :func:`judged`.
        gate: as in :func:`judged`.
        where: the environment and the model, for the sentence.
        shown: what the file of the limits is called there.

    Raises:
        Drifted: with the columns and their figures.
    """
    if gate.refuse is None:
        return
    found = sorted(_beyond(drift, profile, gate, gate.refuse), key=lambda one: -one[1])
    if found:
        raise Drifted(
            f"the input is not as training's: PSI of {_listed(found)}, and drift.refuse for {where} in {shown} is"
            f" {gate.refuse:g}. Look at the table, train on newer data, or change it there.",
            {"drift": msgspec.to_builtins(drift)},
        )


def sentence(drift: Drift | None) -> str | None:
    """What has drifted, as a line for people; None: nothing has."""
    if drift is None or not drift.drifted:
        return None
    named = drift.columns | _beside(drift)
    limit = f" (limit {drift.limit:g})" if drift.limit is not None else ""
    return f"drift: {_listed([(name, named.get(name, 0.0)) for name in drift.drifted])}{limit}"


def _beyond(drift: Drift, profile: Profile, gate: DriftGate, limit: float) -> Iterator[tuple[str, float]]:
    excepted = set(gate.excepted)
    for name, found, level in _levels(drift, profile):
        if found > limit and found > level and name not in excepted:
            yield name, found


def _levels(drift: Drift, profile: Profile) -> Iterator[tuple[str, float, float]]:
    """What was compared: its name, its PSI, and what that may be by chance."""
    beside = _beside(drift)
    known = compared(profile)
    for name, column in known.items():
        found = beside.get(name, drift.columns.get(name))
        if found is not None:
            yield name, found, chance(column, drift.sampled, len(known))


def _beside(drift: Drift) -> dict[str, float]:
    named = {PREDICTION: drift.predictions, PROBABILITY: drift.probability}
    return {name: found for name, found in named.items() if found is not None}


def _listed(found: list[tuple[str, float]]) -> str:
    shown = ", ".join(f"{_named(name)} {psi:.2f}" for name, psi in found[:_MOST_SAID])
    return shown + (f" and {len(found) - _MOST_SAID} more" if len(found) > _MOST_SAID else "")


def _named(name: str) -> str:
    return name if name.isidentifier() and len(name) <= 60 else short(name)  # noqa: PLR2004  # as short() cuts it


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")
