"""The forms that start pipelines, as arguments of Airflow's ``Param``; and the flags that they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import environments, project_models
from bulkhead.paths import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bulkhead.parameters import Field

Form = dict[str, dict[str, Any]]

SWITCHES = {
    "allow_unmeasured": (
        "Allow unmeasured",
        "Publish the model although nothing was measured, whatever models/gate.toml says; the record says so.",
    ),
    "allow_signature_change": (
        "Allow another signature",
        "Publish the model although it takes other columns or predicts another target than the served one.",
    ),
}
_SOURCE = "A .csv or .parquet file in shared/inputs/, by its name there, or a folder or pattern of several"


def source_field(
    environment: str, *, scheduled: bool, pattern: str | None = None, there: Sequence[str] = ()
) -> dict[str, Any]:
    """The field for the source table.

    Only the first environment falls back on the sample: elsewhere a table that nobody named must not be taken.

    Args:
        environment: the DAG's.
        scheduled: whether the DAG runs by itself, too.
        pattern: the schedule's own source.
        there: tables to choose among; others can be typed.
    """
    field: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 500, "title": "Source table"}
    known = [SAMPLE, *there] if environment == environments.FIRST else list(there)
    if there:
        field["examples"] = known
    if pattern is not None or (scheduled and environment != environments.FIRST):
        told = f"{_SOURCE}. Empty: {pattern or 'none, and the run is refused'}."
        return {**field, "type": ["null", "string"], "default": None, "description": told}
    if environment == environments.FIRST:
        return {**field, "default": SAMPLE, "description": f"{_SOURCE}; or: sample, a built-in table."}
    return {**field, "description": f"{_SOURCE}."}


def training(environment: str, name: str, source: dict[str, Any]) -> Form:
    """The form of a training: its table, the model's own parameters, and what this run is allowed.

    Raises:
        Refused: the project's parameters are none that a form can hold.
    """
    form: Form = {
        "source": source,
        # Null, not "": the form takes an empty string for one that is still to be filled in.
        "target": {
            "default": None,
            "type": ["null", "string"],
            "maxLength": 200,
            "title": "Target",
            "description": f"The column to predict. Empty: the one that project/{name}.py names.",
        },
        "features": {
            "default": None,
            "type": ["null", "string"],
            "maxLength": 8000,
            "title": "Features",
            "description": "The columns to predict from: a,b,c (one with a comma: quoted). Empty: those that"
            f" project/{name}.py names, else all but the target.",
        },
    }
    own = {field.name: of_field(field) for field in project_models.form_of(name)}
    ends: Form = {
        "serve": {
            # No type: of a boolean the form makes a switch, and a switch that is off says no where nothing was said.
            "default": None,
            "enum": [None, True, False],
            "values_display": {"null": "yes, but not in a backfill", "true": "yes", "false": "no"},
            "title": "Serve",
            "description": f"Whether {environment} is to serve the model. Empty: yes, but not in a backfill.",
        },
    }
    if environment != environments.FIRST:
        for switch, (title, description) in SWITCHES.items():
            ends[switch] = {"default": False, "type": "boolean", "title": title, "description": description}
    return {**form, **own, **ends}


def training_flags(environment: str, name: str) -> dict[str, str]:
    """The flags of ``train_model``, as templates of what the form says.

    Raises:
        Refused: as :func:`training`.
    """
    own = {field.flag: f"{{{{ word(params['{field.name}']) }}}}" for field in project_models.form_of(name)}
    switches = SWITCHES if environment != environments.FIRST else {}
    return {
        **own,
        "serve": "{{ word(is_served(params.serve, dag_run.run_type)) }}",
        **{switch.replace("_", "-"): f"{{{{ word(params.{switch}) }}}}" for switch in switches},
    }


def of_field(field: Field) -> dict[str, Any]:
    """A field of the parameters' struct: its JSON Schema, told as Airflow's form understands it."""
    schema = dict(field.schema)
    schema["default"] = msgspec.to_builtins(field.default)
    schema.setdefault("title", field.name.replace("_", " ").capitalize())
    schema.setdefault("description", f"{field.name} of the training.")
    members = schema.pop("anyOf", None)
    if members is not None:
        merged: dict[str, Any] = {}
        for member in members:
            merged |= {key: value for key, value in member.items() if key not in {"type", "enum", "title"}}
        told = {kind for member in members for kind in _types(member)}
        if "number" in told:
            told.discard("integer")  # is one; and of two the form makes no field for a number
        schema = {**merged, **schema, "type": sorted(told)}
        if any("enum" in member for member in members):
            schema["enum"] = [one for member in members for one in member.get("enum", [None])]
    elif "enum" in schema:
        kinds = _types(schema)
        schema["type"] = kinds[0] if len(kinds) == 1 else kinds
    return schema


def word(value: Any) -> str:
    """``value`` of a form as a flag has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_served(serve: bool | None, run_type: str) -> bool:  # noqa: FBT001  # a form's value
    """Whether a training's model is to be served: one of the past is not, unless the form says so."""
    return run_type != "backfill" if serve is None else serve


def refusal(conf: Mapping[str, Any] | None, known: Mapping[str, Any], command: Sequence[str]) -> str | None:
    """Why a run is refused that asks for what its DAG does not know, or on a table that nobody names; None: it is not.

    Args:
        conf: what the run was given.
        known: the form's keys.
        command: what the step would be told.
    """
    if "--source=" in command and not set(conf or {}) - set(known):
        return (
            "no source table is named for this run: neither by its form nor for its DAG in project/schedule.toml."
            " Trigger the DAG with a source, or give one there."
        )
    return unknown_keys(conf, known)


def unknown_keys(conf: Mapping[str, Any] | None, known: Mapping[str, Any]) -> str | None:
    """Why a run is refused whose conf has keys that its DAG's form does not; None: it has none.

    A mistyped key would else leave the default in place, and nobody would hear of it.
    """
    unknown = sorted(set(conf or {}) - set(known))
    if not unknown:
        return None
    told = ", ".join(repr(key[:60]) for key in unknown[:5])
    knows = ", ".join(known) or "none"
    return f"the conf of this run has {told}, which its DAG does not know. Trigger it with any of: {knows}."


def _types(schema: Mapping[str, Any]) -> list[str]:
    if "enum" in schema:
        names = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
        return sorted({names[type(one)] for one in schema["enum"]})
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)
