"""model_inference: the newest model of the environment on what preprocess_inf_data left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import clock, paths
from bulkhead.errors import Refused
from bulkhead.prediction import compatibility, libraries
from bulkhead.prediction.predicting import estimator_of, predict
from bulkhead.prediction.signature import InputSignature
from bulkhead.registry.proposals import InferenceProposal
from bulkhead.registry.records import MOST_INLINE, InferenceRecord
from bulkhead.step.runner import Outcome
from inference.data_steps import GENERATED
from tabular import tables

if TYPE_CHECKING:
    from bulkhead.step.runner import Step

_ALLOW = ", or predict with --allow-version-drift (allow_version_drift in the DAG's form)"


def predict_and_propose(step: Step, filename: str | None = None, *, allow_version_drift: bool = False) -> Outcome:
    """Predict, write the predictions file, propose the record.

    Args:
        step: where to read and write.
        filename: a model of the registry; None: the one that the environment serves.
        allow_version_drift: predict although the model was trained with other library versions.

    Raises:
        Refused: there is no such model, it is out of service or cannot be verified, it belongs to
            another environment, or the data, the transformation or the libraries are not what it was
            trained with.
        OSError: the predictions cannot be written; none are left.
    """
    preprocessed = step.input("preprocess_inf_data", InputSignature)
    signature = preprocessed.facts
    frame = tables.from_parquet(preprocessed.read("table"))
    if filename is None:
        model_record = step.registry.latest(step.environment, step.model_name)
    else:
        model_record = step.registry.find(filename, step.environment)
        if model_record.name != step.model_name:
            raise Refused(
                f"{filename} is a version of the model {model_record.name}, and this run is for {step.model_name}."
                " Name a version of that one."
            )
    compatibility.check_signature(model_record, signature)
    drift = compatibility.check_libraries(model_record, allow_drift=allow_version_drift, how=_ALLOW)
    model = step.registry.load(model_record)
    predictions = predict(estimator_of(model), model_record, frame)
    table = predictions.frame()
    table.insert(0, model_record.identifier or "row", _identifiers(step, model_record.identifier, len(frame)))

    moment = clock.now()
    # A name of its own: a run that is done again must not make the first record untrue.
    output = step.write(
        f"predictions_{clock.in_filename(moment)}.parquet",
        tables.to_parquet(table),
        len(table),
    )
    folder = step.identity.run_path
    record = InferenceRecord(
        inference_time=clock.in_record(moment),
        environment=step.environment,
        inference_data=f"{folder}/{GENERATED}" if signature.data.source == paths.SAMPLE else signature.data.path,
        model_used=model_record.model_filename,
        model_name=step.model_name,
        predictions=predictions.values.tolist() if len(table) <= MOST_INLINE else None,
        model_hash=model_record.model_hash,
        model_sha256=model_record.sha256,
        predictions_path=f"{folder}/{output.path}",
        rows=len(table),
        input_sha256=signature.data.sha256,
        output_sha256=output.sha256,
        source=signature.data.source,
        dtypes=signature.dtypes,
        transformation=signature.transformation,
        libraries=libraries.present(model_record.libraries or {}),
        version_drift=drift or None,
        **step.cost(),
        **msgspec.structs.asdict(step.identity),
    )
    return Outcome(
        outputs={"predictions": output},
        facts={"model_used": record.model_used, "predictions_path": record.predictions_path, "rows": record.rows},
        proposal=InferenceProposal(record=record, path=output.path),
    )


def _identifiers(step: Step, name: str | None, rows: int) -> Any:
    """What says which row is which: the identifier of the source table, or the row's number from 1."""
    if name is None:
        return range(1, rows + 1)
    generated = step.input("generate_inf_data", InputSignature)
    if generated.facts.identifier != name:
        return [None] * rows
    return tables.from_parquet(generated.read("table"))[name]
