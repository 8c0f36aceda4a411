"""The libraries that a model depends on, and whether two sets of versions are alike. Imports none of them."""

from __future__ import annotations

import platform
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LIBRARIES = ("scikit-learn", "pandas", "numpy", "joblib")
"""What every model is fitted, stored and predicts with."""
_OURS = re.compile(r"bulkhead(-|$)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def versions(modules: Iterable[str] = ()) -> dict[str, str]:
    """The versions in this image of Python, of :data:`LIBRARIES`, and of all that ``modules`` come from and need.

    Args:
        modules: names of imported modules, as what a model's file names.

    Raises:
        importlib.metadata.PackageNotFoundError: one of :data:`LIBRARIES` is missing.
    """
    found = {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}
    by_module = packages_distributions()
    waiting = [*LIBRARIES, *(name for module in modules for name in by_module.get(module.partition(".")[0], ()))]
    seen: set[str] = set()
    while waiting:
        name = _normal(waiting.pop())
        if name in seen or _OURS.match(name):
            continue
        seen.add(name)
        try:
            found.setdefault(name, version(name))
        except PackageNotFoundError:  # an optional one, or for another system
            continue
        waiting += _required(name)
    return {name: found[name] for name in _compared(sorted(found))}


def present(names: Iterable[str]) -> dict[str, str]:
    """The versions in this image of Python, of :data:`LIBRARIES` and of ``names``, of those that it has."""
    found = {}
    for name in _compared(names):
        try:
            found[name] = platform.python_version() if name == "python" else version(name)
        except PackageNotFoundError:
            continue
    return found


def drift(trained: Mapping[str, str], now: Mapping[str, str]) -> dict[str, list[str]]:
    """By library, the version ``[trained with, here]`` where they differ; ``absent`` where there is none.

    A patch release of Python changes no model, so of Python only ``3.13`` counts.
    """
    return {
        name: [trained.get(name, "absent"), now.get(name, "absent")]
        for name in _compared(trained)
        if _counts(name, trained) != _counts(name, now)
    }


def _compared(names: Iterable[str]) -> list[str]:
    """Python, :data:`LIBRARIES` and ``names``, each once."""
    return list(dict.fromkeys(["python", *LIBRARIES, *names]))


@cache
def _required(name: str) -> list[str]:
    """What the distribution ``name`` needs in any case: not what its extras ask for."""
    found = []
    for line in distribution(name).requires or []:
        requirement, _, marker = line.partition(";")
        match = _NAME.match(requirement.strip())
        if match and "extra" not in marker:
            found.append(match[0])
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _counts(name: str, of: Mapping[str, str]) -> str | None:
    found = of.get(name)
    return ".".join(found.split(".")[:2]) if found and name == "python" else found
