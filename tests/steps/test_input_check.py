"""check_input: a table is read as a training would, from its beginning to its end, and nothing is left."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkhead import paths
from bulkhead.errors import Refused
from bulkhead.uploads import MOST_COLUMNS, CheckAnswer, checked_end, checked_name
from trainer import cli, input_check

if TYPE_CHECKING:
    from pathlib import Path

CSV = "id,a,b,day,yes\n1,1.5,x,2026-11-30,true\n2,,y,2026-12-01,false\n3,2,x,2026-12-02,true\n4,2,x,2026-12-02,true\n"
KINDS = [
    ("id", "identifier", None),
    ("a", "number", True),
    ("b", "category", False),
    ("day", "date", False),
    ("yes", "boolean", False),
]


def answered(folder: Path, source: str) -> CheckAnswer:
    return input_check.answer(source, folder)


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "INPUTS", str(tmp_path))
    (tmp_path / "t.csv").write_text(CSV)
    return tmp_path


def test_rows_columns_and_hash_are_those_of_the_file(inputs: Path) -> None:
    found = answered(inputs, "t.csv").table
    assert found is not None
    assert (found.rows, found.columns_total) == (4, 5)
    assert found.sha256 == hashlib.sha256(CSV.encode()).hexdigest()
    assert [(one.name, one.kind, one.missing) for one in found.columns] == KINDS


def test_it_answers_programs_and_people(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check_input", "--source", "t.csv"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("t.csv: 4 rows, 5 columns, sha256 ")
    assert shown[2] == "  a: number, with empty cells"
    assert cli.main(["check_input", "--json", "--source", "t.csv"]) == 0
    answer = msgspec.json.decode(capsys.readouterr().out, type=CheckAnswer)
    assert answer == answered(inputs, "t.csv")
    assert [path.name for path in inputs.iterdir()] == ["t.csv"]


def test_it_refuses_with_the_sentence_of_a_training(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inputs / "t.csv").write_text("a,a\n1,2\n")
    assert cli.main(["check_input", "--source", "t.csv"]) == 1
    sentence = "t.csv: 2 columns are called 'a'. Give each column its own name."
    assert capsys.readouterr().err == f"trainer: {sentence}\n"
    assert cli.main(["check_input", "--json", "--source", "t.csv"]) == 1
    assert msgspec.json.decode(capsys.readouterr().out) == {"table": None, "refused": sentence}


def test_semicolons_are_told_and_not_taken_for_one_column(inputs: Path) -> None:
    (inputs / "s.csv").write_text("a;b;target\n1;2;3\n")
    refused = answered(inputs, "s.csv").refused
    assert refused is not None
    assert "its header 'a;b;target' has semicolons and no comma. Export it with commas" in refused


def test_cells_of_columns_that_are_not_said_are_read_too(inputs: Path) -> None:
    names = ",".join(f"c{number}" for number in range(MOST_COLUMNS + 2)).encode()
    row = ",".join("1" for _ in range(MOST_COLUMNS + 1)).encode()
    (inputs / "t.csv").write_bytes(names + b"\n" + row + b",1\n")
    found = answered(inputs, "t.csv").table
    assert found is not None
    assert (len(found.columns), found.columns_total) == (MOST_COLUMNS, MOST_COLUMNS + 2)
    (inputs / "t.csv").write_bytes(names + b"\n" + row + b",\xff\n")
    assert "UTF8" in str(answered(inputs, "t.csv").refused)
    table = pa.table({f"c{number}": [1.5, 2.5] for number in range(MOST_COLUMNS + 1)})
    file = io.BytesIO()
    pq.write_table(table, file, compression="none", use_dictionary=False)
    last = pq.read_metadata(file).row_group(0).column(MOST_COLUMNS)
    whole = bytearray(file.getvalue())
    at = last.data_page_offset
    whole[at : at + last.total_compressed_size] = bytes(last.total_compressed_size)
    (inputs / "t.parquet").write_bytes(whole)
    assert "cannot be read as Parquet" in str(answered(inputs, "t.parquet").refused)


def test_a_folder_is_one_table_by_hand(inputs: Path) -> None:
    (inputs / "parts").mkdir()
    for name in ("a.csv", "b.csv"):
        (inputs / "parts" / name).write_text(CSV)
    found = answered(inputs, "parts").table
    assert found is not None
    assert found.rows == 8


@pytest.mark.parametrize("name", ["t.csv", "T.CSV.GZ", "größe 1 (2), neu.parquet", "a" * 196 + ".csv"])
def test_a_plain_name_of_a_table_is_taken(name: str) -> None:
    assert checked_end(checked_name(name)) == name


@pytest.mark.parametrize(
    "name",
    ["", ".csv", "..", "t\0.csv", "_t.csv", "-t.csv", " t.csv", "t.csv ", "a/b.csv", "a\\b.csv", "t\n.csv",
     "t\u202e.csv", "\ud800.csv", "t\ufffd.csv", "*.csv", "a?.csv", "[a].csv", "a" * 197 + ".csv", "ä" * 99 + ".csv"],
)  # fmt: skip
def test_a_name_that_others_read_otherwise_is_not(name: str) -> None:
    with pytest.raises(Refused):
        checked_name(name)


@pytest.mark.parametrize("name", ["t", "t.txt", "csv", "t.csv.zip", "t.parquet.gz"])
def test_a_name_that_is_no_tables_is_not(name: str) -> None:
    with pytest.raises(Refused):
        checked_end(name)


def test_the_answer_of_the_longest_names_is_within_its_bound(inputs: Path) -> None:
    from bulkhead.uploads import LONGEST_ANSWER

    table: dict[str, Any] = {f"{number:03}" + "\U0001f6a2" * 997: [1.5] for number in range(300)}
    pq.write_table(pa.table(table), inputs / "t.parquet")
    answer = answered(inputs, "t.parquet")
    assert answer.table is not None
    assert len(msgspec.json.encode(answer)) < LONGEST_ANSWER
