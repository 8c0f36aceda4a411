"""train_model: fit, measure, propose."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import joblib
import msgspec
import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from bulkhead import project_models
from bulkhead.errors import BulkheadError, NotGoodEnough, Refused
from bulkhead.parameters import TrainingParameters, from_words
from bulkhead.prediction import libraries
from bulkhead.prediction.predicting import ESTIMATOR, label
from bulkhead.prediction.signature import ModelSignature
from bulkhead.project_models import parameters_of
from bulkhead.registry import profiles, quality_gate
from bulkhead.registry.lineage import Lineage, TrainedOn
from bulkhead.registry.profiles import Profile
from bulkhead.registry.proposals import ModelProposal
from bulkhead.step.runner import Outcome
from modeling import fitting, gate_check, measuring, pickling, profiling, source_files, target_check
from modeling.definition import Definition
from modeling.evaluating import Observed
from modeling.held_out import HeldOut
from modeling.measuring import Measured
from modeling.naming import name_of
from modeling.training_rows import Rows, TrainingTable
from tabular.exchange import Exchanged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.step.runner import Step
    from bulkhead.step.step_input import StepInput

MODEL = "train_model.joblib"
"""The fitted model, as it is proposed."""
FEWEST_ROWS = 2


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
    held_out: Rows | None
    """None: there are none."""
    rows: int
    """On which it was fitted."""
    observed: Observed
    """Some of the held-out rows, or of those that trained where none were, and what was predicted for them."""


def train(table: TrainingTable, parameters: TrainingParameters, definition: Definition) -> Trained:
    """Fit the model's estimator and measure it on held-out rows; the estimator that was measured is returned.

    Args:
        table: features, and the target: numbers or classes.
        parameters: the share to hold out, the seed, and the model's own.
        definition: the model.

    Raises:
        NotGoodEnough: the fit gave no finite numbers.
        Refused: too few rows are left, the target is not the problem's, the model's code fails, or the table does not
            fit into memory and the estimator needs it there.
    """
    estimator = definition.build(parameters)
    problem, sizes, classes = target_check.problem_of(definition, estimator, table)
    share = parameters.test_fraction
    held = HeldOut(table.rows, share, parameters.seed)
    left = table.rows - held.count
    if left < FEWEST_ROWS:
        raise Refused(
            f"{table.rows} rows with test fraction {share} leave {left} to train on; at least {FEWEST_ROWS} are"
            " needed. Give more rows or a smaller fraction."
        )
    if sizes and target_check.can_share(sizes, held.count):
        held = HeldOut(table.rows, share, parameters.seed, sizes)
    held_out = fitting.fit(definition, estimator, table, held, list(sizes))
    measured = Measured(definition, problem, classes, with_probabilities=hasattr(estimator, "predict_proba"))
    metrics: dict[str, Any] = {"evaluated_on": "held-out rows" if held.count else "nothing: all rows trained"}
    observed = Observed(held.count or left, parameters.seed, classes)
    if held.count:
        metrics |= measured.measure(estimator, held_out, observed)
    else:
        metrics |= dict.fromkeys(measured.metrics)
        measured.observe(estimator, table.split(held)[0], observed)
    metrics |= {"train_rows": left, "test_rows": held.count}
    _refuse_infinite(estimator, metrics)
    return Trained(estimator, problem, classes, measured, metrics, held_out if held.count else None, left, observed)


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
    with prepared.opened("table") as opened:
        exchanged = Exchanged(opened)
        table = TrainingTable(exchanged, signature.target)
        trained = train(table, parameters, definition)
        published = _published(definition, trained.estimator)
        content, modules = _dumped(definition, published)
        modules |= source_files.of_model(step.model_name, project_models.folder()).modules
        linear = measuring.coefficients(trained.estimator, table.names)
        lineage = Lineage(
            **msgspec.structs.asdict(step.identity),
            **msgspec.structs.asdict(signature),
            model_name=step.model_name,
            problem=trained.problem,
            classes=[label(one) for one in trained.classes] or None,
            trained_on=TrainedOn(sha256=prepared.outputs["table"].sha256, rows=trained.rows),
            libraries=libraries.versions(modules),
            parameters={"estimator": name_of(trained.estimator), **msgspec.to_builtins(parameters)},
            metrics=trained.metrics,
            goals=trained.measured.goals,
            intercept=linear[0] if linear else None,
            coefficients=linear[1] if linear else None,
            profile=_profile(prepared, trained.observed),
            evaluation=trained.observed.evaluation() if trained.held_out is not None else None,
        )
        passed = gate_check.check(step, gate, allowed, lineage, trained.measured, trained.held_out)
        importances, plots = _looked_at(trained, parameters, is_linear=linear is not None)
        exchanged.prove()
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


def _profile(prepared: StepInput[ModelSignature], observed: Observed) -> Profile | None:
    """What preprocessing saw, and what was predicted; None: it has left none, as an image of before does not."""
    content = prepared.content("profile", profiles.LARGEST)
    if content is None:
        return None
    try:
        found = msgspec.json.decode(content, type=Profile)
    except msgspec.DecodeError as error:
        raise Refused(f"preprocessing has left no profile: {error}. Run preprocessing again.") from None
    return profiling.bounded(
        msgspec.structs.replace(found, predictions=observed.predictions(), probability=observed.probability())
    )


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
    measured = trained.measured
    explains = not is_linear or measured.has_own_explanation
    importances = measured.importances(trained.estimator, trained.held_out, parameters.seed) if explains else None
    return importances, measured.plots(trained.estimator, trained.held_out)


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
