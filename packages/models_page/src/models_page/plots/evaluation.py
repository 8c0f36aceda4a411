"""How good one version was on rows that it had not seen: its record's ``evaluation`` as pictures."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import formatting
from models_page.plots import figure
from models_page.plots.figure import Axis, Bars, Diagonal, Dots, Figure, Groups, Line, Matrix, Rule

if TYPE_CHECKING:
    from bulkhead.registry.lineage import Lineage

_CURVES = 4
_SHARES = (0.0, 1.0)
_LOOKED_AT = 20
"""Coefficients or importances; the greatest."""


def figures(record: Lineage) -> list[Figure]:
    """Every picture that ``record`` has the numbers for."""
    found: dict[str, Any] = msgspec.to_builtins(record.evaluation) if record.evaluation is not None else {}
    target = figure.name(record.target or "target")
    drawn = [
        _scatter(found.get("scatter"), target),
        _residuals(found.get("residuals"), target),
        _roc(found.get("roc")),
        _calibration(found.get("calibration")),
        _confusion(found.get("confusion")),
        _ranks("Coefficients", "coefficient", record.coefficients),
        _ranks("Importances", "loss of the leading metric", record.importances),
    ]
    return [one for one in drawn if one is not None]


def _scatter(found: Any, target: str) -> Figure | None:
    columns = _columns(found, "actual", "predicted")
    if columns is None:
        return None
    actual, predicted = columns
    domain = figure.span([*actual, *predicted])
    return Figure(
        title="Predicted against actual",
        summary=f"Predicted against actual {target}, {len(actual)} held-out rows; on the diagonal both are equal",
        across=Axis(f"actual {target}", domain=domain),
        up=Axis("predicted", domain=domain),
        marks=[Diagonal(), Dots(0, _dots(actual, predicted, domain), is_small=True)],
        **figure.columns(["actual", "predicted"], columns),
    )


def _residuals(found: Any, target: str) -> Figure | None:
    edges, counts = (figure.numbers((found or {}).get(key)) for key in ("edges", "counts"))
    if not edges or not counts or len(edges) != len(counts) + 1 or edges != sorted({*edges}):
        return None
    bars = list(zip(edges, edges[1:], counts, strict=False))
    return Figure(
        title="Residuals",
        summary=f"How far predictions are from the actual {target}: {sum(counts):,.0f} held-out rows, from"
        f" {formatting.metric(edges[0])} to {formatting.metric(edges[-1])}",
        across=Axis(f"actual minus predicted {target}", domain=(edges[0], edges[-1])),
        up=Axis("rows"),
        marks=[Bars(0, bars), *([Rule(0, "")] if edges[0] <= 0 <= edges[-1] else [])],
        **figure.columns(["from", "to", "rows"], list(zip(*bars, strict=True))),
    )


def _roc(found: Any) -> Figure | None:
    curves = {
        figure.name(one): columns
        for one, points in islice((found or {}).items(), _CURVES)
        if (columns := _columns(points, "false_positive_rate", "true_positive_rate"))
    }
    if not curves:
        return None
    rows = [
        (name, false, true) for name, (across, up) in curves.items() for false, true in zip(across, up, strict=True)
    ]
    more = len(found) - len(curves)
    return Figure(
        title="ROC",
        summary=f"True against false positives, a curve for {', '.join(curves)}"
        f"{f' and {more} more classes not shown' if more else ''}; the diagonal is guessing",
        across=Axis("false positive rate", domain=_SHARES),
        up=Axis("true positive rate", domain=_SHARES),
        series=list(curves),
        marks=[
            Diagonal(),
            *(
                Line(at, [point[:2] for point in _dots(false, true, _SHARES)])
                for at, (false, true) in enumerate(curves.values())
            ),
        ],
        **figure.columns(["class", "false positive rate", "true positive rate"], list(zip(*rows, strict=True))),
    )


def _calibration(found: Any) -> Figure | None:
    columns = _columns(found, "predicted", "observed")
    if columns is None:
        return None
    predicted, observed = columns
    dots = _dots(predicted, observed, _SHARES)
    counted = figure.numbers(found.get("rows")) or [0.0] * len(predicted)
    return Figure(
        title="Calibration",
        summary="How often what is predicted comes true, by the predicted probability; on the diagonal, as often",
        across=Axis("predicted probability", domain=_SHARES),
        up=Axis("observed share", domain=_SHARES),
        marks=[Diagonal(), Line(0, [point[:2] for point in dots]), Dots(0, dots)],
        **figure.columns(["predicted", "observed", "rows"], [predicted, observed, counted]),
    )


def _confusion(found: Any) -> Figure | None:
    classes, counts = (found or {}).get("classes"), (found or {}).get("counts")
    if not isinstance(classes, list) or not isinstance(counts, list) or not 0 < len(classes) <= figure.MOST_NAMES:
        return None
    rows = [numbers for row in counts if (numbers := figure.numbers(row))]
    if len(rows) != len(classes) or any(len(row) != len(classes) for row in rows):
        return None
    names = [figure.name(one) for one in classes]
    right = sum(row[at] for at, row in enumerate(rows))
    return Figure(
        title="Confusion matrix",
        summary=f"Actual classes by predicted ones: {right:,.0f} of {sum(map(sum, rows)):,.0f} held-out rows are right",
        across=Axis("predicted"),
        up=Axis("actual"),
        marks=[Matrix(names, rows)],
        header=["actual, predicted:", *names],
        rows=[[called, *(formatting.number(int(one)) for one in row)] for called, row in zip(names, rows, strict=True)],
    )


def _ranks(title: str, label: str, found: dict[str, float] | None) -> Figure | None:
    known = [(figure.name(key), float(value)) for key, value in (found or {}).items() if figure.is_number(value)]
    if not known:
        return None
    greatest = sorted(known, key=lambda one: -abs(one[1]))
    shown = greatest[:_LOOKED_AT]
    more = len(known) - len(shown)
    return Figure(
        title=title,
        summary=f"{title} of {len(known)} columns, the greatest first: {shown[0][0]} {formatting.metric(shown[0][1])}",
        across=Axis(label),
        marks=[Groups([name for name, _ in shown], [[value for _, value in shown]])],
        header=["column", label],
        rows=[[name, formatting.number(value)] for name, value in greatest[:200]],
        more=max(0, more - 200 + _LOOKED_AT),
    )


def _dots(xs: list[float], ys: list[float], domain: tuple[float, float]) -> list[tuple[float, float, str, str]]:
    """Points that say and lead to nothing; what is beyond ``domain``, which both axes have, is at its end."""
    return [(figure.inside(x, domain), figure.inside(y, domain), "", "") for x, y in zip(xs, ys, strict=True)]


def _columns(found: Any, *names: str) -> list[list[float]] | None:
    """The lists called so, if they are numbers and of one length."""
    if not isinstance(found, dict):
        return None
    lists = [values for one in names if (values := figure.numbers(found.get(one)))]
    return lists if len(lists) == len(names) and len({len(values) for values in lists}) == 1 else None
