"""The environments: their names, which way models are promoted, and what each one's quality gate asks by default.

This is the one place that names them. DAGs, commands, the gate and the Models page are made from it, so an
environment is added here, with a section of its own in ``models/gate.toml`` (docs/how-to-add-an-environment.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bulkhead.errors import Refused
from bulkhead.model_name import DEFAULT_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""A name becomes part of the ids of DAGs and assets."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentDefinition:
    """One environment."""

    name: str
    promotes_from: str | None = None
    """Whose models can be promoted to this one; None: nobody's, it only has what is trained for it."""
    gate: Mapping[str, Any] = field(default_factory=dict)
    """What its gate asks of every model where there is no ``models/gate.toml``: fields of ``QualityGate``."""


def checked(*environments: EnvironmentDefinition) -> tuple[EnvironmentDefinition, ...]:
    """``environments``, which make sense together.

    Raises:
        ValueError: a name is taken or cannot be one, or the promotion path has a gap, or promotes nothing.
    """
    known: list[str] = []
    for one in environments:
        if not _NAME.fullmatch(one.name):
            raise ValueError(
                f"environments.py: {one.name!r} is not a valid name. Use small letters, digits and '_', at most 40."
            )
        if one.name in known:
            raise ValueError(f"environments.py: there are two environments {one.name!r}. Rename one.")
        if one.promotes_from is not None and one.promotes_from not in known:
            raise ValueError(
                f"environments.py: {one.name!r} promotes from {one.promotes_from!r}, and no environment above it has"
                " that name. List each environment below the one that it promotes from."
            )
        known.append(one.name)
    if not any(one.promotes_from for one in environments):
        raise ValueError("environments.py: no environment promotes from another. Give one of them promotes_from.")
    return environments


ENVIRONMENTS = checked(
    # For experiments: its gate asks nothing.
    EnvironmentDefinition(name="dev"),
    # No worse than guessing, and not clearly worse than what is served, which is not replaced by something else.
    EnvironmentDefinition(
        name="prd",
        promotes_from="dev",
        gate={
            "allow_unmeasured": False,
            "allow_signature_change": False,
            "metrics": {
                "r2": {"limit": 0.0, "worse_by": 0.05},
                "roc_auc": {"limit": 0.5, "worse_by": 0.05},
                "accuracy": {"worse_by": 0.05},
            },
        },
    ),
)
"""In the order of the promotion path."""

NAMES = tuple(one.name for one in ENVIRONMENTS)
FLAGS = ("--environment", "--env", "-e")
"""How every command line is told one."""
FIRST = NAMES[0]
"""Where a step runs by default."""
PROMOTED_TO = tuple(one.name for one in ENVIRONMENTS if one.promotes_from is not None)
"""The environments that models can be promoted to."""
LAST = PROMOTED_TO[-1]
"""The end of the promotion path: where a model is promoted to, and what is rolled back, by default."""


def get(name: str) -> EnvironmentDefinition:
    """The environment called ``name``.

    Raises:
        Refused: there is none.
    """
    for one in ENVIRONMENTS:
        if one.name == name:
            return one
    raise Refused(f"there is no environment {name!r}. Name one of: {', '.join(NAMES)}.")


def origin_of(name: str) -> str:
    """The environment whose models are promoted to the one called ``name``.

    Raises:
        Refused: there is no such environment, or nothing is promoted to it.
    """
    origin = get(name).promotes_from
    if origin is None:
        raise Refused(f"nothing is promoted to {name}. Name one of: {', '.join(PROMOTED_TO)}.")
    return origin


def dag_id(environment: str, pipeline: str, name: str = DEFAULT_NAME) -> str:
    """The id of a DAG.

    Args:
        environment: its environment.
        pipeline: ``train_model`` or ``inference_pipe``.
        name: the model; the one that comes with the project is not named.
    """
    middle = pipeline if name == DEFAULT_NAME else f"{name}_{pipeline}"
    return f"{environment}_{middle}_dag"


def promotion_command(model: str, environment: str) -> str:
    """What a person types, before the reason, to promote ``model`` (as a shell reads it) to ``environment``."""
    return f"just registry promote {model}" + ("" if environment == LAST else f" --environment {environment}")
