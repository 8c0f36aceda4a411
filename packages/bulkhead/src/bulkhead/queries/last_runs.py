"""How the pipelines ended last, in each environment and of each model."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from bulkhead import formatting
from bulkhead.errors import one_line
from bulkhead.paths import JOURNALS, JournalName
from bulkhead.registry import journal, record_lines
from bulkhead.registry.records import InferenceFailure, InferenceRecord, ModelRecord, TrainingFailure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bulkhead.registry.store import Registry

_LINES = 10_000
_BYTES = 4 << 20
"""How far back is looked."""
_DECISIONS = frozenset({"check_model", "promote_model", "rollback_model", "revoke_model"})
"""Steps whose failures are in the training journal, too, and are no training's."""


class LastRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a pipeline of an environment and a model ended last, Airflow's or by hand."""

    environment: str
    name: str
    pipeline: JournalName
    outcome: Literal["success", "failed"]
    time: str
    what: str
    """The model file, how many predictions, or the failure's sentence."""
    cause: str | None = None
    """Of a failure."""
    dag_id: str | None = None
    run_id: str | None = None


def last_runs(registry: Registry, places: Iterable[tuple[str, str]]) -> list[LastRun]:
    """The last run of each pipeline in each environment and of each model, found from the ends of the journals.

    Args:
        registry: whose journals.
        places: environments and models of which there may be runs; where all have been found, reading ends.

    Raises:
        Untrusted: a journal is no plain file.
        OSError: one cannot be read.
    """
    found: dict[tuple[str, str, str], LastRun] = {}
    for name in JOURNALS:
        wanted, read = {*places}, 0
        for offset, line in islice(journal.lines_newest_first(registry.journal_of(name)), _LINES):
            read += len(line)
            run = _run(record_lines.decode_slim(line, offset), name)
            if run is not None and (run.environment, run.name, name) not in found:
                found[run.environment, run.name, name] = run
                wanted.discard((run.environment, run.name))
            if not wanted or read > _BYTES:
                break
    return sorted(found.values(), key=lambda run: (run.environment, run.name, run.pipeline != "training"))


def _run(record: Any, pipeline: JournalName) -> LastRun | None:
    """What ``record`` tells of a run of ``pipeline``; None: nothing."""
    match record:
        case ModelRecord(promotion=None):
            outcome, time, what = "success", record.training_timestamp, record.model_filename
        case InferenceRecord():
            outcome, time = "success", record.inference_time
            rows = "predictions" if record.rows is None else formatting.count(record.rows, "prediction")
            what = f"{rows} by {record.model_used}"
        case TrainingFailure() if record.step not in _DECISIONS:
            outcome, time, what = "failed", record.error_timestamp, record.detail
        case InferenceFailure():
            outcome, time, what = "failed", record.error_time, record.error_message
        case _:
            return None
    return LastRun(
        environment=record.environment or formatting.UNKNOWN,
        name=record.name,
        pipeline=pipeline,
        outcome=outcome,  # type: ignore[arg-type]  # one of the two above
        time=time,
        what=one_line(what),
        cause=getattr(record, "cause", None),
        dag_id=record.dag_id,
        run_id=record.run_id,
    )
