"""model_inference: the newest model of the environment on what preprocess_inf_data left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pandas as pd

from bulkhead import clock, tables
from bulkhead.errors import NotVerified, Refused, listed
from bulkhead.records import InferenceRecord
from bulkhead.step import Outcome
from inference.data import GENERATED, TEXT, Schema

if TYPE_CHECKING:
    from bulkhead.records import ModelRecord
    from bulkhead.step import Step

MOST_INLINE = 1000
"""A longer list of predictions stays out of the record; the file has all of them."""


def predict(step: Step, filename: str | None = None) -> Outcome:
    """Predict, write the predictions file, append the record.

    Args:
        step: where to read and write.
        filename: a model of the registry; None: the newest of the environment.

    Raises:
        Refused: there is no such model, it cannot be verified, it belongs to the other environment,
            or the data is not what it was trained for.
        OSError: the predictions or the record cannot be written; neither is left.
    """
    schema = step.facts("preprocess_inf_data", Schema)
    frame = tables.from_parquet(step.read("preprocess_inf_data", "table"))
    model_record = _choose(step, filename)
    check_schema(model_record, schema)
    model = step.registry.load(model_record)
    missing = [name for name in model.feature_names_in_ if name not in frame]
    if missing:
        raise Refused(f"{model_record.model_filename} needs the transformed columns {missing}. Train a new model.")
    with np.errstate(all="ignore"):  # what overflows is refused below
        predictions = model.predict(frame[list(model.feature_names_in_)])
    bad = np.flatnonzero(~np.isfinite(predictions))
    if bad.size:
        raise Refused(f"the prediction for row {bad[0] + 1} is {predictions[bad[0]]}. Give smaller numbers there.")

    moment = clock.now()
    step.store_undisturbed()
    # A name of its own: a run that is done again must not make the first record untrue.
    output = step.write(
        f"predictions_{clock.in_filename(moment)}.parquet",
        tables.to_parquet(pd.DataFrame({"prediction": predictions})),
        len(predictions),
    )
    folder = step.identity.run_path
    record = InferenceRecord(
        inference_time=clock.in_record(moment),
        environment=step.environment,
        inference_data=f"{folder}/{GENERATED}" if schema.data.path == tables.SAMPLE else schema.data.path,
        model_used=model_record.model_filename,
        predictions=predictions.tolist() if len(predictions) <= MOST_INLINE else None,
        model_hash=model_record.model_hash,
        predictions_path=f"{folder}/{output.path}",
        rows=len(predictions),
        input_sha256=schema.data.sha256,
        output_sha256=output.sha256,
        **msgspec.structs.asdict(step.identity),
    )
    try:
        step.registry.record_inference(record)
    except BaseException:
        (step.shared / output.path).unlink()
        raise
    return Outcome(
        outputs={"predictions": output},
        facts={"model_used": record.model_used, "predictions_path": record.predictions_path, "rows": record.rows},
    )


def check_schema(model: ModelRecord, schema: Schema) -> None:
    """Refuse data that is not what ``model`` was trained for.

    The source's columns must be the model's features, in training's order and of training's types
    (whole numbers may stand where training had fractions). The target and the columns that training
    left out may still be there; they are left out again.

    Raises:
        NotVerified: the model's record does not say what it was trained for.
        Refused: what differs, and how to go on.
    """
    if model.features is None or model.dtypes is None or model.transformation is None:
        raise NotVerified(f"the record of {model.model_filename} has no features to compare with. Train a new model.")
    if schema.transformation != model.transformation:
        raise Refused(
            f"the transformation has changed since {model.model_filename} was trained"
            f" ({model.transformation[:12]} then, {str(schema.transformation)[:12]} now)."
            " Train a new model, or rebuild the images from the older code."
        )
    ignored = {model.target, *(model.left_out or [])}
    found = {name: dtype for name, dtype in schema.dtypes.items() if name in model.dtypes or name not in ignored}
    differences = []
    if missing := [name for name in model.features if name not in found]:
        differences.append(f"missing [{listed(missing)}]")
    if unexpected := [name for name in found if name not in model.dtypes]:
        differences.append(f"unexpected [{listed(unexpected)}]")
    if not differences and list(found) != model.features:
        differences.append(f"order [{listed(found)}] instead of [{listed(model.features)}]")
    differences += [
        f"{name!r} is {found[name]}, was {dtype}"
        for name, dtype in model.dtypes.items()
        if name in found and not _fits(found[name], dtype)
    ]
    if differences:
        raise Refused(
            f"{schema.data.path} is not what {model.model_filename} was trained for: {'; '.join(differences)}."
            " Mend the table, or train a model on such a table."
        )


def _fits(found: str, trained: str) -> bool:
    return found != TEXT and (_is_whole(found) or not _is_whole(trained))


def _is_whole(dtype: str) -> bool:
    return dtype.startswith(("int", "uint"))


def _choose(step: Step, filename: str | None) -> ModelRecord:
    if filename is None:
        return step.registry.latest(step.environment)
    record = step.registry.find(filename)
    if record.environment != step.environment:
        raise Refused(
            f"{filename} is a {record.environment} model, and this inference is in {step.environment}; they never mix."
            f" Name a {step.environment} model, or run the {record.environment} pipeline."
        )
    return record
