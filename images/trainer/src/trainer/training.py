"""train_model: fit, measure, propose."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import joblib
import msgspec
import numpy as np
import pandas as pd  # msgspec reads the annotations of Trained
from sklearn.base import is_classifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from bulkhead import project_models
from bulkhead.errors import BulkheadError, NotGoodEnough, Refused, listed, short
from bulkhead.parameters import TrainingParameters, from_words
from bulkhead.prediction import libraries
from bulkhead.prediction.predicting import ESTIMATOR, label
from bulkhead.prediction.signature import ModelSignature
from bulkhead.project_models import parameters_of
from bulkhead.registry import quality_gate
from bulkhead.registry.proposals import ModelProposal
from bulkhead.registry.records import Lineage, TrainedOn
from bulkhead.step.runner import Outcome
from modeling import gate_check, measuring, pickling, source_files
from modeling.definition import Definition
from modeling.measuring import Measured
from tabular import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.step.runner import Step

MODEL = "train_model.joblib"
"""The fitted model, as it is proposed."""
FEWEST_ROWS = 2
_MOST_CLASSES = 100


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What one run allows, and whether what it makes is served."""

    allow_unmeasured: bool = False
    allow_signature_change: bool = False
    serve: bool = True


class Trained(msgspec.Struct, frozen=True):
    """A fitted estimator, and how good it was on rows it had not seen."""

    estimator: Any
    problem: str
    classes: list[Any]
    """As the estimator has them, in the record's order; of a regressor none."""
    measured: Measured
    metrics: dict[str, Any]
    held_out: tuple[pd.DataFrame, pd.Series] | None
    """Those rows: features and target; None: there are none."""
    rows: int
    """On which it was fitted."""


def train(
    frame: pd.DataFrame, target: pd.Series, parameters: TrainingParameters, definition: Definition | None = None
) -> Trained:
    """Fit the model's estimator and measure it on held-out rows; the estimator that was measured is returned.

    Args:
        frame: features, shape (rows, columns).
        target: shape (rows,), numbers or classes, in the same order.
        parameters: the share to hold out, the seed, and the model's own.
        definition: the model; None: the one that comes with the project.

    Raises:
        NotGoodEnough: the fit gave no finite numbers.
        Refused: too few rows are left, the target is not the problem's, or the model's code fails.
    """
    definition = definition or Definition("model")
    estimator = definition.build(parameters)
    problem, classes = _problem(definition, estimator, target)
    rows = len(frame)
    share = parameters.test_fraction
    held = int(np.ceil(rows * share))
    if rows - held < FEWEST_ROWS:
        raise Refused(
            f"{rows} rows with test fraction {share} leave {rows - held} to train on; at least {FEWEST_ROWS} are"
            " needed. Give more rows or a smaller fraction."
        )
    held_out = None
    if held:
        frame, held_frame, target, held_target = train_test_split(
            frame, target, test_size=held, random_state=parameters.seed, stratify=_strata(problem, target, held)
        )
        held_out = (held_frame, held_target)
    if classes and (unseen := set(classes) - set(target)):
        raise Refused(
            f"no row that trains has the class {listed(sorted(map(label, unseen)))}. Give more rows of it, or take"
            " another seed."
        )
    _fit(definition, estimator, frame, target)
    measured = Measured(definition, problem, classes, with_probabilities=hasattr(estimator, "predict_proba"))
    metrics: dict[str, Any] = {"evaluated_on": "held-out rows" if held_out else "nothing: all rows trained"}
    metrics |= measured.measure(estimator, *held_out) if held_out else dict.fromkeys(measured.metrics)
    metrics |= {"train_rows": len(frame), "test_rows": held}
    _refuse_infinite(estimator, metrics)
    return Trained(estimator, problem, classes, measured, metrics, held_out, len(frame))


def train_and_propose(step: Step, words: Mapping[str, str], allowed: Allowed) -> Outcome:
    """Train on what preprocessing left in the run folder, and propose the model if it passes the gate.

    Args:
        step: where, and for which model.
        words: the model's parameters, by name, as the command line has them.
        allowed: what this run allows.

    Raises:
        NotGoodEnough: it does not pass.
        Refused: as :func:`train`; or preprocessing has not run here, or its output has changed; or the
            gate's settings cannot be read; or a parameter is none.
        OSError: the run folder cannot be written.
    """
    parameters = from_words(parameters_of(step.model_name), words)
    definition = Definition(step.model_name)
    prepared = step.input("preprocessing", ModelSignature)
    signature = prepared.facts
    gate = quality_gate.read(step.registry.folder, step.environment, step.model_name)
    frame = tables.from_parquet(prepared.read("table"))
    target = frame.pop(signature.target)
    trained = train(frame, target, parameters, definition)
    published = _published(definition, trained.estimator)
    content, modules = _dumped(definition, published)
    modules |= source_files.of_model(step.model_name, project_models.folder()).modules
    linear = measuring.coefficients(trained.estimator, list(frame.columns))
    lineage = Lineage(
        **msgspec.structs.asdict(step.identity),
        **msgspec.structs.asdict(signature),
        model_name=step.model_name,
        problem=trained.problem,
        classes=[label(one) for one in trained.classes] or None,
        trained_on=TrainedOn(sha256=prepared.outputs["table"].sha256, rows=trained.rows),
        libraries=libraries.versions(modules),
        parameters={"estimator": _name_of(trained.estimator), **msgspec.to_builtins(parameters)},
        metrics=trained.metrics,
        goals=trained.measured.goals,
        intercept=linear[0] if linear else None,
        coefficients=linear[1] if linear else None,
    )
    passed = gate_check.check(step, gate, allowed, lineage, trained.measured, trained.held_out)
    importances, plots = _looked_at(trained, parameters, is_linear=linear is not None)
    output = step.write(MODEL, content, trained.rows)
    lineage = msgspec.structs.replace(lineage, gate=passed, importances=importances, plots=plots, **step.cost())
    proposal = ModelProposal(
        lineage=lineage,
        path=output.path,
        sha256=output.sha256,
        size_bytes=len(content),
        model_hash=_hash_of(published, content),
        serve=allowed.serve,
        allow_unmeasured=allowed.allow_unmeasured,
        allow_signature_change=allowed.allow_signature_change,
    )
    return Outcome(facts={"metrics": trained.metrics}, proposal=proposal)


