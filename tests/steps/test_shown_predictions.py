"""``show_predictions``: what it prints of a predictions file for the Models page, and what it refuses before a row."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from bulkhead.files import sha256
from bulkhead.prediction_files import Head, place_of
from bulkhead.queries.predictions import NotAsWritten
from inference import predictions_reading
from inference.cli import inference

if TYPE_CHECKING:
    from pathlib import Path

PATH = "shared/runs/prd_inference_pipe_dag/r1/predictions_1.parquet"


def write(folder: Path, table: dict[str, Any]) -> str:
    """A predictions file; returns its hash."""
    file = folder / "predictions_1.parquet"
    parquet.write_table(pa.table(table), file)
    return sha256(file.read_bytes())


def shown(folder: Path, recorded: str, limit: int | None = None, path: str = PATH) -> tuple[int, Head, str]:
    """The exit code, the first line, and what follows."""
    out = io.BytesIO()
    code = predictions_reading.show(path, recorded, limit, out, folder)
    head, _, rows = out.getvalue().partition(b"\n")
    return code, msgspec.json.decode(head, type=Head), rows.decode()


def test_it_prints_what_follows_and_then_every_row_as_csv(tmp_path: Path) -> None:
    table = {"row": list(range(1, 20_001)), "prediction": [number / 8 for number in range(20_000)]}
    code, head, rows = shown(tmp_path, write(tmp_path, table))
    assert (code, head) == (0, Head(columns=["row", "prediction"], rows=20_000))
    lines = rows.splitlines()
    assert lines[:2] == ["row,prediction", "1,0.0"]
    assert lines[-1] == "20000,2499.875"
    assert len(lines) == 20_001


def test_of_the_first_rows_every_value_is_one_that_json_and_a_browser_have(tmp_path: Path) -> None:
    table = {
        "customer": [2**53 + 1, -5, None],
        "prediction": ["=1", "x" * 2000, '"'],
        "probability": [float("nan"), 0.1, float("inf")],
        "at": [dt.datetime(2026, 1, 2, tzinfo=dt.UTC)] * 3,
        "cost": [Decimal("1.50")] * 3,
        "sure": [True, False, None],
    }
    code, head, rows = shown(tmp_path, write(tmp_path, table), limit=2)
    assert (code, head.rows) == (0, 3)
    assert [json.loads(line) for line in rows.splitlines()] == [
        ["9007199254740993", "=1", None, "2026-01-02 00:00:00+00:00", "1.50", True],
        [-5, "x" * 999 + "…", 0.1, "2026-01-02 00:00:00+00:00", "1.50", False],
    ]


def test_a_file_of_no_row_has_its_columns(tmp_path: Path) -> None:
    table = {"row": pa.array([], pa.int64()), "prediction": pa.array([], pa.float64())}
    recorded = write(tmp_path, table)
    assert shown(tmp_path, recorded) == (0, Head(columns=["row", "prediction"]), "row,prediction\n")
    assert shown(tmp_path, recorded, limit=5) == (0, Head(columns=["row", "prediction"]), "")


def test_another_file_is_refused_as_that(tmp_path: Path) -> None:
    write(tmp_path, {"row": [1], "prediction": [1.5]})
    code, head, rows = shown(tmp_path, "0" * 64)
    assert (code, head.is_another, rows) == (1, True, "")
    assert "is not the file that was written" in str(head.refused)


@pytest.mark.parametrize("how", ["no table", "gone", "link", "folder", "no date", "no text", "elsewhere", "too wide"])
def test_what_cannot_be_read_is_refused_before_a_row_is_printed(tmp_path: Path, how: str) -> None:
    file = tmp_path / "predictions_1.parquet"
    table: dict[str, Any] = {"row": [1], "prediction": [1.5]}
    if how == "no date":
        table["prediction"] = pa.array([2**62], pa.timestamp("us"))
    elif how == "no text":
        table["prediction"] = pa.Array.from_buffers(
            pa.string(), 1, [None, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")]
        )
    elif how == "too wide":
        table |= {f"column {number}": ["x" * 999] * 100 for number in range(200)}
        table["row"] = table["prediction"] = [1] * 100
    recorded = write(tmp_path, table)
    if how == "no table":
        file.write_bytes(b"no table")
        recorded = sha256(b"no table")
    elif how in {"gone", "link", "folder"}:
        moved = file.rename(tmp_path / "moved")
        if how == "link":
            file.symlink_to(moved)
        elif how == "folder":
            file.mkdir()
    path = "shared/inputs/predictions_1.parquet" if how == "elsewhere" else PATH
    code, head, rows = shown(tmp_path, recorded, 500 if how == "too wide" else None, path)
    assert (code, head.is_another, rows) == (1, False, ""), head
    assert str(head.refused)[-1] == "." or how == "gone"


def test_a_file_that_is_changed_while_it_is_read_ends_in_an_error(tmp_path: Path) -> None:
    recorded = write(tmp_path, {"row": list(range(5000)), "prediction": [1.5] * 5000})
    file = tmp_path / "predictions_1.parquet"

    class Out(io.BytesIO):
        """Where the first write of rows meets a step that writes too."""

        def writelines(self, lines: Any) -> None:
            file.touch()
            super().writelines(lines)

    with pytest.raises(NotAsWritten, match="changed while it was read"):
        predictions_reading.show(PATH, recorded, None, Out(), tmp_path)


def test_the_command_takes_its_file_by_the_recorded_path(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def show(*given: Any) -> int:
        asked.append(given[:3])
        return 0

    monkeypatch.setattr(predictions_reading, "show", show)
    runner = CliRunner()
    words = ["show_predictions", f"--path={PATH}", f"--sha256={'0' * 64}"]
    for more in ([], ["--limit=50"]):
        assert runner.invoke(inference, [*words, *more], standalone_mode=False).exception is None
    assert asked == [(PATH, "0" * 64, None), (PATH, "0" * 64, 50)]
    assert runner.invoke(inference, [*words, "--limit=501"]).exit_code == 2


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("shared/runs/debug/p.parquet", ("shared/runs/debug", "p.parquet")),
        ("shared/runs/d/r/p.parquet", ("shared/runs/d/r", "p.parquet")),
        ("shared/runs/p.parquet", None),
        ("shared/runs/d/r/deeper/p.parquet", None),
        ("shared/runs/../inputs/p.parquet", None),
        ("shared/runs/d/r/", None),
        ("/shared/runs/d/r/p", None),
        ("shared/runsx/d/r/p", None),
    ],
)
def test_a_file_of_a_run_is_in_a_run_folder_itself(path: str, place: tuple[str, str] | None) -> None:
    assert place_of(path) == place
