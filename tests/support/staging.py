"""A tree in which somebody has followed docs/how-to-add-an-environment.md."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFINITION = "packages/bulkhead/src/bulkhead/environments.py"
GATE = "models/gate.toml"

_COPIED = ("packages", "images", "dags", "tests", "scripts", "docs")


def tree_with_staging(root: Path, copy: Path) -> Path:
    """``copy``, a new folder, with the sources of ``root`` and the page's two changes; no other file is another."""
    copy.mkdir()
    for name in _COPIED:
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "models").mkdir()
    for name in ("pyproject.toml", GATE):
        shutil.copy2(root / name, copy / name)
    page = (root / "docs/how-to-add-an-environment.md").read_text()
    (definition,), (section,) = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("python", "toml"))
    code = (copy / DEFINITION).read_text()
    changed, times = re.subn(r"^ENVIRONMENTS = checked\(.*?^\)\n", definition, code, flags=re.DOTALL | re.MULTILINE)
    assert times == 1
    (copy / DEFINITION).write_text(changed)
    (copy / GATE).write_text((copy / GATE).read_text() + "\n" + section)
    return copy


def import_path(tree: Path) -> str:
    """``PYTHONPATH`` for the packages of ``tree``, before those that are installed."""
    patterns = ("tests/box", "packages/*/src", "images/*/src")
    return ":".join(str(path) for pattern in patterns for path in sorted(tree.glob(pattern)))
