"""How values of records are shown: as text, whatever they hold. Numbers and times: :mod:`bulkhead.formatting`."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from jinja2 import Undefined

from bulkhead import formatting
from bulkhead.errors import one_line
from bulkhead.registry import metrics
from bulkhead.registry.store import MODEL_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import URL

    from bulkhead.identity import Identity
    from bulkhead.queries.last_runs import LastRun
    from bulkhead.registry.lineage import Lineage
    from models_page.registry_view import ServedVersion

_SHORT_HASH = 12
_PREDICTIONS = 5
_LONGEST_LINK = 1000
_LONGEST_NAME = 255
_LONGEST_QUERY = 300
_NO_PATTERN = {
    "cursor": "is no place in this list. Begin at its first page.",
    "sort": "is no order of this list. Give time or -time.",
}
"""By field, in words: no person reads a pattern."""


def text(value: Any, limit: int = 400) -> str:
    """``value`` in one line of printable characters: no control, no change of direction, no more than ``limit``."""
    if value is None or isinstance(value, Undefined):
        return formatting.UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return formatting.number(value)
    if not isinstance(value, str):
        value = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
    if len(value) > limit:
        return f"{one_line(value[:limit], 6 * limit)}… ({len(value):,} characters)"
    return one_line(value, 6 * limit)


def figure(value: Any) -> str:
    """A number as people read it; anything else as :func:`text` has it."""
    return formatting.number(value) if type(value) in (int, float) else text(value)


def told(value: Any) -> str:
    """``value`` as :func:`figure`; of a mapping or list its members, not its JSON."""
    if isinstance(value, dict):
        return _joined([f"{key} {told(member)}" for key, member in islice(value.items(), 20)], len(value))
    if isinstance(value, list):
        return _joined(list(map(told, islice(value, 50))), len(value))
    return figure(value)


def psi(value: float) -> str:
    """A population stability index in at most six decimals: less is how computers add, and no difference."""
    return formatting.number(round(value, 6) + 0.0)  # without the sign that a zero can have


def refusal(error: Mapping[str, Any]) -> str:
    """What is wrong with a field of a query, for a person; ``error`` as pydantic has it."""
    if error["type"] == "string_pattern_mismatch":
        return _NO_PATTERN.get(error["loc"][-1], "is not written as it has to be.")
    words: str = error["msg"]
    return words


def short(value: str | None) -> str:
    """The beginning of a hash."""
    return formatting.UNKNOWN if value is None else text(value[:_SHORT_HASH])


def run_path(identity: Identity | LastRun) -> str | None:
    """The page of the attempt in Airflow, below its root; None: it was no run of a DAG."""
    if not identity.dag_id or not identity.run_id or len(identity.dag_id) + len(identity.run_id) > _LONGEST_LINK:
        return None
    path = f"/dags/{_part(identity.dag_id)}/runs/{_part(identity.run_id)}"
    task_id: str | None = getattr(identity, "task_id", None)  # the last run of a pipeline is more than one task
    return f"{path}/tasks/{_part(task_id[:_LONGEST_LINK])}" if task_id else path


def predictions(value: Any) -> str:
    """The first of an inference's predictions."""
    if not isinstance(value, list):
        return text(value, 120)
    shown = ", ".join(text(figure(one), 40) for one in value[:_PREDICTIONS])
    return f"{shown}, … ({len(value):,} in all)" if len(value) > _PREDICTIONS else shown or "none"


def plain(record: msgspec.Struct) -> Any:
    """``record`` as a mapping without what is not known."""
    return {key: value for key, value in msgspec.to_builtins(record).items() if value is not None}


def path(name: str) -> str:
    """``name`` as the end of a URL's path."""
    return _part(name)


def typed(value: str | None) -> str:
    """What a field of a form held, where a person can have typed it."""
    return value if value and value.isprintable() else ""


def is_query(value: str) -> bool:
    """Whether a filter takes ``value``, and a form can hold it."""
    return 0 < len(value) <= _LONGEST_QUERY and value.isprintable()


def is_file_name(name: str) -> bool:
    """Whether a file can have this name, and a form hold it."""
    return len(name) <= _LONGEST_NAME and name.isprintable() and "/" not in name


def model_name(name: str) -> str:
    """The name of a model file as short as a table wants it: its time to the second, and the beginning of its hash."""
    parts = MODEL_NAME.fullmatch(name)
    return text(name, 44) if parts is None else f"{parts[1][:15]}Z_{parts[2][:8]}"


def is_model_file(name: str) -> bool:
    """Whether it is what a published model's file is called."""
    return MODEL_NAME.fullmatch(name) is not None


def pattern(text: str) -> str:
    """What a form's field must hold to be ``text``."""
    return re.sub(r"[^A-Za-z0-9_ #]", ".", text)


def by_name(served: list[ServedVersion]) -> list[tuple[str, list[ServedVersion]]]:
    """What is served, by model, in the order of their first places."""
    found: dict[str, list[ServedVersion]] = {}
    for one in served:
        found.setdefault(one.name, []).append(one)
    return list(found.items())


def leading_metrics(record: Lineage, most: int) -> list[tuple[str, float | None]]:
    """The first metrics that ``record`` is judged by; None for one that was not measured."""
    found = metrics.measured(record)
    return [(name, found.get(name)) for name in islice(metrics.goals_of(record), most)]


def with_query(url: URL, **changes: str | None) -> str:
    """The query of ``url`` for the first page, ``changes`` applied; None takes a parameter out."""
    kept = url.remove_query_params(["cursor", *changes])
    given = {key: value.encode(errors="replace").decode() for key, value in changes.items() if value is not None}
    return kept.include_query_params(**given).query


def with_cursor(url: URL, cursor: object) -> str:
    """The query of ``url`` for the page that begins at ``cursor``."""
    return url.include_query_params(cursor=str(cursor)).query


def without_cursor(url: URL) -> str:
    """The query of ``url`` for the first page."""
    return url.remove_query_params("cursor").query


def _joined(shown: list[str], count: int) -> str:
    more = [f"and {formatting.number(count - len(shown))} more"] if count > len(shown) else []
    return text(", ".join(shown + more), 1000) or "none"


def _part(name: str) -> str:
    return quote(name, safe="", errors="replace")
