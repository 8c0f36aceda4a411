"""What has come of a task, as one sentence for people: for its log, and for the note of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhead import formatting
from bulkhead.errors import Refused
from bulkhead.model_name import named
from bulkhead.registry import metrics
from bulkhead.registry.records import InferenceRecord, ModelRecord, Revocation

if TYPE_CHECKING:
    from bulkhead.registry.records import Failure, Rollback, Success
    from bulkhead.registry.store import Registry

_MOST_NAMED = 5


def of_success(record: Success, registry: Registry) -> str:
    """What ``record`` says was done.

    Args:
        record: the outcome.
        registry: says which versions the files are that the record names.
    """
    match record:
        case ModelRecord(promotion=None):
            return _published(record)
        case ModelRecord():
            return _promoted(record, registry)
        case InferenceRecord():
            return _predicted(record, registry)
        case Revocation():
            return f"revoked {_called(record.model_filename, registry)}: no environment serves it any more"
    return _rolled_back(record, registry)


def of_failure(record: Failure) -> str:
    """Which task has failed, in which try, and why."""
    detail = getattr(record, "detail", None) or getattr(record, "error_message", "")
    place = "" if record.map_index in {None, -1} else f"[{record.map_index}]"
    again = "" if record.try_number in {None, 1} else f" try {record.try_number}"
    return f"{record.step or record.task_id}{place}{again}: {record.cause}: {detail}"


def version(record: ModelRecord) -> str:
    """``churn #12``; the file's name where the record has no number."""
    return record.short_name or named(record.model_filename, record.name)


def _published(record: ModelRecord) -> str:
    said = [f"published {version(record)}", *_metric(record), *_rows(record)]
    if record.serve is False:
        said.append("not served")
    return ", ".join(said)


def _metric(record: ModelRecord) -> list[str]:
    """The leading metric, where it was measured."""
    name = metrics.leading(record)
    found = metrics.finite((record.metrics or {}).get(name))
    return [] if found is None else [f"{name} {formatting.metric(found)}"]


def _rows(record: ModelRecord) -> list[str]:
    """How many rows it was fitted and measured on."""
    found = record.metrics or {}
    fitted, held_out = (found.get(key) for key in ("train_rows", "test_rows"))
    if type(fitted) is not int and record.trained_on is not None:
        fitted = record.trained_on.rows
    numbers = [formatting.number(rows) for rows in (fitted, held_out) if type(rows) is int]
    return [f"{'/'.join(numbers)} rows"] if numbers else []


def _promoted(record: ModelRecord, registry: Registry) -> str:
    made: Any = record.promotion
    instead = f" in place of {_called(made.replaces, registry)}" if made.replaces else ""
    return f"promoted {version(record)} to {record.environment}{instead}, approved by {made.by}"


def _predicted(record: InferenceRecord, registry: Registry) -> str:
    said = f"{formatting.number(record.rows)} predictions by {_called(record.model_used, registry)}"
    drifted = record.drift.drifted if record.drift is not None else []
    if not drifted:
        return said
    more = f" and {len(drifted) - _MOST_NAMED} more" if len(drifted) > _MOST_NAMED else ""
    return f"{said}; drifted: {', '.join(drifted[:_MOST_NAMED])}{more}"


def _rolled_back(record: Rollback, registry: Registry) -> str:
    withdrawn = record.withdrawn
    taken = _called(withdrawn[0], registry) if len(withdrawn) == 1 else f"{len(withdrawn)} versions"
    return f"rolled {record.environment} back to {_called(record.model_filename, registry)}, withdrawing {taken}"


def _called(filename: str, registry: Registry) -> str:
    """The version that the file is, whether or not it is in service."""
    try:
        for record in registry.records_newest_first():
            if isinstance(record, ModelRecord) and record.model_filename == filename:
                return version(record)
    except (Refused, OSError):  # a sentence is not worth a failure
        pass
    return filename
