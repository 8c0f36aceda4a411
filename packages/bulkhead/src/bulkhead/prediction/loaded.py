"""A published model outside of the containers, as in a notebook: it predicts what inference would, or refuses so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkhead import environments
from bulkhead.errors import NotVerified, Refused, listed, one_line
from bulkhead.model_name import DEFAULT_NAME

if TYPE_CHECKING:
    import pandas as pd

    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry


class LoadedModel:
    """A published model, ready to predict.

    Attributes:
        record: its record in ``log.txt``: signature, metrics, parameters, data.
        pipeline: scikit-learn's pipeline: the transformation, then the estimator. It takes typed columns.
    """

    def __init__(self, record: ModelRecord, pipeline: Any) -> None:
        self.record = record
        self.pipeline = pipeline

    def __repr__(self) -> str:
        return f"<{self.record.name} of {self.record.environment}: {self.record.model_filename}>"

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What inference gives for ``frame``.

        Args:
            frame: shape (rows, columns), the columns of the signature in their order. The target, the identifier and
                what training left out may be there too.

        Returns:
            The identifier, where the model has one, else ``row`` from 1; ``prediction``; and ``probability_<class>``.

        Raises:
            Refused: a column or a cell is not what the model was trained for, or a prediction is not finite.
        """
        from bulkhead.prediction import transformed
        from bulkhead.prediction.predicting import estimator_of, predict

        if frame.empty:
            raise Refused("the frame has no rows, or no columns. Give a frame with at least one of both.")
        typed, identifiers = self._typed(frame)
        steps = getattr(self.pipeline, "named_steps", {})
        ready = typed
        if hasattr(steps.get("transform"), "transform"):
            try:
                result = steps["transform"].transform(typed.copy())
            except Exception as error:
                told = one_line(repr(error), 300)
                raise Refused(f"the model's transformation fails: {told}. Fix the frame.") from error
            may_be_empty = bool(self.record.missing)
            ready = transformed.checked(result, typed, may_be_empty=may_be_empty, fix="Fix the frame.")
        found = predict(estimator_of(self.pipeline), self.record, ready).frame()
        found.insert(0, self.record.identifier or "row", identifiers)
        return found

    def _typed(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, Any]:
        import pyarrow as pa

        from bulkhead.prediction import cells, compatibility
        from bulkhead.prediction.signature import columns_of
        from bulkhead.prediction.typed import TypedReader

        record, columns = self.record, columns_of(self.record)
        if not frame.columns.is_unique:
            told = listed(map(str, frame.columns))
            raise Refused(f"the frame has two columns of one name, of {told}. Give each its own name.")
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise Refused(
                f"the frame has a column of more than one kind of value: {one_line(str(error), 300)}. Convert it."
            ) from None
        beside = {record.target, record.identifier, *(record.left_out or [])}
        features, dtypes = {}, {}
        for name in table.column_names:
            wanted = columns.get(name)
            if wanted is None or not wanted.is_feature:
                if name not in beside:
                    dtypes[name] = "unknown"
            elif wanted.kind == "number" and cells.is_text(table.column(name)):
                dtypes[name] = "text"
            else:
                features[name] = wanted
                dtypes[name] = ""  # which keeps its place until it has been read
        has_identifier = record.identifier is not None and record.identifier in table.column_names
        identified = {str(record.identifier): columns[str(record.identifier)]} if has_identifier else {}
        reader = TypedReader(features | identified)
        batch = reader.read(table)
        compatibility.refuse_differences(
            record, {name: reader.dtypes.get(name, one) for name, one in dtypes.items()}, "the frame"
        )
        if has_identifier:
            return batch.frame(list(features)), batch.words(str(record.identifier)).to_pandas()
        names = range(1, len(frame) + 1) if record.identifier is None else [None] * len(frame)
        return batch.frame(list(features)), names


def load(
    environment: str = "prd",
    *,
    name: str = DEFAULT_NAME,
    filename: str | None = None,
    models: str | Path | None = None,
    allow_version_drift: bool = False,
) -> LoadedModel:
    """The version of a model that an environment serves, or another one.

    Unpickling runs code: load from a registry that you trust.

    Args:
        environment: whose.
        name: of which model.
        filename: another version of it, by its short name, hash or file; None: the served one.
        models: the registry's folder; None: ``models/`` here or in a folder above.
        allow_version_drift: predict although this Python has other library versions than it was trained with.

    Raises:
        NoModel: there is none.
        OutOfService: it was revoked, removed or quarantined.
        NotVerified: its file is not the one that was published, or it cannot be used without the images.
        Refused: the libraries here are not those that it was trained with.
    """
    from bulkhead.prediction import compatibility
    from bulkhead.queries import references
    from bulkhead.registry.store import Registry

    environments.get(environment)  # its own sentence where there is none
    registry = Registry(Path(models) if models is not None else _folder())
    if filename is None:
        record = registry.latest(environment, name)
    else:
        record = registry.find(references.filename_of(registry, filename, name), environment)
    if record.name != name:
        raise Refused(f"{record.model_filename} is a version of the model {record.name}, not of {name}. Name that one.")
    if record.problem is None:
        raise NotVerified(
            f"{record.model_filename} was published before models carried their transformation, so it cannot predict"
            " outside of the images. Train a new model."
        )
    compatibility.check_libraries(record, allow_drift=allow_version_drift, how=f", or {_install(record)}")
    return LoadedModel(record, _unpickled(registry, record))


def _unpickled(registry: Registry, record: ModelRecord) -> Any:
    try:
        return registry.load(record)
    except (Refused, MemoryError):
        raise
    except Exception as error:
        raise Refused(
            f"{record.model_filename} cannot be loaded here: {one_line(repr(error), 300)}."
            " Install what it was trained with."
        ) from error


def _install(record: ModelRecord) -> str:
    """What a person types to have the libraries that the model of ``record`` was trained with."""
    libraries = {**(record.libraries or {})}
    python = libraries.pop("python", "3")
    packages = " ".join(f"{name}=={version}" for name, version in libraries.items())
    return f"in Python {'.'.join(python.split('.')[:2])} run: pip install {packages}"


def _folder() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "models" / "log.txt").is_file():
            return folder / "models"
    raise Refused(f"there is no models/log.txt in {here} or above. Name the folder: bulkhead.load(..., models=...).")
