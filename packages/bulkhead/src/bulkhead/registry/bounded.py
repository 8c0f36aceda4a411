"""What a step says of profiles, evaluations and drift, as far as a record can hold it: of the right lengths, finite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead.errors import Refused, short
from bulkhead.registry import profiles
from bulkhead.registry.profiles import PREDICTION, PROBABILITY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bulkhead.registry.profiles import ColumnProfile, Drift, Evaluation, Profile

_SUM = 1.001
"""Shares are rounded."""
_MOST_ROWS = 1 << 53


def profile(given: Profile) -> None:
    """Refuse ``given`` where it is no profile.

    Raises:
        Refused: why not.
    """
    _fits("the profile", given)
    _counts("the profile's rows", [given.rows, given.left_out])
    for column in (*given.columns.values(), given.predictions, given.probability):
        if column is not None:
            _column(column)


def evaluation(given: Evaluation) -> None:
    """Refuse ``given`` where it is no evaluation.

    Raises:
        Refused: why not.
    """
    _fits("the evaluation", given)
    _counts("the evaluation's rows", [given.rows])
    _alike("the scatter", given.scatter, profiles.MOST_POINTS, "actual", "predicted")
    _alike("the calibration", given.calibration, profiles.MOST_POINTS, "predicted", "observed", "rows")
    residuals = given.residuals
    if residuals is not None:
        if residuals.keys() != {"edges", "counts"} or len(residuals["edges"]) != len(residuals["counts"]) + 1:
            raise unbelievable("the residuals", list(residuals), "edges, and one less counts")
        _finite("the residuals", [*residuals["edges"], *residuals["counts"]])
    roc = given.roc or {}
    if len(roc) > profiles.MOST_CURVES:
        raise unbelievable("the ROC", f"of {len(roc)} classes", f"of at most {profiles.MOST_CURVES}")
    for curve in roc.values():
        _alike("the ROC", curve, profiles.MOST_CURVE_POINTS, "false_positive_rate", "true_positive_rate")
    if given.confusion is not None:
        size = len(given.confusion.classes)
        if size > profiles.MOST_CATEGORIES or [len(row) for row in given.confusion.counts] != [size] * size:
            raise unbelievable("the confusion", f"of {size} classes", "a square of at most 30 classes")
        _counts("the confusion", [count for row in given.confusion.counts for count in row])


def drift(given: Drift, of: Profile) -> None:
    """Refuse ``given`` where it is no drift from the profile ``of``.

    Raises:
        Refused: why not.
    """
    _counts("the drift's rows", [given.rows, given.sampled])
    if given.columns.keys() != of.columns.keys():
        raise unbelievable("the drift", f"of {len(given.columns)} columns", "of those that the model's profile has")
    for what, found, profiled in (
        (PREDICTION, given.predictions, of.predictions),
        (PROBABILITY, given.probability, of.probability),
    ):
        if (found is None) != (profiled is None):
            raise unbelievable(f"the drift of {what}", found, "a number where the model's profile has it")
    beside = [one for one in (given.predictions, given.probability) if one is not None]
    for psi in (*given.columns.values(), *beside, given.chance):
        if not (math.isfinite(psi) and psi >= 0):
            raise unbelievable("the drift", psi, "a number from 0 on")
    known = {name: of.columns[name] for name in given.shares if name in of.columns}
    known |= {name: one for name, one in ((PREDICTION, of.predictions), (PROBABILITY, of.probability)) if one}
    if len(given.shares) > profiles.MOST_DRIFTED_SHOWN + 2:
        raise unbelievable("the drift", f"the shares of {len(given.shares)} columns", "those of a few")
    for name, shares in given.shares.items():
        if name not in known or len(shares) != len(known[name].shares) + 1:
            raise unbelievable(
                "the drift", f"shares of {name}", "one for each of the profile's bins, and of empty cells"
            )
        _are_shares("the drift", shares)


def unbelievable(what: str, found: object, wanted: str) -> Refused:
    """What to raise where a step's proposal says of ``what`` that it is ``found``."""
    return Refused(f"the step's proposal: {what} is {short(str(found))}, and not {wanted}. Nothing is recorded.")


def _column(given: ColumnProfile) -> None:
    _counts("a profile's rows", [given.rows])
    _are_shares("a profile", given.shares)
    _are_shares("a profile", [given.empty])
    _finite("a profile", [one for one in (given.low, given.high) if one is not None])
    if given.kind == "number":
        bins, most = given.edges, profiles.MOST_EDGES
        if bins is None or given.categories is not None or bins != sorted(set(bins)):
            raise unbelievable("a profile", bins, "of ascending boundaries")
        _finite("a profile", bins)
    else:
        words, most = given.categories, profiles.MOST_CATEGORIES
        if words is None or given.edges is not None or len(words) != len(set(words)):
            raise unbelievable("a profile", words, "of distinct words")
    found = len((given.edges if given.kind == "number" else given.categories) or [])
    if found > most or len(given.shares) != found + 1:
        raise unbelievable("a profile", f"{len(given.shares)} shares", f"at most {most + 1}, one for each bin")


def _alike(what: str, given: dict[str, list[float]] | None, most: int, *keys: str) -> None:
    """Refuse what does not have ``keys``, with as many finite numbers each."""
    if given is None:
        return
    lengths = {len(numbers) for numbers in given.values()}
    if given.keys() != set(keys) or len(lengths) != 1 or max(lengths) > most:
        raise unbelievable(what, f"{list(given)}", f"{' and '.join(keys)} of as many numbers each, at most {most}")
    for numbers in given.values():
        _finite(what, numbers)


def _fits(what: str, given: Any) -> None:
    found = len(msgspec.json.encode(given))
    if found > profiles.LARGEST:
        raise unbelievable(what, f"{found} bytes", f"at most {profiles.LARGEST}")


def _counts(what: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        if not 0 <= number <= _MOST_ROWS:
            raise unbelievable(what, number, "a count")


def _are_shares(what: str, numbers: list[float]) -> None:
    if not all(0 <= number <= 1 for number in numbers) or sum(numbers) > _SUM:
        raise unbelievable(what, f"{numbers[:20]}", "shares of a whole")


def _finite(what: str, numbers: Iterable[float]) -> None:
    for number in numbers:
        if not math.isfinite(number):
            raise unbelievable(what, number, "a finite number each")
