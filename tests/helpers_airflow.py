"""Modules of the Airflow image that need no Airflow, loaded past their package, which does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

SOURCE = Path(__file__).parents[1] / "images/airflow/src/bulkhead_airflow"


def load(name: str) -> ModuleType:
    """The module ``bulkhead_airflow.<name>``, from its file."""
    alias = f"_bulkhead_airflow_{name}"
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(alias, SOURCE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module
        spec.loader.exec_module(module)
    return sys.modules[alias]
