"""What must be alike between training and inference: transformation, features and their types, libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead.errors import NotVerified, Refused, listed
from bulkhead.prediction import libraries
from bulkhead.prediction.signature import TEXT

if TYPE_CHECKING:
    from bulkhead.prediction.signature import InputSignature
    from bulkhead.registry.records import ModelRecord


def check_transformation(model: ModelRecord, fingerprint: str | None) -> None:
    """Refuse a model that was trained with another transformation than the one called ``fingerprint``.

    Raises:
        NotVerified: the model's record does not say which one.
        Refused: old and new, and how to go on.
    """
    if model.transformation is None:
        raise NotVerified(f"the record of {model.model_filename} has no transformation. Train a new model.")
    if fingerprint != model.transformation:
        raise Refused(
            f"the transformation has changed since {model.model_filename} was trained"
            f" ({model.transformation[:12]} then, {str(fingerprint)[:12]} now)."
            " Train a new model, or rebuild the images from the older code."
        )


def check_libraries(model: ModelRecord, *, allow_drift: bool = False, how: str = "") -> dict[str, list[str]]:
    """Refuse a model that was trained with other library versions than this image has, unless ``allow_drift``.

    Args:
        model: the model's record.
        allow_drift: whether other versions will do; another Python never will, where the project's code is in the file.
        how: what else than training anew the sentence is to offer.

    Returns:
        By library, the version trained with and the one here, where they differ.

    Raises:
        Refused: what differs, old and new, and how to go on.
    """
    trained = model.libraries or {}
    drift = libraries.drift(trained, libraries.present(trained))
    # Code that is stored by value is of one version of Python; another might do anything with it.
    if drift and (not allow_drift or ("python" in drift and model.problem is not None)):
        never = " Another Python cannot be allowed." if allow_drift else ""
        listing = ", ".join(f"{name} {old} then, {new} now" for name, (old, new) in drift.items())
        raise Refused(
            f"{model.model_filename} was trained with other library versions: {listing}. Train a new model{how}.{never}"
        )
    return drift


def check_signature(model: ModelRecord, signature: InputSignature) -> None:
    """Refuse data that is not what ``model`` was trained for.

    The source's columns must be the model's features, in training's order and of training's types
    (whole numbers may stand where training had fractions). The target and the columns that training
    left out may still be there; they are left out again.

    Raises:
        NotVerified: the model's record does not say what it was trained for.
        Refused: what differs, and how to go on.
    """
    if model.features is None or model.dtypes is None:
        raise NotVerified(f"the record of {model.model_filename} has no features to compare with. Train a new model.")
    check_transformation(model, signature.transformation)
    check_columns(model, signature.dtypes, signature.data.path)


def check_columns(model: ModelRecord, found: dict[str, str], called: str) -> None:
    """As :func:`check_signature`, of the columns alone.

    Args:
        model: the model's record.
        found: by column, in the table's order, its type.
        called: what the table is called in the sentence.

    Raises:
        Refused: what differs, and how to go on.
    """
    dtypes = model.dtypes or {}
    ignored = {model.target, model.identifier, *(model.left_out or [])}
    looked_at = {name: dtype for name, dtype in found.items() if name in dtypes or name not in ignored}
    refuse_differences(model, looked_at, called)


def refuse_differences(model: ModelRecord, found: dict[str, str], called: str) -> None:
    """Refuse columns that are not the model's.

    Args:
        model: its record.
        found: by column, in the table's order, its type; without what may be there besides.
        called: what the table is called in the sentence.

    Raises:
        Refused: what differs.
    """
    features, dtypes = model.features or [], model.dtypes or {}
    differences = []
    if missing := [name for name in features if name not in found]:
        differences.append(f"missing {listed(missing)}")
    if unexpected := [name for name in found if name not in dtypes]:
        differences.append(f"unexpected {listed(unexpected)}")
    if not differences and list(found) != features:
        differences.append(f"in the order {listed(found)} instead of {listed(features)}")
    differences += [
        f"{name!r} is {found[name]}, was {dtype}"
        for name, dtype in dtypes.items()
        if name in found and not _fits(found[name], dtype)
    ]
    if differences:
        raise Refused(
            f"{called} is not what {model.model_filename} was trained for: {'; '.join(differences)}."
            " Fix the table, or train a model on such a table."
        )


def _fits(found: str, trained: str) -> bool:
    if trained in _OTHERS or found in _OTHERS:
        return found == trained
    return _is_whole(found) or not _is_whole(trained)


_OTHERS = {TEXT, "category", "boolean", "date"}


def _is_whole(dtype: str) -> bool:
    return dtype.startswith(("int", "uint"))
