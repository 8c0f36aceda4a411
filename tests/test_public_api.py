"""The names that a notebook or a step imports from ``bulkhead``."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bulkhead

PACKAGES = Path(bulkhead.__file__).parents[1]


@pytest.mark.parametrize("name", bulkhead.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(bulkhead, name) is not None
    assert name in dir(bulkhead)


def test_the_type_checker_is_told_the_same_names_of_the_same_modules() -> None:
    tree = ast.parse(Path(bulkhead.__file__).read_text())
    told = [node for block in tree.body if isinstance(block, ast.If) for node in block.body]
    imports = {name.name: node.module for node in told if isinstance(node, ast.ImportFrom) for name in node.names}
    assert imports == bulkhead._MODULE_OF


def test_a_name_that_is_not_public_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="'bulkhead' has no attribute 'Regsitry'"):
        bulkhead.Regsitry  # type: ignore[attr-defined]  # noqa: B018


def test_a_public_name_is_the_one_that_its_module_has() -> None:
    from bulkhead.errors import Refused
    from bulkhead.registry.store import Registry

    assert (bulkhead.Refused, bulkhead.Registry) == (Refused, Registry)


@pytest.mark.parametrize(
    "module",
    [
        "bulkhead",
        "bulkhead.paths",
        "bulkhead.protocol",
        "bulkhead.clock",
        "bulkhead.files",
        "bulkhead.errors",
        "bulkhead.environments",
    ],
)
def test_the_ground_floor_needs_the_standard_library_alone(module: str) -> None:
    """Scripts on the host import it, where nothing is installed."""
    code = f"""
import sys
sys.path.insert(0, {str(PACKAGES)!r})
import {module}
sys.exit(str(sorted({{"msgspec", "click"}} & set(sys.modules))) if {{"msgspec", "click"}} & set(sys.modules) else 0)
"""
    ended = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_importing_the_package_imports_nothing_but_itself() -> None:
    """Where the libraries are there too: ``--help`` and the reading of DAGs stay quick."""
    code = "import sys, bulkhead; print(*sorted({'msgspec', 'click', 'bulkhead.errors'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
