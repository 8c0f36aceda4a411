"""model_inference: the newest model of the environment on what preprocess_inf_data left."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from bulkhead import clock, paths
from bulkhead.errors import Refused
from bulkhead.prediction import compatibility, libraries
from bulkhead.prediction.predicting import estimator_of, predict
from bulkhead.prediction.signature import InputSignature
from bulkhead.queries import references
from bulkhead.registry import drift, quality_gate
from bulkhead.registry.lineage import MOST_INLINE
from bulkhead.registry.proposals import InferenceProposal
from bulkhead.registry.records import InferenceRecord
from bulkhead.step.runner import Outcome
from inference.data_steps import GENERATED
from modeling.comparing import Comparison
from tabular import exchange
from tabular.exchange import ROW, Exchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bulkhead.registry.drift_gate import DriftGate
    from bulkhead.registry.profiles import Drift
    from bulkhead.registry.records import ModelRecord
    from bulkhead.step.runner import Step
    from bulkhead.step.step_input import StepInput

    Identifiers = Callable[[int, int], pa.Array]
    """Of so many rows after so many before, what says which they are."""

_ALLOW = ", or predict with --allow-version-drift (allow_version_drift in the DAG's form)"


def predict_and_propose(step: Step, filename: str | None = None, *, allow_version_drift: bool = False) -> Outcome:
    """Predict, write the predictions file, propose the record.

    Args:
        step: where to read and write.
        filename: a model of the registry, by its short name, hash or file; None: the one that the environment serves.
        allow_version_drift: predict although the model was trained with other library versions.

    Raises:
        Drifted: the input or the predictions are further from training's than the gate lets be.
        Refused: there is no such model, it is out of service or cannot be verified, it belongs to
            another environment, or the data, the transformation or the libraries are not what it was
            trained with.
        OSError: the predictions cannot be written; none are left.
    """
    gate = quality_gate.read(step.registry.folder, step.environment, step.model_name).drift
    preprocessed = step.input("preprocess_inf_data", InputSignature)
    signature = preprocessed.facts
    if filename is None:
        model_record = step.registry.latest(step.environment, step.model_name)
    else:
        filename = references.filename_of(step.registry, filename, step.model_name)
        model_record = step.registry.find(filename, step.environment)
        if model_record.name != step.model_name:
            raise Refused(
                f"{filename} is a version of the model {model_record.name}, and this run is for {step.model_name}."
                " Name a version of that one."
            )
    compatibility.check_signature(model_record, signature)
    version_drift = compatibility.check_libraries(model_record, allow_drift=allow_version_drift, how=_ALLOW)
    model = step.registry.load(model_record)
    moment = clock.now()
    # A name of its own: a run that is done again must not make the first record untrue.
    name = f"predictions_{clock.in_filename(moment)}.parquet"
    inline: list[Any] = []
    generated = _generated(step, model_record, signature)
    found: Drift | None = None

    def predictions(table: Exchanged, identifiers: Identifiers) -> Iterator[pa.RecordBatch]:
        nonlocal found
        comparison = _comparison(generated, model_record, table.rows)
        yield from _predictions(estimator_of(model), model_record, table, identifiers, inline, comparison)
        # Before the file is whole, so that what is refused leaves none.
        found = _judged(comparison, model_record, gate, step)

    with preprocessed.opened("table") as opened, _identifiers(generated, model_record.identifier) as identifiers:
        table = Exchanged(opened)
        output = exchange.write(step, name, predictions(table, identifiers))

    folder = step.identity.run_path
    record = InferenceRecord(
        inference_time=clock.in_record(moment),
        environment=step.environment,
        inference_data=f"{folder}/{GENERATED}" if signature.data.source == paths.SAMPLE else signature.data.path,
        model_used=model_record.model_filename,
        model_name=step.model_name,
        predictions=inline if output.rows <= MOST_INLINE else None,
        model_hash=model_record.model_hash,
        model_sha256=model_record.sha256,
        predictions_path=f"{folder}/{output.path}",
        rows=output.rows,
        input_sha256=signature.data.sha256,
        output_sha256=output.sha256,
        source=signature.data.source,
        dtypes=signature.dtypes,
        transformation=signature.transformation,
        libraries=libraries.present(model_record.libraries or {}),
        version_drift=version_drift or None,
        drift=found,
        **step.cost(),
        **msgspec.structs.asdict(step.identity),
    )
    facts = {"model_used": record.model_used, "predictions_path": record.predictions_path, "rows": record.rows}
    if (said := drift.sentence(found)) is not None:
        facts["drift"] = said
    return Outcome(
        outputs={"predictions": output},
        facts=facts,
        proposal=InferenceProposal(record=record, path=output.path),
    )


def _generated(step: Step, record: ModelRecord, signature: InputSignature) -> StepInput[InputSignature] | None:
    """What generate_inf_data left; None: the model of ``record`` needs nothing of it."""
    if record.profile is None and record.identifier is None:
        return None
    generated = step.input("generate_inf_data", InputSignature)
    if generated.facts.data.sha256 != signature.data.sha256:
        raise Refused("generate_inf_data has read another table since. Run preprocess_inf_data again, then this.")
    return generated


def _comparison(generated: StepInput[InputSignature] | None, record: ModelRecord, rows: int) -> Comparison | None:
    """What compares this input with the profile of the model of ``record``; None: there is nothing to compare."""
    if generated is None or record.profile is None or "sample" not in generated.outputs:  # its image was of before
        return None
    with generated.opened("sample") as opened:
        return Comparison(record.profile, Exchanged(opened).batches(), rows)


def _judged(comparison: Comparison | None, record: ModelRecord, gate: DriftGate, step: Step) -> Drift | None:
    """How far this input is from training's, if that is not too far."""
    if comparison is None or record.profile is None:
        return None
    found = drift.judged(comparison.drift(), record.profile, gate)
    where = quality_gate.where(step.environment, step.model_name)
    drift.refuse(found, record.profile, gate, where, quality_gate.SHOWN)
    return found


