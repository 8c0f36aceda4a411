"""When pipelines run by themselves: ``project/schedule.toml``, ``[<environment>.<name>.<pipeline>]``.

Without the file, or without a table in it, a pipeline runs when somebody starts it. Needs no Airflow.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from string import Formatter
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import environments, project_models
from bulkhead.errors import Refused, one_line
from bulkhead.model_name import DEFAULT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PIPELINES = ("train_model", "inference_pipe")
SETTINGS = "schedule.toml"
_SHOWN = f"project/{SETTINGS}"
_FIELDS = ("year", "month", "day", "hour")
_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_CRON = re.compile(r"[A-Za-z0-9*/,?#-]+(?: +[A-Za-z0-9*/,?#-]+){4}")
_LONGEST_SOURCE = 500


_HIGHEST = (59, 23, 31, 12, 7)
"""Of minute, hour, day, month and weekday."""


def _is_cron(text: str) -> bool:
    """Whether it has five fields of a cron, with numbers that they take. Airflow looks at the rest."""
    if not _CRON.fullmatch(text):
        return False
    for field, highest in zip(text.split(), _HIGHEST, strict=True):
        for part in field.split(","):
            numbers = re.findall(r"[0-9]+", part.partition("/")[0])
            if any(int(number) > highest for number in numbers):
                return False
    return True


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When one pipeline runs by itself, and on which table."""

    cron: str | None = None
    """In UTC; None: after what updates :attr:`asset`."""
    asset: str | None = None
    """An asset's name, as :func:`asset_name` makes them."""
    source: str | None = None
    """A table in ``shared/inputs``; ``{year}``, ``{month}``, ``{day}`` and ``{hour}`` are those of the run's date."""


def asset_name(environment: str, name: str = DEFAULT_NAME) -> str:
    """The asset that a published version of the model ``name`` updates in ``environment``."""
    return f"{environment}_models" if name == DEFAULT_NAME else f"{environment}_{name}_models"


def source_at(pattern: str, moment: datetime) -> str:
    """The table that ``pattern`` means for a run of ``moment``."""
    utc = moment.astimezone(UTC)
    return pattern.format(year=f"{utc:%Y}", month=f"{utc:%m}", day=f"{utc:%d}", hour=f"{utc:%H}")


def read() -> Mapping[tuple[str, str, str], Schedule]:
    """By environment, model and pipeline, when it runs by itself.

    Raises:
        Refused: the file is not what it should be; the sentence names the table.
    """
    try:
        content = (project_models.folder() / SETTINGS).read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{_SHOWN} cannot be read ({error}). Fix it.") from None
    return decoded(content, project_models.names())


def decoded(content: str, names: Iterable[str]) -> Mapping[tuple[str, str, str], Schedule]:
    """What ``content``, that of the file, says of the models ``names``.

    Raises:
        Refused: as :func:`read`.
    """
    try:
        tables = msgspec.toml.decode(content)
    except msgspec.DecodeError as error:
        raise Refused(f"{_SHOWN} is no TOML: {one_line(str(error))}. Fix it.") from None
    found = {}
    known = list(names)
    for environment, models in tables.items():
        _check_one_of(environment, environments.NAMES, environment, "environment")
        for name, pipelines in _table(models, environment).items():
            _check_one_of(name, known, f"{environment}.{name}", "model of project/")
            for pipeline, table in _table(pipelines, f"{environment}.{name}").items():
                called = f"{environment}.{name}.{pipeline}"
                _check_one_of(pipeline, PIPELINES, called, "pipeline")
                found[environment, name, pipeline] = _schedule(_table(table, called), called, environment, known)
    _check_ends(found)
    return found


def _schedule(table: dict[str, Any], called: str, environment: str, names: list[str]) -> Schedule:
    for key in table:
        _check_one_of(key, Schedule.__struct_fields__, called, "key")
    try:
        made = msgspec.convert(table, Schedule)
    except msgspec.ValidationError as error:
        raise _refused(called, one_line(str(error)), "Write each as a text.") from None
    if (made.cron is None) == (made.asset is None):
        told = "neither cron nor asset" if made.cron is None else "both cron and asset"
        raise _refused(called, f"it has {told}", "Give one of them.")
    if made.cron is not None and made.cron not in _PRESETS and not _is_cron(made.cron):
        raise _refused(called, f"cron is {made.cron!r}", f'Give five fields, as "0 3 * * *", or {", ".join(_PRESETS)}.')
    if made.asset is not None:
        assets = [asset_name(environment, name) for environment in environments.NAMES for name in names]
        _check_one_of(made.asset, assets, called, "asset")
    if made.source is None:
        if environment != environments.FIRST:
            raise _refused(called, "it has no source", f"Only {environments.FIRST} has a sample to fall back on.")
    else:
        _check_pattern(made.source, called)
    return made


def _check_pattern(pattern: str, called: str) -> None:
    try:
        fields = [part for part in Formatter().parse(pattern) if part[1] is not None]
    except ValueError as error:
        raise _refused(called, f"source is {pattern!r}: {error}", "Close each brace.") from None
    shown = ", ".join(f"{{{name}}}" for name in _FIELDS)
    for _, name, form, conversion in fields:
        if name not in _FIELDS or form or conversion:
            raise _refused(called, f"source has a field {{{name}}}", f"Use {shown}, each as it stands here.")
    if not 0 < len(pattern) <= _LONGEST_SOURCE:
        raise _refused(called, f"source has {len(pattern)} characters", f"Give 1 to {_LONGEST_SOURCE}.")


def _check_ends(schedules: Mapping[tuple[str, str, str], Schedule]) -> None:
    """Refuse trainings that start each other by their assets, or one itself: that would never end."""
    starts = {
        asset_name(environment, name): (schedule.asset, f"{environment}.{name}.{pipeline}")
        for (environment, name, pipeline), schedule in schedules.items()
        if pipeline == "train_model" and schedule.asset is not None
    }
    for asset, (_, called) in starts.items():
        at: str | None = asset
        for _ in starts:
            at = starts[at][0] if at in starts else None
            if at == asset:
                raise _refused(called, f"what it publishes starts it again ({asset})", "Give one of the circle a cron.")


def _table(value: Any, called: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(called, f"it is {value!r}, and no table", "Tables are [<environment>.<name>.<pipeline>].")
    return value


def _check_one_of(value: str, known: Iterable[str], called: str, what: str) -> None:
    choices = list(known)
    if value not in choices:
        raise _refused(called, f"there is no {what} {value!r}", f"Name one of: {', '.join(choices)}.")


def _refused(called: str, what: str, next_step: str) -> Refused:
    return Refused(f"{_SHOWN}, table {called}: {what}. {next_step}")
