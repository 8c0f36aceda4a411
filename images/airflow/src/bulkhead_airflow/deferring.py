"""How a task lets go of its step in Airflow's terms: its trigger, and the log of an earlier one."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import msgspec
from airflow.sdk._shared.secrets_masker import _secrets_masker
from airflow.sdk.configuration import conf

from engine.transcript import Position
from engine.waiting import Waited

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bulkhead_airflow.step_trigger import StepTrigger
    from engine.waiting import Wanted


def trigger_of(wanted: Wanted) -> StepTrigger:
    """The trigger that waits for the container; it hides what is secret in this process."""
    # Where DAGs are read nobody waits.
    from bulkhead_airflow.step_trigger import StepTrigger

    return StepTrigger(msgspec.json.encode(wanted).decode(), sorted(_secrets_masker().patterns), time.time())


def waited(event: object, position: str) -> Waited:
    """What the trigger says, with the position at which the task let go where it does not know one.

    Args:
        event: of the trigger; whatever it is.
        position: as ``Position.encode`` wrote it.
    """
    try:
        said = msgspec.json.decode(str(event), type=Waited)
    except msgspec.DecodeError:
        said = Waited(why=f"Airflow says {str(event)[:200]!r}")
    if said.position is not None:
        return said
    return msgspec.structs.replace(said, position=Position.decode(position))


def keep_earlier_log(context: Context) -> None:
    """Rename what triggers of this try have logged before: Airflow's triggerer begins a file of that name anew.

    It shows every file whose name begins as the task log's does.
    """
    ti: Any = context["ti"]
    with suppress(OSError, jinja2.TemplateError):
        template = jinja2.Template(conf.get("logging", "log_filename_template"))
        path = Path(conf.get("logging", "base_log_folder")) / template.render(ti=ti, try_number=ti.try_number)
        earlier = sorted(path.parent.glob(f"{path.name}.trigger.*.log"))
        for number, found in enumerate(earlier, start=time.time_ns() // 1_000_000):
            found.rename(found.with_name(f"{found.name}.{number}"))
