"""Parameters of a training: one struct is the trigger form, the flags of ``train_model``, and what the record keeps.

``project/parameters.py`` has it for every model, ``project/<name>_parameters.py`` for one. Airflow imports it, so it
must import no ML library.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from bulkhead.errors import Refused, one_line, short

if TYPE_CHECKING:
    from collections.abc import Mapping


class TrainingParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every training takes; a project's own struct adds to it. Each field has a default."""

    test_fraction: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            title="Hold-out share",
            description="Share of the rows that only measure the model. 0: all rows train, and nothing is measured.",
        ),
    ] = 0.2
    seed: Annotated[
        int, Meta(ge=0, le=2**32 - 1, title="Seed", description="Draws the rows that measure, and what else is drawn.")
    ] = 0


class Field(msgspec.Struct, frozen=True):
    """One parameter, as forms and command lines need it."""

    name: str
    default: Any
    schema: dict[str, Any]
    """Its JSON Schema, with ``title`` and ``description`` where the struct has them."""
    type: Any = Any
    """As the struct declares it."""

    @property
    def flag(self) -> str:
        """What a command line calls it, without dashes before it."""
        return self.name.replace("_", "-")


TAKEN = frozenset(
    {
        *("source", "target", "features", "environment", "name", "help"),
        *("serve", "allow_unmeasured", "allow_signature_change", "estimator"),
    }
)
"""What forms and command lines ask for besides."""
_SIMPLE = ("Int", "Float", "Str", "Bool", "None", "Literal", "Enum")


def fields_of(parameters: Any) -> list[Field]:
    """The fields of ``parameters``, in their order.

    Raises:
        Refused: it is no such struct, or a field has no default, or one that no form can hold.
    """
    if not (isinstance(parameters, type) and issubclass(parameters, TrainingParameters)):
        raise Refused("Parameters must be a class of its own that extends bulkhead.parameters.TrainingParameters.")
    definitions = msgspec.json.schema(parameters)["$defs"]
    schemas = _whole(definitions[parameters.__name__]["properties"], definitions)
    found = []
    for one in msgspec.structs.fields(parameters):
        if one.name in TAKEN:
            raise Refused(f"the parameter {one.name} has a name that the trigger form uses already. Rename it.")
        if one.required:
            raise Refused(f"the parameter {one.name} has no default, and a step run by hand needs one. Give it one.")
        kind = _bare(msgspec.inspect.type_info(one.type))
        members = [_bare(one) for one in (kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,))]
        if one.encode_name != one.name:
            raise Refused(
                f"the parameter {one.name} is renamed to {one.encode_name}. Call the field so, without rename."
            )
        kinds = {type(member).__name__.removesuffix("Type") for member in members} - {"None"}
        if len(kinds) > 1 and kinds != {"Int", "Float"}:
            raise Refused(f"the parameter {one.name} may be of several types, and a form has one. Choose one, or None.")
        if not all(type(member).__name__.removesuffix("Type") in _SIMPLE for member in members):
            raise Refused(f"the parameter {one.name} is no number, text, truth value or choice of some. Make it one.")
        default = one.default_factory() if one.default is msgspec.NODEFAULT else one.default
        try:
            msgspec.convert(default, one.type)
        except msgspec.ValidationError as error:
            raise Refused(f"the parameter {one.name} has a default that it does not take: {error}. Fix it.") from None
        if isinstance(default, float) and not math.isfinite(default):
            raise Refused(f"the parameter {one.name} is {default} by default, which no record can hold. Use null or 0.")
        found.append(Field(one.name, default, schemas[one.name], one.type))
    return found


def _bare(kind: Any) -> Any:
    while isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    return kind


def _whole(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """``schema`` with the definitions that it refers to in their places: a form sees one field alone."""
    if isinstance(schema, list):
        return [_whole(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    named = definitions.get(str(schema.get("$ref")).removeprefix("#/$defs/"), {})
    own = {key: _whole(value, definitions) for key, value in schema.items() if key != "$ref"}
    return {key: value for key, value in named.items() if key != "title"} | own


def from_words(parameters: type[TrainingParameters], words: Mapping[str, str]) -> TrainingParameters:
    """The parameters that a command line gives as text, by the names of their fields.

    Raises:
        Refused: one is not what its field takes, or there is no such field.
    """
    types = {one.name: one.type for one in msgspec.structs.fields(parameters)}
    given: dict[str, Any] = {}
    for name, text in words.items():
        if name not in types:
            raise Refused(f"there is no parameter {short(name)}. Name one of: {', '.join(types)}.")
        given[name] = from_word(name, types[name], text)
    try:
        # Only now, all of them: a struct may say what fits together.
        return parameters(**given)
    except Exception as error:
        told = one_line(f"{type(error).__name__}: {error}", 300)
        raise Refused(f"the parameters do not fit together: {told}. Give other values.") from error


def from_word(name: str, kind: Any, text: str) -> Any:
    """``text`` as the field ``name`` of the type ``kind`` takes it; ``null`` is nothing where it takes that.

    Raises:
        Refused: it does not take it.
    """
    if text == "null":
        with suppress(msgspec.ValidationError):
            return msgspec.convert(None, kind)
    try:
        value = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(f"parameter {name}: {error}, and it is {short(text)}. Give another value.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(f"parameter {name}: {short(text)} is not finite. Give another value.")
    return value
