"""What a model must show before it is published: ``models/gate.toml``, ``[<environment>.<name>.<metric>]``.

The settings lie in the registry itself, so whoever publishes finds the same ones: Airflow, ``just step``
and plain ``docker run``. A registry without the file has the defaults of ``environments.py``, which are those
of the file that comes with the project.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import environments, files, model_name, untrusted
from bulkhead.errors import Refused, listed, one_line
from bulkhead.registry import drift_gate
from bulkhead.registry import metrics as measured
from bulkhead.registry.drift_gate import DriftGate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Protocol

    from bulkhead.registry.lineage import Lineage
    from bulkhead.registry.records import ModelRecord

    class Allowances(Protocol):
        """What one run allows, whatever the settings."""

        @property
        def allow_unmeasured(self) -> bool:
            """A model of which nothing was measured."""

        @property
        def allow_signature_change(self) -> bool:
            """A model that takes or predicts something else than the served one."""

        @property
        def serve(self) -> bool:
            """Whether the model is to be served; otherwise it follows none."""


SETTINGS = "gate.toml"
SHOWN = f"models/{SETTINGS}"
_NUMBERS = ("double", "float", "halffloat", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_DRIFT = "drift"
_EVERY = "*"
"""Stands for every model that has no table of its own."""


class MetricGate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of one metric; None: nothing. Which way is better is the metric's own."""

    limit: float | None = None
    """The worst value that passes."""
    worse_by: float | None = None
    """By how much it may be worse than the served model's, on the same rows."""


