"""What every image of Bulkhead agrees on: records, the registry, run folders, result files, errors.

The names below are the public API: import them from here, in a notebook or in a step::

    import bulkhead

    model = bulkhead.load("prd")
    model.predict(frame)

Each is imported when it is first used, so that ``import bulkhead.paths`` needs the standard library alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bulkhead.environments import ENVIRONMENTS as ENVIRONMENTS
    from bulkhead.errors import BulkheadError as BulkheadError
    from bulkhead.errors import Drifted as Drifted
    from bulkhead.errors import NoModel as NoModel
    from bulkhead.errors import NotGoodEnough as NotGoodEnough
    from bulkhead.errors import NotVerified as NotVerified
    from bulkhead.errors import OutOfService as OutOfService
    from bulkhead.errors import Overtaken as Overtaken
    from bulkhead.errors import Refused as Refused
    from bulkhead.errors import Stopped as Stopped
    from bulkhead.identity import Environment as Environment
    from bulkhead.identity import Identity as Identity
    from bulkhead.paths import JournalName as JournalName
    from bulkhead.prediction.loaded import LoadedModel as LoadedModel
    from bulkhead.prediction.loaded import load as load
    from bulkhead.registry.lineage import Lineage as Lineage
    from bulkhead.registry.profiles import Drift as Drift
    from bulkhead.registry.profiles import Evaluation as Evaluation
    from bulkhead.registry.profiles import Profile as Profile
    from bulkhead.registry.records import Acceptance as Acceptance
    from bulkhead.registry.records import Anchor as Anchor
    from bulkhead.registry.records import Decision as Decision
    from bulkhead.registry.records import Failure as Failure
    from bulkhead.registry.records import InferenceFailure as InferenceFailure
    from bulkhead.registry.records import InferenceRecord as InferenceRecord
    from bulkhead.registry.records import ModelRecord as ModelRecord
    from bulkhead.registry.records import Promotion as Promotion
    from bulkhead.registry.records import Quarantine as Quarantine
    from bulkhead.registry.records import Record as Record
    from bulkhead.registry.records import Rejection as Rejection
    from bulkhead.registry.records import Removal as Removal
    from bulkhead.registry.records import Revocation as Revocation
    from bulkhead.registry.records import Rollback as Rollback
    from bulkhead.registry.records import TrainingFailure as TrainingFailure
    from bulkhead.registry.records import Unreadable as Unreadable
    from bulkhead.registry.serving import ModelVersion as ModelVersion
    from bulkhead.registry.serving import RegistryState as RegistryState
    from bulkhead.registry.store import Registry as Registry
    from bulkhead.step.result import Output as Output
    from bulkhead.step.result import StepResult as StepResult
    from bulkhead.step.runner import Outcome as Outcome
    from bulkhead.step.runner import Step as Step
    from bulkhead.step.step_input import StepInput as StepInput

_MODULE_OF = {
    "Rejection": "bulkhead.registry.records",
    "Acceptance": "bulkhead.registry.records",
    "Anchor": "bulkhead.registry.records",
    "BulkheadError": "bulkhead.errors",
    "Decision": "bulkhead.registry.records",
    "Drift": "bulkhead.registry.profiles",
    "Drifted": "bulkhead.errors",
    "ENVIRONMENTS": "bulkhead.environments",
    "Environment": "bulkhead.identity",
    "Evaluation": "bulkhead.registry.profiles",
    "Failure": "bulkhead.registry.records",
    "Identity": "bulkhead.identity",
    "InferenceFailure": "bulkhead.registry.records",
    "InferenceRecord": "bulkhead.registry.records",
    "JournalName": "bulkhead.paths",
    "Lineage": "bulkhead.registry.lineage",
    "LoadedModel": "bulkhead.prediction.loaded",
    "ModelRecord": "bulkhead.registry.records",
    "ModelVersion": "bulkhead.registry.serving",
    "NoModel": "bulkhead.errors",
    "NotGoodEnough": "bulkhead.errors",
    "NotVerified": "bulkhead.errors",
    "OutOfService": "bulkhead.errors",
    "Outcome": "bulkhead.step.runner",
    "Output": "bulkhead.step.result",
    "Overtaken": "bulkhead.errors",
    "Profile": "bulkhead.registry.profiles",
    "Promotion": "bulkhead.registry.records",
    "Quarantine": "bulkhead.registry.records",
    "Record": "bulkhead.registry.records",
    "Refused": "bulkhead.errors",
    "Registry": "bulkhead.registry.store",
    "RegistryState": "bulkhead.registry.serving",
    "Removal": "bulkhead.registry.records",
    "Revocation": "bulkhead.registry.records",
    "Rollback": "bulkhead.registry.records",
    "Step": "bulkhead.step.runner",
    "StepInput": "bulkhead.step.step_input",
    "StepResult": "bulkhead.step.result",
    "Stopped": "bulkhead.errors",
    "TrainingFailure": "bulkhead.registry.records",
    "Unreadable": "bulkhead.registry.records",
    "load": "bulkhead.prediction.loaded",
}

__all__ = list(_MODULE_OF)


if not TYPE_CHECKING:  # a type checker would take it for leave to use any name

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
