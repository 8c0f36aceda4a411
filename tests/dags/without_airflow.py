"""Those modules of the Airflow image's package that need no Airflow; the package's own __init__ asks for it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCES = Path(__file__).parents[2] / "images/airflow/src/bulkhead_airflow"


def load(name: str) -> Any:
    """The module ``bulkhead_airflow.<name>``."""
    if "bulkhead_airflow" not in sys.modules:
        package = ModuleType("bulkhead_airflow")
        package.__path__ = [str(SOURCES)]
        sys.modules["bulkhead_airflow"] = package
    return import_module(f"bulkhead_airflow.{name}")