def _predictions(
    estimator: Any,
    record: ModelRecord,
    table: Exchanged,
    identifiers: Identifiers,
    inline: list[Any],
    comparison: Comparison | None,
) -> Iterator[pa.RecordBatch]:
    """What the model says of each row, batch by batch, after what says which row it is.

    ``inline`` gets the first of it; ``comparison`` counts it.
    """
    rows = 0
    for frame in table.frames():
        found = predict(estimator, record, frame, rows_before=rows)
        if comparison is not None:
            comparison.add(found)
        if rows <= MOST_INLINE:
            inline += found.values.tolist()
        columns: dict[str, Any] = {record.identifier or ROW: identifiers(rows, len(frame))}
        columns |= {column: pa.array(values) for column, values in found.columns().items()}
        yield pa.RecordBatch.from_pydict(columns)
        rows += len(frame)


@contextmanager
def _identifiers(generated: StepInput[InputSignature] | None, name: str | None) -> Iterator[Identifiers]:
    """What says which row is which: the identifier of the source table, or the row's number from 1."""
    if name is None or generated is None:
        yield lambda before, count: pa.array(np.arange(before + 1, before + count + 1))
        return
    if generated.facts.identifier != name:
        yield lambda _, count: pa.nulls(count, pa.string())
        return
    with generated.opened("table") as opened:
        words = Words(Exchanged(opened).batches([name]))
        yield lambda _, count: words.next(count)
        words.end()


class Words:
    """A column of words, so many at a time as are asked for.

    Args:
        batches: of that column alone.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._rest = pa.array([], pa.string())

    def next(self, count: int) -> pa.Array:
        """The next ``count``.

        Raises:
            Refused: there are not so many.
        """
        while len(self._rest) < count:
            batch = next(self._batches, None)
            if batch is None:
                raise Refused("generate_inf_data has left fewer rows than preprocess_inf_data. Run both again.")
            self._rest = pa.concat_arrays([self._rest, batch.column(0).cast(pa.string())])
        found, self._rest = self._rest.slice(0, count), self._rest.slice(count)
        return found

    def end(self) -> None:
        """Read to the end, which proves what was read.

        Raises:
            Refused: there are more.
        """
        if len(self._rest) or next(self._batches, None) is not None:
            raise Refused("generate_inf_data has left more rows than preprocess_inf_data. Run both again.")
