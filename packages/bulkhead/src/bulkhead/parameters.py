"""Parameters of a training: one struct is the trigger form, the flags of ``train_model``, and what the record keeps.

``project/parameters.py`` has it for every model, ``project/<name>_parameters.py`` for one. Airflow imports it, so it
must import no ML library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from bulkhead.errors import Refused, short

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

    @property
    def flag(self) -> str:
        """What a command line calls it, without dashes before it."""
        return self.name.replace("_", "-")


TAKEN = frozenset(
    {
        *("source", "target", "features", "environment", "name", "help"),
        *("serve", "allow_unmeasured", "allow_signature_change"),
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
        kind = msgspec.inspect.type_info(one.type)
        while isinstance(kind, msgspec.inspect.Metadata):
            kind = kind.type
        members = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
        if one.encode_name != one.name:
            raise Refused(
                f"the parameter {one.name} is renamed to {one.encode_name}. Call the field so, without rename."
            )
        if sum(not isinstance(member, msgspec.inspect.NoneType) for member in members) > 1:
            raise Refused(f"the parameter {one.name} may be of several types, and a form has one. Choose one, or None.")
        if not all(type(member).__name__.removesuffix("Type") in _SIMPLE for member in members):
            raise Refused(f"the parameter {one.name} is no number, text, truth value or choice of some. Make it one.")
        default = one.default_factory() if one.default is msgspec.NODEFAULT else one.default
        try:
            msgspec.convert(default, one.type)
        except msgspec.ValidationError as error:
            raise Refused(f"the parameter {one.name} has a default that it does not take: {error}. Fix it.") from None
        found.append(Field(one.name, default, schemas[one.name]))
    return found


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
    known = [field.name for field in fields_of(parameters)]
    given: dict[str, Any] = {}
    for name, text in words.items():
        if name not in known:
            raise Refused(f"there is no parameter {short(name)}. Name one of: {', '.join(known)}.")
        try:
            given[name] = _value(parameters, name, text)
        except msgspec.ValidationError as error:
            reason = str(error).partition(" - at")[0]
            raise Refused(f"parameter {name}: {reason}, and it is {short(text)}. Give another value.") from None
    return msgspec.convert(given, parameters)


def _value(parameters: type[TrainingParameters], name: str, text: str) -> Any:
    """``text`` as the field ``name`` takes it; ``null`` is nothing where it takes that, text or not."""
    try:
        if text == "null":
            return getattr(msgspec.convert({name: None}, parameters), name)
    except msgspec.ValidationError:
        pass
    return getattr(msgspec.convert({name: text}, parameters, strict=False), name)
