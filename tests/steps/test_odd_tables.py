"""Tables of odd shapes: each is read in little time and memory, or refused with a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.conftest import PROGRAMS

from bulkhead.columns import Column, boolean, category, date, identifier, number
from bulkhead.errors import Refused
from bulkhead.prediction.typed import TypedReader
from tabular import tables
from tabular.parquet_file import _MOST_BYTES, ParquetFile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.project import Project

LONG = 250_000
"""Rows of a table that is long for a test."""


def rows_of(folder: Path, name: str, kinds: dict[str, Column] | None = None) -> int:
    table = tables.read_source(name, folder, bytes)
    return sum(len(batch.arrays["a"]) for batch in table.typed(TypedReader(kinds or {"a": number()})))


def refused(folder: Path, name: str, kinds: dict[str, Column] | None = None) -> str:
    with pytest.raises(Refused) as error:
        rows_of(folder, name, kinds)
    return str(error.value)


def test_a_table_of_two_thousand_columns_is_prepared(project: Project) -> None:
    names = ",".join(f"x{place}" for place in range(2000))
    made = np.random.default_rng(0).integers(0, 9, (600, 2000))
    rows = "".join(",".join(map(str, row)) + f",{row[0]}\n" for row in made.tolist())
    project.put("wide.csv", f"{names},target\n{rows}")
    project.done("trainer", "preprocessing", "--source", "wide.csv")
    prepared = pq.read_table(project.shared / "preprocessing.parquet")
    assert prepared.shape == (600, 2001)
    assert prepared.column("x1999").to_pylist() == made[:, 1999].tolist()


def test_a_table_of_one_column_keeps_its_empty_rows_and_not_its_last_line_ends(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a\n1\n\n3\n\n\n\n")
    assert rows_of(tmp_path, "t.csv", {"a": number(missing=True)}) == 3
    assert refused(tmp_path, "t.csv").startswith("t.csv, line 3: column 'a', row 2: the cell is empty")


@pytest.mark.parametrize("length", [999_990, 999_999, 1_000_000])
def test_rows_of_a_megabyte_are_read_at_once(length: int, tmp_path: Path) -> None:
    """pyarrow's reader took most of an hour for two of them where it was given small pieces."""
    line = b"1," + b"x" * (length - 2) + b"\n"
    (tmp_path / "t.csv").write_bytes(b"a,b\n" + line * 2)
    began = time.monotonic()
    assert rows_of(tmp_path, "t.csv") == 2
    assert time.monotonic() - began < 20


def test_a_row_beyond_a_megabyte_is_refused_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n1," + b"x" * 1_000_001 + b"\n")
    assert "t.csv: line 3 is longer than a megabyte" in refused(tmp_path, "t.csv")


