"""A published model in a Python that has Bulkhead's package and the model's libraries, and nothing else of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pandas as pd
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.project import Project

NOTEBOOK = """
import bulkhead, pandas as pd, sys
model = bulkhead.load("dev")
model.predict(pd.read_csv("inputs/t.csv")).to_csv(sys.stdout, index=False)
assert not {name for name in sys.modules if name.partition(".")[0] in {"project", "modeling", "tabular", "trainer"}}
"""


# Its packages come from an index, as those of an image do.
@pytest.mark.container
def test_the_package_alone_predicts_what_inference_predicts(
    project: Project, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    project.put("t.csv", "a,b,target\n" + "".join(f"{i},{i * i}.5,{2 * i + 1}\n" for i in range(20)))
    record = project.train("--source", "t.csv")
    project.infer("t.csv")
    (name,) = project.predictions_files()
    expected = pd.read_parquet(project.shared / name)

    python = tmp_path / "clean"
    libraries = [
        f"{library}=={version}" for library, version in (record.libraries or {}).items() if library != "python"
    ]
    for command in (
        ["uv", "venv", "--quiet", "--python", sys.executable, str(python)],
        ["uv", "pip", "install", "--quiet", "--python", str(python), "./packages/bulkhead", "pyarrow", *libraries],
    ):
        subprocess.run(command, cwd=pytestconfig.rootpath, check=True, timeout=300)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    ended = subprocess.run(
        [str(python / "bin/python"), "-c", NOTEBOOK],
        cwd=project.folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    (tmp_path / "found.csv").write_text(ended.stdout)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "found.csv"), expected, check_exact=True, check_dtype=False)
