"""Runs inside the Airflow image: a step that is let go and comes back, as JSON. The step's own life is written down."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.models.trigger import Trigger
from airflow.sdk._shared.secrets_masker import mask_secret
from airflow.sdk.exceptions import TaskDeferred

from bulkhead_airflow import StepOperator, deferring, operator, step_trigger
from engine.deferral import StepDeferredError
from engine.step_run import Ending
from engine.transcript import Position, StreamPosition
from engine.waiting import Waited, Wanted

CONTAINER = f"ENGINE:1/{'a' * 64}/2026-11-29T00:00:00+00:00"
POSITION = Position(StreamPosition("2026-11-29T00:00:00.000000000Z", 2), StreamPosition(), 10)
WANTED = Wanted(container="a" * 64, seconds=60, folder="/nowhere", disk=1, kept="1g", position=POSITION, patience=0.1)
said: dict[str, Any] = {"followed": []}


class Step:
    """A step that is let go once, and has ended when somebody comes back."""

    def __init__(self, *_: Any) -> None:
        self.outcome: Any = None

    def look(self) -> bool:
        return False

    def connect(self) -> None:
        """It answers."""

    def is_here(self, container: str) -> bool:
        assert container == CONTAINER
        return "elsewhere" not in said

    def find_or_start(self) -> str:
        return CONTAINER

    def follow(self, container: str, waited: Waited | None, *, is_deferrable: bool) -> Ending:
        said["followed"].append([container, waited and waited.why, waited and waited.position == POSITION])
        if waited is None and is_deferrable and "again" not in said:
            raise StepDeferredError(CONTAINER, WANTED)
        return Ending()

    def conclude(self, container: str, _: Ending) -> None:
        assert container == CONTAINER
        self.outcome = SimpleNamespace(facts={"made": 1}, result=None)


vars(operator)["StepRun"] = Step
operator.StepOperator._check_trigger = lambda *_: None  # type: ignore[method-assign]
ti = SimpleNamespace(dag_id="d", run_id="r", task_id="train_model", try_number=1, map_index=-1, id="t", stats_tags={})
context: Any = {"ti": ti, "outlets": [], "task_state_store": None}
mask_secret("of-a-connection-(0815)")


def made() -> StepOperator:
    return StepOperator(task_id="train_model", image="trainer", journal="training", environment="dev")


# It is let go, and what its first trigger has logged is out of the next one's way.
logs = Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]) / "dag_id=d/run_id=r/task_id=train_model"
logs.mkdir(parents=True)
(logs / "attempt=1.log").write_text("the task's")
(logs / "attempt=1.log.trigger.7.log").write_text("an earlier trigger's")
task = made()
try:
    task._attach_or_start = lambda context: task.poll_until_complete(CONTAINER, context)  # type: ignore[method-assign]
    StepOperator.execute.__wrapped__(task, context)  # type: ignore[attr-defined]
    raise AssertionError("it was not let go")
except TaskDeferred as error:
    deferred = error
classpath, arguments = deferred.trigger.serialize()
kept = deferred.kwargs or {}
said["classpath"], said["method"], said["kept"] = classpath, deferred.method_name, sorted(kept)
# As it is on its way: encrypted, and taken apart.
stored = Trigger(classpath=classpath, kwargs=arguments)
said["hidden"] = "0815" not in stored.encrypted_kwargs and "0815" not in repr(deferred.trigger)
trigger = step_trigger.StepTrigger(**stored.kwargs)
said["same"] = trigger.serialize() == (classpath, arguments)
said["masks"] = step_trigger.masking(trigger.masked)("a of-a-connection-(0815) b")
said["logs"] = sorted(path.stem if path.suffix[1:].isdigit() else path.name for path in logs.iterdir())


async def events(trigger: Any) -> list[Any]:
    return [event.payload async for event in trigger.run()]


# Whatever happens to the trigger, there is one event, and it is for the task to judge.
trigger.deferred_at = time.time() - 60
vars(step_trigger)["_process_began"] = lambda: 0.0
for name, wanted in {"nobody there": trigger.wanted, "nonsense": "{"}.items():
    trigger.wanted = wanted
    said[name] = [deferring.waited(payload, POSITION.encode()).why for payload in asyncio.run(events(trigger))]

# It comes back.
said["result"] = made().resume_execution("resume", {**kept, "event": None}, context)
event = json.dumps({"why": "the container has ended", "position": json.loads(POSITION.encode())})
said["result"] = made().resume_execution("resume", {**kept, "event": event}, context)
said["again"] = True
# On another host than the one that has its container, it begins as a new try does.
said["elsewhere"] = True
task = made()
task._attach_or_start = lambda context: {"begun": "anew" if context else ""}  # type: ignore[method-assign]
said["elsewhere"] = task.resume_execution("resume", {**kept, "event": event}, context)
task = made()
task._attach_or_start = lambda context: task.poll_until_complete(CONTAINER, context)  # type: ignore[method-assign]
StepOperator.execute = StepOperator.execute.__wrapped__  # type: ignore[attr-defined, method-assign]
said["after a failed trigger"] = task.resume_execution("__fail__", {"error": "Trigger failure"}, context)
print(json.dumps(said))
