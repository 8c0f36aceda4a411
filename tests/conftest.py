"""States that the fast tests start from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from tests.helpers import publish

from bulkhead.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

# The same examples on every machine; a slow first import is no failure.
settings.register_profile(
    "bulkhead", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("bulkhead")


@pytest.fixture
def no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ``BULKHEAD_*`` variable is set: a step run by hand."""
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def empty_registry(tmp_path: Path) -> Registry:
    """A registry that nothing was published to."""
    folder = tmp_path / "models"
    folder.mkdir()
    return Registry(folder)


@pytest.fixture
def registry_with_a_model(empty_registry: Registry) -> Registry:
    """A registry with one model, of prd."""
    publish(empty_registry, "prd")
    return empty_registry


@pytest.fixture
def registry_with_two_models(empty_registry: Registry) -> Registry:
    """A registry with a model of prd, then one of dev."""
    publish(empty_registry, "prd")
    publish(empty_registry, "dev")
    return empty_registry
