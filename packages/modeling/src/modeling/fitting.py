"""Fitting an estimator on a table of any size: in batches where it can be, in memory where not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.base import is_classifier

from bulkhead.errors import Refused, listed
from bulkhead.prediction.predicting import label
from modeling.naming import name_of

if TYPE_CHECKING:
    from modeling.definition import Definition
    from modeling.held_out import HeldOut
    from modeling.training_rows import Rows, TrainingTable


def fit(definition: Definition, estimator: Any, table: TrainingTable, held: HeldOut, classes: list[Any]) -> Rows:
    """Fit ``estimator`` on the rows of ``table`` that are not held out, and return those that are.

    An estimator that has ``fit_batches`` reads the table itself, as often as it likes: it is called with a function
    that begins a pass over batches of features, shape (rows, columns), and target, shape (rows,). One of a model that
    says ``PARTIAL_FIT`` is given each batch so often. Any other is fitted once, on all rows in memory.

    Raises:
        Refused: the estimator fails, or the table does not fit into memory.
    """
    if classes and (unseen := set(classes) - table.classes_of(held)):
        raise Refused(
            f"no row that trains has the class {listed(sorted(map(label, unseen)))}. Give more rows of it, or take"
            " another seed."
        )
    if definition.partial_fit and not hasattr(estimator, "partial_fit"):
        raise Refused(
            f"{definition.file}: PARTIAL_FIT is {definition.partial_fit}, and {name_of(estimator)} has no partial_fit."
            " Take PARTIAL_FIT out, or return another estimator from build."
        )
    try:
        if definition.partial_fit:
            training, held_out = table.split(held)
            _fit_partially(estimator, training, definition.partial_fit, classes)
        elif hasattr(estimator, "fit_batches"):
            training, held_out = table.split(held)
            estimator.fit_batches(lambda: iter(training))
        else:
            loaded, held_out = table.loaded(held, name_of(estimator), definition.file)
            estimator.fit(*loaded)
    except (MemoryError, Refused):
        raise
    except Exception as error:
        raise definition.code_failed(error, f"the fit of {name_of(estimator)}") from error
    return held_out


def _fit_partially(estimator: Any, training: Rows, passes: int, classes: list[Any]) -> None:
    known = {"classes": classes} if is_classifier(estimator) else {}
    for _ in range(passes):
        for frame, target in training:
            estimator.partial_fit(frame, target, **known)
            known = {}