class QualityGate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The conditions for one model in one environment."""

    metrics: dict[str, MetricGate] = {}
    drift: DriftGate = DriftGate()
    """Of an inference: no part of what a model must show."""
    allow_unmeasured: bool = True
    """Whether a model passes of which nothing was measured (a hold-out share of 0, or too few rows held out)."""
    allow_signature_change: bool = True
    """Whether a model may follow a served one that takes other columns, or predicts another target."""
    own: list[str] = []
    """The metrics that were written for this very model: it must have them. Of others, those that it has not are passed
    over."""

    def failing(self, where: str, metrics: Mapping[str, Any], goals: Mapping[str, str]) -> str | None:
        """Why a model of these ``metrics`` does not pass, whatever is served; None: it passes.

        Args:
            where: the environment, and the model where it is not the project's first.
            metrics: what was measured on the held-out rows.
            goals: which way each is better, the leading one first.

        Raises:
            Refused: a value is no number.
        """
        leading = next(iter(goals), None)
        unmeasured = leading is None or measured.value(metrics, leading) is None
        if unmeasured and not self.allow_unmeasured:
            return (
                f"its {leading or 'quality'} was not measured, and allow_unmeasured is false for {where} in {SHOWN}."
                " Train with a share (--test-fraction) that holds out two rows or more; a training may allow it for"
                " itself (--allow-unmeasured)."
            )
        for name, asked in self.metrics.items():
            if name not in goals:
                if name not in self.own:
                    continue
                return (
                    f"{SHOWN} asks for {name} for {where}, and the model has {', '.join(goals)}."
                    " Take one of them there, or add it to METRICS."
                )
            found = measured.value(metrics, name)
            if asked.limit is None or (found is None and unmeasured):
                continue
            if found is None or measured.is_worse(goals[name], found, asked.limit):
                shown = "not measured" if found is None else f"{found:.6g}"
                return (
                    f"{name} is {shown} on the held-out rows, and the limit for {where} in {SHOWN} is"
                    f" {asked.limit:g}. Give better data or features, or change it there."
                )
        return None

    def failing_beside(
        self,
        where: str,
        metrics: Mapping[str, Any],
        goals: Mapping[str, str],
        served: str,
        served_metrics: Mapping[str, Any],
    ) -> str | None:
        """Why a model of these ``metrics`` may not follow the model file ``served``; None: it may.

        Raises:
            Refused: a value is no number.
        """
        for name, asked in self.metrics.items():
            if asked.worse_by is None or name not in goals:
                continue
            found, theirs = measured.value(metrics, name), measured.value(served_metrics, name)
            if found is None or theirs is None:
                continue
            if measured.is_worse(goals[name], found, theirs, by=asked.worse_by):
                return (
                    f"{name} is {found:.6g} on the held-out rows, where the served {served} has {theirs:.6g}; worse_by"
                    f" for {where} in {SHOWN} is {asked.worse_by:g}. Give better data or features, or raise it there."
                )
        return None


def failing(
    gate: QualityGate, asked: Allowances, model: Lineage, served: ModelRecord | None, environment: str
) -> str | None:
    """Why ``model`` may not be published, by itself and by what it takes; None: it may.

    Args:
        gate: the conditions.
        asked: what this one run allows.
        model: what is to be published.
        served: what it would follow; None: nothing.
        environment: where.

    Raises:
        Refused: a metric is no number.
    """
    place = where(environment, model.name)
    if asked.allow_unmeasured:
        gate = msgspec.structs.replace(gate, allow_unmeasured=True)
    reason = gate.failing(place, model.metrics or {}, measured.goals_of(model))
    if reason is not None or served is None or not asked.serve:
        return reason
    if gate.allow_signature_change or asked.allow_signature_change:
        return None
    differences = signature_change(model, served)
    if not differences:
        return None
    return (
        f"it is not of the signature of {served.model_filename}, which {place} serves: {'; '.join(differences)}."
        " Train on such a table, or allow it for this run (--allow-signature-change), or for all in"
        f" {SHOWN} (allow_signature_change)."
    )


def signature_change(model: Lineage, served: Lineage) -> list[str]:
    """What differs between the columns and targets of two models, in words; a legacy record has none to compare."""
    if served.features is None or served.target is None:
        return []
    ours, theirs = list(model.features or []), list(served.features)
    said = []
    if more := [name for name in ours if name not in set(theirs)]:
        said.append(f"new {listed(more)}")
    if fewer := [name for name in theirs if name not in set(ours)]:
        said.append(f"without {listed(fewer)}")
    kinds = [_kinds(one) for one in (model, served)]
    said += [
        f"{name!r} is {kinds[0][name]}, was {kind}"
        for name, kind in kinds[1].items()
        if name in kinds[0] and kinds[0][name] != kind
    ]
    for what, new, old in (
        ("the target", model.target, served.target),
        ("the problem", model.problem or "regression", served.problem or "regression"),
    ):
        if new != old:
            said.append(f"{what} is {new}, was {old}")
    return said


def _kinds(model: Lineage) -> dict[str, str]:
    """By feature, number or what else it is: whole numbers or fractions are a matter of the table."""
    return {name: "number" if dtype in _NUMBERS else dtype for name, dtype in (model.dtypes or {}).items()}


def names_in(registry: Path) -> set[str]:
    """The models that have a table of their own in the file.

    Raises:
        Refused: as :func:`read`.
        OSError: as :func:`read`.
    """
    content = _content(registry)
    if content is None:
        return set()
    _decoded(content, environments.FIRST, model_name.DEFAULT_NAME)  # its own sentence, where it cannot be read
    tables = msgspec.toml.decode(content, type=dict[str, dict[str, Any]])
    return {key for table in tables.values() for key, value in table.items() if isinstance(value, dict)} - {_EVERY}


def _content(registry: Path) -> bytes | None:
    try:
        return untrusted.read(registry, SETTINGS, limit=untrusted.SETTINGS_LIMIT, called=SHOWN)
    except FileNotFoundError:
        return None


def where(environment: str, name: str) -> str:
    """``environment`` and ``name`` as sentences have them."""
    return model_name.named(environment, name)


def read(registry: Path, environment: str, name: str = model_name.DEFAULT_NAME) -> QualityGate:
    """The conditions for the model ``name`` in ``environment``, in the registry's folder.

    Raises:
        Refused: the file is not what it should be.
        OSError: it cannot be read.
    """
    return read_hashed(registry, environment, name)[0]


def read_hashed(
    registry: Path, environment: str, name: str = model_name.DEFAULT_NAME
) -> tuple[QualityGate, str | None]:
    """What :func:`read` returns, and the SHA-256 of the very bytes that say so; None: there is no file.

    Read once for both: a record must not name settings that somebody saved after its model was judged.

    Raises:
        Refused: as :func:`read`.
        OSError: as :func:`read`.
    """
    content = _content(registry)
    if content is None:
        return _by_default(environment), None
    return _decoded(content, environment, name), files.sha256(content)


def _by_default(environment: str) -> QualityGate:
    try:
        return msgspec.convert(environments.get(environment).gate, QualityGate)
    except msgspec.ValidationError as error:
        raise Refused(
            f"environments.py: the gate of {environment}: {one_line(str(error))}."
            f" Fix it, or write {SHOWN}; docs/gate.md shows how it looks."
        ) from None


def _decoded(content: bytes, environment: str, name: str) -> QualityGate:
    try:
        tables = msgspec.toml.decode(content, type=dict[str, dict[str, Any]])
        unknown = sorted(tables.keys() - set(environments.NAMES))
        if unknown:
            raise msgspec.ValidationError(
                f"there is no environment {unknown[0]!r}, only {', '.join(environments.NAMES)}"
            )
        # Each is read, so that what cannot be meant is told by the first training, of whatever model.
        gates = {key: _of_environment(table, key) for key, table in tables.items()}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{SHOWN}: {one_line(str(error))}. Fix it; docs/gate.md shows how it looks.") from None
    return _layered(gates.get(environment), environments.get(environment), name)


def _layered(
    gates: dict[str, _Table | QualityGate] | None, environment: environments.EnvironmentDefinition, name: str
) -> QualityGate:
    """A model's own table over that of every model, over what the environment asks where nobody says."""
    if not gates:  # an environment without a table, or with an empty one
        return QualityGate()
    gate = msgspec.convert(environment.gate, QualityGate)
    for key in (_EVERY, name):
        match gates.get(key):
            case QualityGate() as older:
                gate = msgspec.structs.replace(
                    older, allow_signature_change=gate.allow_signature_change, drift=gate.drift
                )
            case _Table() as table:
                metrics = table.metrics if key == _EVERY else {**gate.metrics, **table.metrics}
                own = [] if key == _EVERY else list(table.metrics)
                drift = msgspec.structs.replace(gate.drift, **table.drift)
                gate = msgspec.structs.replace(gate, **table.switches, metrics=metrics, own=own, drift=drift)
    if gate.drift.is_upside_down:
        raise Refused(
            f"{SHOWN}: the drift of {where(environment.name, name)}: refuse is {gate.drift.refuse:g}, and warn"
            f" {gate.drift.warn:g}. Set both, refuse not below warn; docs/drift.md shows how."
        )
    return gate


