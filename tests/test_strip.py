"""``images/strip.py``: libraries lose what only debuggers read, and nothing else loses anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[1] / "images/strip.py"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library that was built with a table of its symbols."""
    found = find_spec("msgspec._core")
    assert found is not None
    assert found.origin is not None
    return Path(shutil.copy(found.origin, tmp_path))


@pytest.fixture
def strip() -> Any:
    spec = spec_from_file_location("strip", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_library_loses_its_symbols_once_and_still_loads(strip: Any, library: Path) -> None:
    before = library.stat().st_size
    saved = strip.cut(library)
    assert saved > 0
    assert library.stat().st_size == before - saved
    assert strip.cut(library) == 0
    subprocess.run([sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(library)!r})"], check=True)


def test_what_somebody_has_put_behind_a_library_stays(strip: Any, library: Path) -> None:
    with library.open("ab") as file:
        file.write(b"an archive of its own")
    before = library.read_bytes()
    assert strip.cut(library) == 0
    assert library.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"INPUT(-lm)\n" * 20])
def test_a_file_that_is_no_library_stays(strip: Any, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "libm.so"
    path.write_bytes(content)
    assert strip.cut(path) == 0
    assert path.read_bytes() == content