def _problem(definition: Definition, estimator: Any, target: pd.Series) -> tuple[str, list[Any]]:
    """What kind of problem it is, and of a classifier its classes."""
    is_numeric = pd.api.types.is_numeric_dtype(target)
    if not is_classifier(estimator):
        if definition.problem in {"binary", "multiclass"}:
            raise Refused(
                f"{definition.file}: PROBLEM is {definition.problem}, and {_name_of(estimator)} is a regressor."
                " Return a classifier from build, or take PROBLEM out."
            )
        if not is_numeric:
            raise Refused(
                f"the target {target.name!r} holds {short(str(target.iloc[0]))}, and {_name_of(estimator)} predicts"
                f" numbers. Name another target, or return a classifier from build in {definition.file}."
            )
        return "regression", []
    if definition.problem == "regression":
        raise Refused(
            f"{definition.file}: PROBLEM is regression, and {_name_of(estimator)} is a classifier."
            " Return a regressor from build, or take PROBLEM out."
        )
    classes = sorted(pd.unique(target).tolist())
    if not 2 <= len(classes) <= _MOST_CLASSES:  # noqa: PLR2004  # of one class there is nothing to learn
        raise Refused(
            f"the target {target.name!r} has {len(classes)} different values, and a classifier takes 2 to"
            f" {_MOST_CLASSES}. Name another target, or return a regressor from build in {definition.file}."
        )
    problem = "binary" if len(classes) == 2 else "multiclass"  # noqa: PLR2004
    if definition.problem not in {None, problem}:
        raise Refused(
            f"{definition.file}: PROBLEM is {definition.problem}, and the target {target.name!r} has"
            f" {len(classes)} classes: {listed(list(map(label, classes)))}. Fix one of them."
        )
    if definition.positive is not None:
        positive = next((one for one in classes if label(one) == definition.positive), None)
        if problem != "binary" or positive is None:
            raise Refused(
                f"{definition.file}: POSITIVE is {short(definition.positive)}, and the classes are"
                f" {listed(list(map(label, classes)))}. Name one of two classes."
            )
        classes = [*(one for one in classes if one != positive), positive]
    return problem, classes


def _strata(problem: str, target: pd.Series, held: int) -> pd.Series | None:
    """The target, where each class is to have its share of the held-out rows, and can."""
    if problem == "regression":
        return None
    counts = target.value_counts()
    fits = counts.min() >= 2 and held >= len(counts) and len(target) - held >= len(counts)  # noqa: PLR2004
    return target if fits else None


def _fit(definition: Definition, estimator: Any, frame: pd.DataFrame, target: pd.Series) -> None:
    try:
        estimator.fit(frame, target)
    except MemoryError:
        raise
    except Exception as error:
        raise definition.code_failed(error, f"the fit of {_name_of(estimator)}") from error


def _refuse_infinite(estimator: Any, metrics: dict[str, Any]) -> None:
    for name in ("coef_", "intercept_"):
        found = getattr(estimator, name, None)
        if isinstance(found, float | np.ndarray) and not np.isfinite(found).all():
            raise NotGoodEnough(
                "the fit gave coefficients or metrics that are not finite. Choose larger units for large columns.",
                metrics,
            )


def _looked_at(
    trained: Trained, parameters: TrainingParameters, *, is_linear: bool
) -> tuple[dict[str, float] | None, dict[str, Any] | None]:
    """What the model looks at, and what its own plots show; where rows were held out."""
    if trained.held_out is None:
        return None, None
    measured, (frame, target) = trained.measured, trained.held_out
    explains = not is_linear or measured.has_own_explanation
    importances = measured.importances(trained.estimator, frame, target, parameters.seed) if explains else None
    return importances, measured.plots(trained.estimator, frame, target)


def _published(definition: Definition, estimator: Any) -> Pipeline:
    """From the signature's columns to the prediction."""
    transform = FunctionTransformer(definition.transform) if definition.transform else "passthrough"
    return Pipeline([("transform", transform), (ESTIMATOR, estimator)])


def _dumped(definition: Definition, model: Any) -> tuple[bytes, set[str]]:
    try:
        return pickling.dumped(model)
    except (MemoryError, BulkheadError):
        raise
    except Exception as error:
        raise definition.code_failed(error, "storing the model") from error


def _hash_of(model: Any, content: bytes) -> str:
    """Joblib's hash of ``model``; of its bytes, where it holds a function without a name, which joblib cannot hash."""
    try:
        return str(joblib.hash(model))
    except (pickle.PicklingError, AttributeError, TypeError):
        return str(joblib.hash(content))


def _name_of(estimator: Any) -> str:
    """What people call it; of a pipeline, what it ends in."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__