class _Table(msgspec.Struct, frozen=True):
    """One table of the file: what it says, and no more."""

    switches: dict[str, bool]
    metrics: dict[str, MetricGate]
    drift: dict[str, Any]


class _Older(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of an environment as it was before models had names."""

    min_r2: float | None = None
    max_r2_drop: float | None = None
    allow_unmeasured: bool = True


def _of_environment(table: dict[str, Any], environment: str) -> dict[str, _Table | QualityGate]:
    """By name, what is asked."""
    named = {key: value for key, value in table.items() if isinstance(value, dict)}
    older = {key: value for key, value in table.items() if key not in named}
    if older and _EVERY in named:
        raise msgspec.ValidationError(
            f'[{environment}] has {min(older)} beside [{environment}."*"]: put it into that table'
        )
    gates: dict[str, _Table | QualityGate] = {
        key: _of_model(value, f"{environment}.{key}", key) for key, value in named.items()
    }
    if older:
        read = msgspec.convert(older, _Older)
        r2 = _checked(MetricGate(limit=read.min_r2, worse_by=read.max_r2_drop), environment, "min_r2", "max_r2_drop")
        gates[_EVERY] = QualityGate(metrics={"r2": r2}, allow_unmeasured=read.allow_unmeasured)
    return gates


def _of_model(table: dict[str, Any], called: str, name: str) -> _Table:
    if name != _EVERY and not model_name.is_valid(name):
        raise msgspec.ValidationError(f"[{called}]: {name!r} is no name of a model")
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    drift: dict[str, Any] = {}
    if _DRIFT in tables:
        tables[_DRIFT], drift = drift_gate.divided(tables[_DRIFT], MetricGate.__struct_fields__)
        if not tables[_DRIFT]:
            del tables[_DRIFT]
    metrics = {key: msgspec.convert(value, MetricGate) for key, value in tables.items()}
    for key, asked in metrics.items():
        _checked(asked, f"{called}.{key}", "limit", "worse_by")
    switches = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if unknown := sorted(switches.keys() - {"allow_unmeasured", "allow_signature_change"}):
        raise msgspec.ValidationError(f"[{called}] has a key {unknown[0]!r}, which is none")
    return _Table(msgspec.convert(switches, dict[str, bool]), metrics, drift_gate.checked(drift, f"{called}.{_DRIFT}"))


def _checked(asked: MetricGate, called: str, limit: str, worse_by: str) -> MetricGate:
    for key, value in ((limit, asked.limit), (worse_by, asked.worse_by)):
        if value is not None and not math.isfinite(value):
            raise msgspec.ValidationError(f"[{called}] {key} is {value}, not a finite number")
    if asked.worse_by is not None and asked.worse_by < 0:
        raise msgspec.ValidationError(f"[{called}] {worse_by} is {asked.worse_by:g}, and must not be negative")
    return asked
