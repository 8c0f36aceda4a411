"""What every image of Bulkhead agrees on: records, the registry, run folders, result files, errors.

The names below are the public API: import them from here, in a notebook or in a step::

    from bulkhead import Registry

    registry = Registry(Path("models"))
    model = registry.load(registry.latest("prd"))

Each is imported when it is first used, so that ``import bulkhead.paths`` needs the standard library alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bulkhead.errors import (
        BulkheadError,
        NoModel,
        NotGoodEnough,
        NotVerified,
        OutOfService,
        Overtaken,
        Refused,
        Stopped,
    )
    from bulkhead.identity import ENVIRONMENTS, Environment, Identity
    from bulkhead.registry.records import (
        Decision,
        Failure,
        InferenceFailure,
        InferenceRecord,
        JournalName,
        Lineage,
        ModelRecord,
        Promotion,
        Quarantine,
        Record,
        Removal,
        Revocation,
        Rollback,
        TrainingFailure,
        Unreadable,
    )
    from bulkhead.registry.serving import ModelVersion, RegistryState
    from bulkhead.registry.store import Registry
    from bulkhead.step.result import Output, StepResult
    from bulkhead.step.runner import Outcome, Step
    from bulkhead.step.step_input import StepInput

__all__ = [
    "ENVIRONMENTS",
    "BulkheadError",
    "Decision",
    "Environment",
    "Failure",
    "Identity",
    "InferenceFailure",
    "InferenceRecord",
    "JournalName",
    "Lineage",
    "ModelRecord",
    "ModelVersion",
    "NoModel",
    "NotGoodEnough",
    "NotVerified",
    "OutOfService",
    "Outcome",
    "Output",
    "Overtaken",
    "Promotion",
    "Quarantine",
    "Record",
    "Refused",
    "Registry",
    "RegistryState",
    "Removal",
    "Revocation",
    "Rollback",
    "Step",
    "StepInput",
    "StepResult",
    "Stopped",
    "TrainingFailure",
    "Unreadable",
]

_NAMES_BY_MODULE = {
    "errors": (
        *("BulkheadError", "NoModel", "NotGoodEnough", "NotVerified"),
        *("OutOfService", "Overtaken", "Refused", "Stopped"),
    ),
    "identity": ("ENVIRONMENTS", "Environment", "Identity"),
    "registry.records": (
        *("Decision", "Failure", "InferenceFailure", "InferenceRecord", "JournalName", "Lineage", "ModelRecord"),
        *("Promotion", "Quarantine", "Record", "Removal", "Revocation", "Rollback", "TrainingFailure", "Unreadable"),
    ),
    "registry.serving": ("ModelVersion", "RegistryState"),
    "registry.store": ("Registry",),
    "step.result": ("Output", "StepResult"),
    "step.runner": ("Outcome", "Step"),
    "step.step_input": ("StepInput",),
}
_MODULE_OF = {name: f"bulkhead.{module}" for module, names in _NAMES_BY_MODULE.items() for name in names}


if not TYPE_CHECKING:  # a type checker would take it for leave to use any name

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
