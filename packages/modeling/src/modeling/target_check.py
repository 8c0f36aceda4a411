"""Whether target, estimator and what the model's file declares fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.base import is_classifier

from bulkhead.errors import Refused, listed, short
from bulkhead.prediction.predicting import label
from modeling.naming import name_of
from modeling.training_rows import MOST_CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modeling.definition import Definition
    from modeling.training_rows import TrainingTable


def problem_of(definition: Definition, estimator: Any, table: TrainingTable) -> tuple[str, dict[Any, int], list[Any]]:
    """What kind of problem it is; of a classifier, how many rows each class has, and the classes as records have them.

    Raises:
        Refused: they do not fit together.
    """
    if not is_classifier(estimator):
        if definition.problem in {"binary", "multiclass"}:
            raise Refused(
                f"{definition.file}: PROBLEM is {definition.problem}, and {name_of(estimator)} is a regressor."
                " Return a classifier from build, or take PROBLEM out."
            )
        if not table.has_numbers:
            raise Refused(
                f"the target {table.target!r} holds {short(str(table.first_target()))}, and {name_of(estimator)}"
                f" predicts numbers. Name another target, or return a classifier from build in {definition.file}."
            )
        return "regression", {}, []
    if definition.problem == "regression":
        raise Refused(
            f"{definition.file}: PROBLEM is regression, and {name_of(estimator)} is a classifier."
            " Return a regressor from build, or take PROBLEM out."
        )
    sizes = table.classes()
    classes = list(sizes)
    if not 2 <= len(classes) <= MOST_CLASSES:  # noqa: PLR2004  # of one class there is nothing to learn
        raise Refused(
            f"the target {table.target!r} has {_count(len(classes))} different values, and a classifier takes 2 to"
            f" {MOST_CLASSES}. Name another target, or return a regressor from build in {definition.file}."
        )
    problem = "binary" if len(classes) == 2 else "multiclass"  # noqa: PLR2004
    if definition.problem not in {None, problem}:
        raise Refused(
            f"{definition.file}: PROBLEM is {definition.problem}, and the target {table.target!r} has"
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
    return problem, sizes, classes


def can_share(sizes: Mapping[Any, int], held: int) -> bool:
    """Whether each class can have its share of ``held`` rows that are held out, and of those that train."""
    most = sum(sizes.values()) - len(sizes)
    return min(sizes.values()) >= 2 and len(sizes) <= held <= most  # noqa: PLR2004  # one on either side


def _count(classes: int) -> str:
    return f"more than {MOST_CLASSES}" if classes > MOST_CLASSES else str(classes)
