"""Whether an image can use the project: it imports the packages that the project asks for, and each model's file."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from typing import TYPE_CHECKING

from bulkhead import environments, project_models, schedule
from bulkhead.errors import Refused, listed, one_line
from bulkhead.project_models import parameters_of
from bulkhead.registry import quality_gate
from bulkhead.registry.profiles import PREDICTION, PROBABILITY
from bulkhead.registry.store import Registry
from modeling.definition import Definition
from modeling.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bulkhead.registry.quality_gate import QualityGate

_LOCKED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)
_ASKED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)


def check() -> str:
    """Import all that the project asks for, and build each model's estimator with the default parameters.

    Returns:
        What was found, in one line.

    Raises:
        Refused: something is missing or fails; the first of it.
    """
    packages = _asked()
    for name in packages:
        _import(name)
    models = project_models.names()
    for name in models:
        Definition(name).build(parameters_of(name)())
    schedule.read()
    with_packages = f"; {', '.join(f'{name} {version(name)}' for name in packages)}" if packages else ""
    return f"project: {', '.join(models)}{with_packages}"


def differences(other: Path) -> list[str]:
    """Which files are others in ``other``, a copy of the project; what models share is told with each of them."""
    folder = project_models.folder()
    found = [f"{name}.py" for name in project_models.names() if fingerprint(name) != fingerprint(name, other)]
    parameters = {path.name for root in (folder, other) for path in root.glob("*parameters.py")}
    for file in ("requirements.txt", "apt.txt", *sorted(parameters)):
        theirs = other / file
        ours = folder / file
        if not (ours.is_file() and theirs.is_file()) or theirs.read_bytes() != ours.read_bytes():
            found.append(file)
    return found


def check_gate(registry: Path) -> None:
    """Read what the gate asks of each model in each environment.

    Raises:
        Refused: it is not what it should be, it has a table for a model that there is not, or it excepts a column from
            drift that no served model has.
    """
    if strangers := sorted(quality_gate.names_in(registry) - set(project_models.names())):
        raise Refused(
            f"models/gate.toml has tables for {listed(strangers)}, and the project has no such model."
            f" Rename or remove them; there are: {', '.join(project_models.names())}."
        )
    for environment in environments.NAMES:
        gates = {name: quality_gate.read(registry, environment, name) for name in project_models.names()}
        _check_excepted(registry, environment, gates)


def _check_excepted(registry: Path, environment: str, gates: Mapping[str, QualityGate]) -> None:
    """Refuse a name in ``except`` that is no column of what ``environment`` serves; of what it does not, nobody knows.

    Raises:
        Refused: the first of them.
    """
    if not any(gate.drift.excepted for gate in gates.values()):
        return
    served = {name: Registry(registry).served(environment, name) for name in gates}
    known = {column for one in served.values() if one is not None for column in one.features or []}
    for name, gate in gates.items():
        strangers = set(gate.drift.excepted) - known - {PREDICTION, PROBABILITY}
        if known and served[name] is not None and strangers:
            raise Refused(
                f"models/gate.toml excepts {listed(sorted(strangers))} from the drift of"
                f" {quality_gate.where(environment, name)}, and no model that {environment} serves has such a column."
                " Fix the name, or remove it."
            )


def _asked() -> list[str]:
    """The packages that ``requirements.in`` names; each must be in the lock."""
    folder = project_models.folder()
    try:
        asked = _ASKED.findall((folder / "requirements.in").read_text())
        locked = {_normal(name) for name in _LOCKED.findall((folder / "requirements.txt").read_text())}
    except FileNotFoundError as error:
        raise Refused(f"project/ has no {error.filename.rpartition('/')[2]}. Run just lock.") from None
    if missing := [name for name in asked if _normal(name) not in locked]:
        raise Refused(f"project/requirements.in names {missing[0]}, which is not locked. Run just lock.")
    return asked


def _import(name: str) -> None:
    try:
        known = _normal(distribution(name).metadata["Name"])
    except PackageNotFoundError:
        raise Refused(f"{name} is locked and not in this image. Run just build-images.") from None
    for module, owners in packages_distributions().items():
        if known in map(_normal, owners) and module.isidentifier() and not module.startswith("_"):
            try:
                import_module(module)
            except Exception as error:
                told = one_line(f"{type(error).__name__}: {error}", 300)
                hint = (
                    "Add the Debian package that has it to project/apt.txt" if isinstance(error, OSError) else "Fix it"
                )
                raise Refused(f"{name} cannot be imported here: {told}. {hint}, then run just build-images.") from error


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
