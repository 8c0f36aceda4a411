"""The libraries that a model depends on, and whether two sets of versions are alike. Imports none of them."""

from __future__ import annotations

import platform
from importlib.metadata import version

LIBRARIES = ("scikit-learn", "pandas", "numpy", "joblib")
"""What a model is fitted, stored and predicts with."""


def versions() -> dict[str, str]:
    """The versions in this image: Python's, and of :data:`LIBRARIES`.

    Raises:
        importlib.metadata.PackageNotFoundError: this is no step image.
    """
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def drift(trained: dict[str, str], now: dict[str, str]) -> dict[str, list[str]]:
    """By library, the version ``[trained with, here]`` where they differ; ``absent`` where there is none.

    A patch release of Python changes no model, so of Python only ``3.13`` counts.
    """
    return {
        name: [trained.get(name, "absent"), now.get(name, "absent")]
        for name in ("python", *LIBRARIES)
        if _counts(name, trained) != _counts(name, now)
    }


def _counts(name: str, of: dict[str, str]) -> str | None:
    found = of.get(name)
    return ".".join(found.split(".")[:2]) if found and name == "python" else found
