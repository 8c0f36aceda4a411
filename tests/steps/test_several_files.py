"""A source may be a folder or a pattern: its files are one table, in the order of their paths."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.batches import threads_of_steps
from tests.support.project import NEXT

from bulkhead.columns import number
from bulkhead.errors import Refused
from bulkhead.prediction.typed import TypedReader
from tabular import tables

if TYPE_CHECKING:
    from tests.support.project import Project

    from bulkhead.registry.lineage import Data
    from tabular.tables import SourceTable


def put(folder: Path, name: str, content: str = "a,b\n1,2\n") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def column(folder: Path, source: str) -> tuple[list[float], Data]:
    """The column ``a``, and what the table was."""
    table = tables.read_source(source, folder, bytes)
    found: list[float] = []
    for batch in table.typed(TypedReader({"a": number()})):
        found += batch.arrays["a"].to_pylist()
    return found, table.data


def refused(folder: Path, source: str) -> str:
    with pytest.raises(Refused) as error:
        column(folder, source)
    sentence = str(error.value)
    assert NEXT.search(sentence), f"it does not say what to do next: {sentence}"
    return sentence


@pytest.mark.parametrize("source", ["parts", "parts/", "parts/*.csv", "p*/*.CSV*", "**/*.csv"])
def test_files_are_read_in_the_order_of_their_paths(source: str, tmp_path: Path) -> None:
    for place, name in enumerate(["a.csv", "b10.csv", "b2.csv", "c.csv"]):
        put(tmp_path, f"parts/{name}", f"a,b\n{place},1\n{place}.5,1\n")
    if source == "p*/*.CSV*":
        (tmp_path / "parts/a.csv").rename(tmp_path / "parts/a.CSV")
        assert column(tmp_path, source)[0] == [0, 0.5]
        return
    found, data = column(tmp_path, source)
    assert found == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    assert (data.rows, data.source) == (8, source)


def test_the_hash_is_that_of_what_sha256sum_prints(tmp_path: Path) -> None:
    for name in ("b.csv", "a b.csv", "größe.csv"):
        put(tmp_path, f"parts/{name}", f"a,b\n{len(name)},1\n")
    _, data = column(tmp_path, "parts")
    names = sorted(f"parts/{path.name}" for path in (tmp_path / "parts").iterdir())
    printed = subprocess.run(["sha256sum", *names], cwd=tmp_path, capture_output=True, check=True).stdout
    assert data.sha256 == hashlib.sha256(printed).hexdigest()


def test_the_hash_of_one_file_is_its_own(tmp_path: Path) -> None:
    put(tmp_path, "t.csv")
    put(tmp_path, "parts/t.csv")
    assert column(tmp_path, "t.csv")[1].sha256 == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert column(tmp_path, "parts")[1].sha256 != column(tmp_path, "t.csv")[1].sha256


def test_what_other_tools_leave_beside_a_table_is_no_part_of_it(tmp_path: Path) -> None:
    put(tmp_path, "parts/a.csv")
    for name in ("_SUCCESS", "._a.csv", ".a.csv.crc", "_metadata.csv", "README.md", ".hidden.csv"):
        put(tmp_path, f"parts/{name}", "no table")
    assert column(tmp_path, "parts")[0] == [1]
    assert column(tmp_path, "parts/*.csv")[0] == [1]


def test_a_folder_may_be_called_like_a_file(tmp_path: Path) -> None:
    """Spark calls the folder of a table so."""
    for number_of_part in range(3):
        pq.write_table(
            pa.table({"a": [number_of_part], "b": [1]}),
            folder_of(tmp_path, "x.parquet") / f"part-{number_of_part}.parquet",
        )
    put(tmp_path, "x.parquet/_SUCCESS", "")
    assert column(tmp_path, "x.parquet")[0] == [0, 1, 2]


def folder_of(folder: Path, name: str) -> Path:
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def test_a_file_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    put(tmp_path, "a[1].csv", "a,b\n1,2\n")
    put(tmp_path, "a1.csv", "a,b\n2,2\n")
    assert column(tmp_path, "a[1].csv")[0] == [1]


def test_a_thousand_files_are_one_table(tmp_path: Path) -> None:
    for place in range(1000):
        put(tmp_path, f"parts/{place:04}.csv", f"a,b\n{place},1\n")
    found, data = column(tmp_path, "parts")
    assert found == [*range(1000)]
    assert data.rows == 1000
    assert len([*Path("/proc/self/fd").iterdir()]) < 200


def test_a_file_without_rows_adds_none(tmp_path: Path) -> None:
    for name, rows in (("1", ""), ("2", "5,1\n"), ("3", "")):
        put(tmp_path, f"parts/{name}.csv", "a,b\n" + rows)
    assert column(tmp_path, "parts")[0] == [5]


def test_packed_and_plain_files_are_one_table(tmp_path: Path) -> None:
    import gzip

    put(tmp_path, "parts/a.csv")
    (tmp_path / "parts/b.csv.gz").write_bytes(gzip.compress(b"a,b\n7,2\n"))
    assert column(tmp_path, "parts")[0] == [1, 7]


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "other columns": ("parts", {"a.csv": "a,b\n1,2\n", "b.csv": "a,c\n1,2\n"}, "parts/b.csv has the columns"),
    "another order": ("parts", {"a.csv": "a,b\n1,2\n", "b.csv": "b,a\n1,2\n"}, "in one order"),
    "an empty file": ("parts", {"a.csv": "a,b\n1,2\n", "b.csv": ""}, "parts/b.csv: it is empty"),
    "no rows at all": ("parts", {"a.csv": "a,b\n", "b.csv": "a,b\n"}, "no rows"),
    "two kinds": ("parts", {"a.csv": "a,b\n1,2\n", "b.parquet": ""}, "CSV and Parquet files"),
    "a folder of none": ("parts", {"README": ""}, "the folder has no .csv or .parquet file"),
    "a pattern of none": ("parts/*.csv", {"README": ""}, "nothing in shared/inputs/ matches it"),
    "a pattern of other files": ("parts/*", {"README": "", "a.csv": "a,b\n1,2\n"}, "'parts/README' is not a"),
    "a folder in the folder": ("parts", {"x.csv/a.csv": "a,b\n1,2\n"}, "'parts/x.csv' is not a"),
    "out of the inputs": ("../*.csv", {"a.csv": ""}, "leads out of"),
    "out of the inputs, deep down": ("*/../../*", {"a.csv": ""}, "leads out of"),
    "an absolute pattern": ("/etc/*", {"a.csv": ""}, "leads out of"),
    "all of the inputs": (".", {"a.csv": ""}, "not the name of"),
    "three stars": ("***", {"a.csv": "a,b\n1,2\n"}, "source '***'"),
    "a name beyond any file system": ("x" * 300 + "*", {}, "cannot be read"),
    "a name with a line break": ("parts", {"a\nb.csv": "a,b\n1,2\n"}, "cannot be printed"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_files_that_are_no_one_table_are_refused_with_their_own_sentence(what: str, tmp_path: Path) -> None:
    source, files, fragment = WRONG[what]
    for name, content in files.items():
        put(tmp_path, f"parts/{name}", content)
    assert fragment in refused(tmp_path, source)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "parts/" + os.fsdecode(b"\xff.csv"))
    assert "cannot be printed" in refused(tmp_path, "parts")


@pytest.mark.parametrize("source", ["parts", "parts/*.csv", "parts/a.csv"])
def test_a_link_that_leads_out_is_refused(source: str, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    put(tmp_path, "secret.csv")
    (inputs / "parts").mkdir(parents=True)
    (inputs / "parts/a.csv").symlink_to(tmp_path / "secret.csv")
    assert "leads out of shared/inputs/" in refused(inputs, source)


def test_a_folder_that_is_a_link_out_is_refused(tmp_path: Path) -> None:
    inputs = folder_of(tmp_path, "inputs")
    put(tmp_path, "secret/a.csv")
    (inputs / "parts").symlink_to(tmp_path / "secret")
    for source in ("parts", "parts/*.csv", "*/*.csv"):
        assert "leads out of shared/inputs/" in refused(inputs, source)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (folder_of(tmp_path, "parts") / "a.csv").symlink_to("a.csv")
    assert "source 'parts'" in refused(tmp_path, "parts")


def read(table: SourceTable) -> Data:
    """What the table was; Parquet is hashed at the beginning and at the end."""
    for _ in table.typed(TypedReader({"a": number()})):
        pass
    return table.data


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_a_file_that_changes_between_two_passes_is_refused(end: str, tmp_path: Path) -> None:
    def written(cell: int) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(pa.table({"a": [1, cell], "b": [1, 2]}), buffer)
        return buffer.getvalue() if end == "parquet" else f"a,b\n1,1\n{cell},2\n".encode()

    path = folder_of(tmp_path, "parts") / f"1.{end}"
    path.write_bytes(written(2))
    table = tables.read_source("parts", tmp_path, bytes)
    table.inferred(["a", "b"])
    path.write_bytes(written(3))
    with pytest.raises(Refused, match=rf"parts/1\.{end}: it has changed while it was read"):
        read(table)
    assert threads_of_steps() == []


def test_a_parquet_file_that_becomes_another_table_between_two_passes_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2], "b": [1, 2]}), tmp_path / "t.parquet")
    table = tables.read_source("t.parquet", tmp_path, bytes)
    table.inferred(["a", "b"])
    pq.write_table(pa.table({"c": [1, 2], "d": [1, 2]}), tmp_path / "t.parquet")
    with pytest.raises(Refused, match="it has changed while it was read"):
        read(table)


def test_a_parquet_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1, 2], "b": [1, 2]}), path)
    table = tables.read_source("t.parquet", tmp_path, bytes)
    # While it is read, or at the end, as the thread that reads ahead has come further or not.
    with pytest.raises(Refused, match="it has changed while it was read"):  # noqa: PT012  # raised by either
        for _ in table.typed(TypedReader({"a": number()})):
            path.write_bytes(path.read_bytes() + b" ")
        _ = table.data


def test_a_folder_is_trained_on_and_predicted_from_and_told_in_the_records(project: Project) -> None:
    for place in range(4):
        rows = "".join(f"{i},{2 * i}\n" for i in range(place * 10, place * 10 + 10))
        project.put(f"parts/{place}.csv", "a,target\n" + rows)
    record = project.train("--source", "parts")
    assert record.data is not None
    assert (record.data.path, record.data.rows, record.data.source) == ("shared/inputs/parts", 40, "parts")
    inferred = project.infer("parts/[12].csv")
    assert inferred["rows"] == 20
    assert inferred["inference_data"] == "shared/inputs/parts/[12].csv"
    assert inferred["predictions"] == pytest.approx([2 * i for i in range(10, 30)])


@pytest.mark.parametrize("source", ["*", "*.csv", "**/*.csv", "**/*"])
def test_a_pattern_matches_nothing_that_is_being_uploaded(source: str, tmp_path: Path) -> None:
    put(tmp_path, "a.csv")
    for name in (".uploads/0123", ".uploads/b.csv", ".uploads/arriving/4567", ".uploads/arriving/c.csv"):
        put(tmp_path, name, "no table\n")
    if source == "**/*":  # folders match it, and are none that hold a table
        source = "**/*.*"
    assert column(tmp_path, source)[1].rows == 1


@pytest.mark.parametrize(
    "source", [".uploads", ".uploads/b.csv", ".uploads/arriving/c.csv", "parts/../.uploads/b.csv", ".uploads/*.csv"]
)
def test_what_is_being_uploaded_is_no_source(source: str, tmp_path: Path) -> None:
    put(tmp_path, "parts/a.csv")
    for name in (".uploads/b.csv", ".uploads/arriving/c.csv"):
        put(tmp_path, name)
    assert re.search("being uploaded|nothing in shared/inputs/ matches", refused(tmp_path, source))


def test_a_link_to_what_is_being_uploaded_is_no_source(tmp_path: Path) -> None:
    put(tmp_path, ".uploads/b.csv")
    (tmp_path / "parts").mkdir()
    for name in ("b.csv", "parts/b.csv"):
        (tmp_path / name).symlink_to(tmp_path / ".uploads/b.csv")
    for source in ("b.csv", "parts", "parts/*.csv"):
        refused(tmp_path, source)
