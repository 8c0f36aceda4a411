"""Tables that are larger than what a step's container has: of memory, and of disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.containers.support import records

if TYPE_CHECKING:
    from pathlib import Path

    from tests.containers.support import Docker, Folders

pytestmark = pytest.mark.container

ROWS, COLUMNS = 1_000_000, 20
MEMORY = ("--memory", "512m", "--memory-swap", "512m")
"""More than a step needs for a table of any size; the numbers of this one are 160 MB, and its text as much again."""


def put(path: Path, rows: int = ROWS) -> None:
    made = np.random.default_rng(0).normal(size=(10_000, COLUMNS))
    made[:, -1] = made[:, :-1].sum(axis=1) + 0.1 * made[:, -1]
    block = "".join(",".join(map("{:.5f}".format, row)) + "\n" for row in made.tolist())
    with path.open("w") as file:
        file.write(",".join([*(f"x{place}" for place in range(COLUMNS - 1)), "target"]) + "\n")
        for _ in range(rows // len(made)):
            file.write(block)


def test_a_table_larger_than_its_memory_goes_through_all_five_steps(docker: Docker, folders: Folders) -> None:
    put(folders.inputs / "t.csv")
    for image, *command in (
        ("trainer", "preprocessing", "--source", "t.csv"),
        ("trainer", "train_model"),
        ("inference", "generate_inf_data", "--source", "t.csv"),
        ("inference", "preprocess_inf_data"),
        ("inference", "model_inference"),
    ):
        ended = docker.run(image, *command, options=(*folders.mounts(), *MEMORY))
        assert ended.returncode == 0, (command, ended.stderr)
    (model,) = records(folders.models / "log.txt")
    (inference,) = records(folders.models / "log_inference.txt")
    assert model["metrics"]["r2"] > 0.99
    assert model["metrics"]["test_rows"] == ROWS // 5
    assert inference["rows"] == ROWS
    assert max(model["peak_memory_bytes"], inference["peak_memory_bytes"]) < 450_000_000


def test_a_disk_that_is_full_in_the_middle_is_told_and_is_empty_again(docker: Docker, folders: Folders) -> None:
    put(folders.inputs / "t.csv", 100_000)
    small = ("--mount", "type=tmpfs,destination=/shared,tmpfs-size=4m,tmpfs-mode=1777", "--entrypoint", "sh")
    script = 'trainer preprocessing --source t.csv; code=$?; ls -A /shared; exit "$code"'
    ended = docker.run("trainer", "-c", script, options=(*folders.mounts(shared=""), *small))
    assert ended.returncode == 1, ended.stderr
    assert "preprocessing: disk_full: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout.split() == []
    assert records(folders.models / "log.txt")[-1]["cause"] == "disk_full"
