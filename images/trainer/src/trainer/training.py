"""train_model: fit, measure, propose."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import joblib
import msgspec
import numpy as np
import pandas as pd  # msgspec reads the annotations of Trained
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split

from bulkhead.errors import NotGoodEnough, Refused
from bulkhead.registry import quality_gate
from bulkhead.registry.proposals import ModelProposal
from bulkhead.registry.records import MOST_INLINE, Lineage, TrainedOn
from bulkhead.step.runner import Outcome
from modeling import gate_check, libraries
from modeling.signature import ModelSignature
from tabular import tables

if TYPE_CHECKING:
    from bulkhead.step.runner import Step

MODEL = "train_model.joblib"
"""The fitted model, as it is proposed."""
FEWEST_ROWS = 2
_REFINED = 1_000_000
"""Cells of a table up to which the fit is refined: extended precision takes twice the memory, and no BLAS."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """How to train; the record keeps them."""

    test_fraction: float = 0.2
    """Share of the rows that only measure; 0: none."""
    seed: int = 0
    """Draws the rows that measure."""


class Trained(msgspec.Struct, frozen=True):
    """A fitted model, and how good it was on rows it had not seen."""

    model: LinearRegression
    metrics: dict[str, Any]
    held_out: tuple[pd.DataFrame, pd.Series] | None
    """Those rows: features and target; None: there are none."""


def train(frame: pd.DataFrame, target: pd.Series, parameters: Parameters) -> Trained:
    """Fit a linear regression and measure it on held-out rows; the model that was measured is returned.

    Args:
        frame: features, shape (rows, columns), float64, finite.
        target: shape (rows,), float64, finite, in the same order.
        parameters: the share to hold out, and the seed.

    Returns:
        The model, and ``r2`` (None below two measured rows), ``rmse`` and ``mae`` in the target's
        unit; all None when nothing was held out.

    Raises:
        NotGoodEnough: the fit gave no finite numbers.
        Refused: the share is none, or too few rows are left.
    """
    rows = len(frame)
    share = parameters.test_fraction
    if not 0 <= share < 1:
        raise Refused(
            f"test fraction {share}: must be at least 0 and less than 1. Use 0.2 to hold out a fifth of the rows."
        )
    measured = int(np.ceil(rows * share))
    if rows - measured < FEWEST_ROWS:
        raise Refused(
            f"{rows} rows with test fraction {share} leave {rows - measured} to train on; at least {FEWEST_ROWS} are"
            " needed. Give more rows or a smaller fraction."
        )
    held_out = None
    with np.errstate(all="ignore"):  # what overflows is refused below, by name
        if measured:
            frame, held_frame, target, held_target = train_test_split(
                frame, target, test_size=measured, random_state=parameters.seed
            )
            held_out = (held_frame, held_target)
            model = fit(frame, target)
            metrics = _measure(held_target, model.predict(held_frame))
        else:
            model = fit(frame, target)
            metrics = {"evaluated_on": "nothing: all rows trained", "r2": None, "rmse": None, "mae": None}
    metrics |= {"train_rows": len(frame), "test_rows": measured}
    found = [*model.coef_, model.intercept_, *(value for value in metrics.values() if isinstance(value, float))]
    if not np.isfinite(found).all():
        raise NotGoodEnough(
            "the fit gave coefficients or metrics that are not finite. Choose larger units for large columns.", metrics
        )
    return Trained(model, metrics, held_out)


def fit(frame: pd.DataFrame, target: pd.Series) -> LinearRegression:
    """A linear regression of ``target`` on ``frame`` that does not depend on the columns' units.

    Scikit-learn drops every direction a millionth as long as the longest (its ``tol``), so a column
    in small units would silently count for nothing. Here columns are brought to like magnitude
    first (by powers of two, which is exact), and only what float64 cannot tell from zero is
    dropped. docs/decisions/0003 has the figures.
    """
    span = (frame - frame.mean()).abs().max().to_numpy()
    scale = np.exp2(np.round(np.log2(span, where=span > 0, out=np.zeros_like(span))))
    model = LinearRegression(tol=np.finfo(float).eps * max(frame.shape)).fit(frame / scale, target)
    if model.rank_ == frame.shape[1] < len(frame) and frame.size <= _REFINED:
        _refine(model, (frame / scale).to_numpy(), target.to_numpy())
    model.coef_ = model.coef_ / scale
    return model


def _refine(model: LinearRegression, columns: np.ndarray, target: np.ndarray) -> None:
    """Correct the coefficients by what extended precision finds of their error (Björck 1967).

    Three rounds give NIST's worst tables 10 digits where the solver alone gives 7.
    """
    design = np.column_stack([np.ones(len(columns)), columns])
    q, r = np.linalg.qr(design)
    wide = design.astype(np.longdouble)
    coefficients = np.concatenate([[model.intercept_], model.coef_]).astype(np.longdouble)
    residual = target - wide @ coefficients
    for _ in range(3):
        error = (target - residual - wide @ coefficients).astype(float)
        slant = np.linalg.solve(r.T, -(wide.T @ residual).astype(float))
        step = q.T @ error - slant
        coefficients = coefficients + np.linalg.solve(r, step)
        residual = residual + (error - q @ step)
    if np.isfinite(coefficients).all():
        model.intercept_, model.coef_ = float(coefficients[0]), coefficients[1:].astype(float)


def train_and_propose(step: Step, parameters: Parameters) -> Outcome:
    """Train on what preprocessing left in the run folder, and propose the model if it passes the gate.

    Raises:
        NotGoodEnough: it does not pass.
        Refused: as :func:`train`; or preprocessing has not run here, or its output has changed; or the
            gate's settings cannot be read.
        OSError: the run folder cannot be written.
    """
    prepared = step.input("preprocessing", ModelSignature)
    signature = prepared.facts
    gate = quality_gate.read(step.registry.folder, step.environment)
    frame = tables.from_parquet(prepared.read("table"))
    target = frame.pop(signature.target)
    trained = train(frame, target, parameters)
    passed = gate_check.check(step, gate, signature, trained.metrics, trained.held_out)
    model = trained.model
    inline = len(model.coef_) <= MOST_INLINE
    content = dumped(model)
    output = step.write(MODEL, content, trained.metrics["train_rows"])
    lineage = Lineage(
        **msgspec.structs.asdict(step.identity),
        **msgspec.structs.asdict(signature),
        trained_on=TrainedOn(sha256=prepared.outputs["table"].sha256, rows=trained.metrics["train_rows"]),
        libraries=libraries.versions(),
        parameters={"estimator": "LinearRegression", **msgspec.to_builtins(parameters)},
        metrics=trained.metrics,
        gate=passed,
        intercept=float(model.intercept_),
        coefficients=dict(zip(frame.columns, model.coef_.tolist(), strict=True)) if inline else None,
        **step.cost(),
    )
    proposal = ModelProposal(
        lineage=lineage,
        path=output.path,
        sha256=output.sha256,
        size_bytes=len(content),
        model_hash=joblib.hash(model),
    )
    return Outcome(facts={"metrics": trained.metrics}, proposal=proposal)


def dumped(model: LinearRegression) -> bytes:
    """The bytes of ``model``'s file."""
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


def _measure(truth: pd.Series, predicted: np.ndarray) -> dict[str, Any]:
    return {
        "evaluated_on": "held-out rows",
        "r2": float(r2_score(truth, predicted)) if len(truth) > 1 else None,
        "rmse": float(root_mean_squared_error(truth, predicted)),
        "mae": float(mean_absolute_error(truth, predicted)),
    }
