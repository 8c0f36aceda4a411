"""On which hosts a step may run: ``project/steps.toml``, as Airflow's queues.

    [steps.train_model]           # of every model
    queue = "gpu"

    [churn.steps.train_model]     # of the model churn alone
    queue = "large"

Where there is one host, queues say nothing.
"""

from __future__ import annotations

import functools
import re
import tomllib
from typing import TYPE_CHECKING

from bulkhead import project_models, untrusted
from bulkhead.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "steps.toml"
_QUEUE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_LIMIT = 1 << 20


def queue_of(task_id: str, model: str) -> str | None:
    """The queue of the step ``task_id`` of ``model``; None: the file does not say.

    Raises:
        Refused: the file is not what it should be.
    """
    queues = _queues()
    return queues.get((model, task_id), queues.get(("", task_id)))


def _queues() -> Mapping[tuple[str, str], str]:
    """By model, empty for every one, and step."""
    try:
        content = untrusted.read(project_models.folder(), NAME, limit=_LIMIT)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Refused(f"project/{NAME} cannot be read: {error.strerror}.") from None
    return _parsed(content)


@functools.lru_cache(maxsize=1)
def _parsed(content: bytes) -> Mapping[tuple[str, str], str]:
    try:
        tables = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refused(f"project/{NAME} is no TOML: {error}.") from None
    found = _of_model("", tables.pop("steps", {}))
    for model, table in tables.items():
        if not isinstance(table, dict) or set(table) != {"steps"}:
            raise Refused(f"project/{NAME}: {model} is no table of steps. Write [steps.TASK] or [MODEL.steps.TASK].")
        found |= _of_model(model, table["steps"])
    return found


def _of_model(model: str, steps: object) -> dict[tuple[str, str], str]:
    where = f"{model}.steps" if model else "steps"
    if not isinstance(steps, dict):
        raise Refused(f"project/{NAME}: {where} is no table. Write [{where}.TASK].")
    return {(model, task_id): _queue(table, f"{where}.{task_id}") for task_id, table in steps.items()}


def _queue(found: object, where: str) -> str:
    queue = found.get("queue") if isinstance(found, dict) and set(found) == {"queue"} else None
    if not isinstance(queue, str) or not _QUEUE.fullmatch(queue):
        raise Refused(f'project/{NAME}, table {where}: it is {found!r}. Write one line there: queue = "NAME".')
    return queue