def test_a_quote_that_is_never_closed_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n" + b"1,2\n" * LONG + b'1,"2\n' + b"1,2\n" * LONG * 4)
    assert "t.csv: cannot be read as CSV" in refused(tmp_path, "t.csv")


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_a_word_among_numbers_at_the_end_of_a_long_table_is_told_in_seconds(end: str, tmp_path: Path) -> None:
    cells = ["1"] * LONG + ["x"]
    if end == "csv":
        (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{cell},2\n" for cell in cells))
    else:
        pq.write_table(pa.table({"a": cells, "b": [2] * len(cells)}), tmp_path / "t.parquet")
    began = time.monotonic()
    assert f"column 'a', row {LONG + 1}: 'x' is not a number" in refused(tmp_path, f"t.{end}")
    assert time.monotonic() - began < 20


def bomb(path: Path, word: str | bytes, rows: int) -> None:
    """A word that is stored once, and is the cell of each row."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int8)), pa.array([word]))
    pq.write_table(pa.table({"a": column, "b": np.arange(float(rows))}), path, compression="zstd", store_schema=False)


@pytest.mark.parametrize("word", ["x" * 100_000, b"x" * 100_000], ids=["text", "bytes"])
def test_a_word_that_a_parquet_file_repeats_is_never_unfolded_for_many_rows(word: str | bytes, tmp_path: Path) -> None:
    """Of 6 GB of words no batch has more than 64 MiB, whatever the column is to be."""
    bomb(tmp_path / "t.parquet", word, 60_000)
    assert (tmp_path / "t.parquet").stat().st_size < 1_000_000
    file = ParquetFile(lambda: (tmp_path / "t.parquet").open("rb"), "t.parquet")
    rows = 0
    for batch in file.batches(["a", "b"], 1 << 16):
        column = batch.column("a")
        assert pa.types.is_dictionary(column.type)
        assert batch.num_rows * pc.binary_length(column.dictionary)[0].as_py() <= _MOST_BYTES
        rows += batch.num_rows
    assert rows == 60_000


@pytest.mark.parametrize("kind", [number(), category(), boolean(), date()], ids=lambda kind: kind.kind)
def test_a_word_of_a_hundred_kilobytes_is_refused_for_its_first_row(kind: Column, tmp_path: Path) -> None:
    bomb(tmp_path / "t.parquet", "x" * 100_000, 60_000)
    assert "t.parquet: column 'a', row 1: " in refused(tmp_path, "t.parquet", {"a": kind})


def test_a_constant_category_of_millions_of_rows_in_kilobytes_is_read(tmp_path: Path) -> None:
    bomb(tmp_path / "t.parquet", "w", 2_000_000)
    began = time.monotonic()
    assert rows_of(tmp_path, "t.parquet", {"a": category()}) == 2_000_000
    assert time.monotonic() - began < 20


def test_a_column_of_long_lists_is_passed_over_a_few_rows_at_a_time(tmp_path: Path) -> None:
    places = pa.array(np.arange(0, 1001 * 1000, 1000, dtype=np.int32))
    lists = pa.ListArray.from_arrays(places, pa.array(np.zeros(1_000_000, dtype=np.float32)))
    pq.write_table(pa.table({"a": np.arange(1000.0), "b": lists}), tmp_path / "t.parquet")
    table = tables.read_source("t.parquet", tmp_path, bytes)
    assert {name: column.kind for name, column in table.inferred(["a", "b"]).items()} == {"a": "number", "b": "text"}
    file = ParquetFile(lambda: (tmp_path / "t.parquet").open("rb"), "t.parquet")
    assert max(batch.num_rows for batch in file.batches(["a", "b"], 1 << 16)) <= 64


def test_an_identifier_of_long_words_is_read_in_batches(tmp_path: Path) -> None:
    words = [f"{place:05}" + "x" * 10_000 for place in range(5000)]
    pq.write_table(pa.table({"a": words, "b": np.arange(5000.0)}), tmp_path / "t.parquet")
    assert rows_of(tmp_path, "t.parquet", {"a": identifier()}) == 5000


def test_a_table_of_no_column_that_a_model_takes_is_refused_at_inference(project: Project) -> None:
    """Before anything was trained: there is no model to tell which columns it needs."""
    from tests.support.project_files import own_project

    with own_project(project.folder / "own") as code:
        code.put(
            "model.py",
            "from sklearn.dummy import DummyRegressor\ndef build(parameters):\n    return DummyRegressor()\n",
        )
        project.put(
            "t.csv", "name\n" + "".join(f"a word of its own, {place}\n".replace(",", "") for place in range(30))
        )
        ended = project.inference("generate_inf_data", "--source", "t.csv")
    project.assert_refused(ended, "generate_inf_data", "t.csv: no column of it can be a feature")


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(end: str, tmp_path: Path) -> None:
    """All five steps, of a table that is ten times as long: a whole column of it would be seen."""
    peaks = []
    for rows in (100_000, 1_000_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        command = [sys.executable, str(PROGRAMS / "measure_steps.py"), str(folder), str(rows), end]
        known = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
        ended = subprocess.run(command, env=known, capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == 0, ended.stderr
        peaks.append(int(ended.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 80_000_000
