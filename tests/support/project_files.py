"""A folder ``project/`` of a test's own, in the place of the one that comes with Bulkhead."""

from __future__ import annotations

import importlib
import shutil
import sys
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARAMETERS = """
from bulkhead.parameters import TrainingParameters

class Parameters(TrainingParameters):
    pass
"""


class ProjectFiles:
    """Files of ``project/``; what was imported of them is forgotten whenever one is written."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "project"
        self.folder.mkdir(parents=True)
        self.put("__init__.py", "")
        self.put("parameters.py", PARAMETERS)

    def put(self, name: str, code: str) -> Path:
        """Write a file; ``code`` may be indented as a whole, and its first line is line 1."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(code.removeprefix("\n")))
        forget()
        # Python takes a compiled file for the newer one where both are of one second and one size.
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
        return path


def forget() -> None:
    """As if nothing of ``project`` had been imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "project"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@contextmanager
def own_project(root: Path) -> Iterator[ProjectFiles]:
    """``root/project`` is the project while this lasts; it has parameters, and no model yet."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "project"}
    forget()
    sys.path.insert(0, str(root))
    try:
        yield ProjectFiles(root)
    finally:
        sys.path.remove(str(root))
        forget()
        sys.modules.update(before)
