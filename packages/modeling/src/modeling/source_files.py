"""Which files of ``project/`` a model is made of, and which packages their code names."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from bulkhead import project_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NOT_CODE = ("tests", "dags", "__pycache__")
_PARAMETERS = "parameters"


class SourceFiles(NamedTuple):
    """What a model is made of."""

    files: list[Path]
    """In a fixed order, below the project's folder."""
    modules: set[str]
    """What these import from elsewhere, at their top or in their functions."""


def of_model(name: str, folder: Path) -> SourceFiles:
    """The files of the model ``name``: its own, those that it imports, and what models share.

    What models share is every file at the top that begins with ``_``, and all of the folders, data too. Parameters are
    not in it: what they do is in the record.
    """
    found = {
        folder / f"{name}.py",
        *(path for path in folder.iterdir() if path.name.startswith("_") and path.is_file()),
    }
    for below in folder.iterdir():
        if below.is_dir() and below.name not in _NOT_CODE:
            found |= {path for path in below.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    modules: set[str] = set()
    waiting = [path for path in found if path.suffix == ".py"]
    while waiting:
        for module in _imported(waiting.pop()):
            parts = module.split(".")
            if parts[0] != project_models.PACKAGE:
                modules.add(module)
            elif len(parts) > 1 and not parts[1].endswith(_PARAMETERS):
                sibling = folder / f"{parts[1]}.py"
                if sibling.is_file() and sibling not in found:
                    found.add(sibling)
                    waiting.append(sibling)
    files = sorted(found, key=lambda path: path.relative_to(folder).as_posix())
    return SourceFiles([path for path in files if path.suffix != ".pyc" and path.is_file()], modules)


def _imported(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # told where it is imported
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            # What is named may be a module itself.
            yield from (f"{node.module}.{one.name}" for one in node.names)
