"""What a step reads of another is what that one wrote, to the last byte, or is refused."""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.batches import in_batches_of, threads_of_steps
from tests.support.project import files_in

from bulkhead.errors import Refused
from bulkhead.step.result import Output
from bulkhead.step.step_input import Opened
from tabular import exchange
from tabular.exchange import Exchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.project import Project

GROUPS, ROWS = 8, 1000
CHANGED = r"table\.parquet has changed since preprocessing wrote it\. Run preprocessing again\."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of eight row groups, as a step writes one."""
    path = tmp_path / "table.parquet"
    with path.open("wb") as written:
        writer: pq.ParquetWriter | None = None
        for group in range(GROUPS):
            numbers = np.arange(ROWS) + group * ROWS
            words = pa.array([f"w{one % 7}" for one in numbers]).dictionary_encode()
            batch = pa.record_batch({"a": pa.array(numbers.astype(float)), "word": words})
            writer = writer or exchange._writer(written, batch.schema)  # type: ignore[arg-type]  # it writes likewise
            writer.write_batch(batch)
        assert writer is not None
        writer.close()
    return path


@contextmanager
def opened(path: Path, sha256: str | None = None) -> Iterator[Opened]:
    """``path``, expected to have the hash that it has now, or another one."""
    expected = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open("rb") as file:
        yield Opened(file, Output(path="table.parquet", sha256=expected, rows=GROUPS * ROWS), "preprocessing")


def test_what_was_written_is_read_and_two_passes_may_be_on_their_way_at_once(file: Path) -> None:
    with opened(file) as one:
        table = Exchanged(one)
        assert table.rows == GROUPS * ROWS
        for (words,), (numbers,) in zip(
            ([batch] for batch in table.batches(["word"])), ([batch] for batch in table.batches(["a"])), strict=True
        ):
            assert (words.num_rows, numbers.num_rows) == (ROWS, ROWS)
        found = pd.concat(table.frames(), ignore_index=True)
    assert found["a"].tolist() == [*range(GROUPS * ROWS)]
    assert found["word"].astype(str).tolist() == [f"w{one % 7}" for one in range(GROUPS * ROWS)]


def in_the_middle(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def with_offset(content: bytes, delta: int) -> bytes:
    """The first row group's place in the footer moved; the file is as long as before."""
    length = struct.unpack("<I", content[-8:-4])[0]
    footer = bytearray(content[-8 - length : -8])
    # Thrift's compact form: the offset of the first page, 4, is the zigzag varint 8.
    place = footer.index(b"\x26\x08")
    footer[place + 1] = 2 * (4 + delta)
    return content[: -8 - length] + bytes(footer) + content[-8:]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit of a row group": in_the_middle,
    "the first byte": lambda content: b"Q" + content[1:],
    "a bit of the footer": lambda content: content[:-20] + bytes([content[-20] ^ 1]) + content[-19:],
    "the last byte": lambda content: content[:-1] + b"2",
    "cut in the middle": lambda content: content[: len(content) // 2],
    "cut in the footer": lambda content: content[:-9],
    "emptied": lambda _: b"",
    "seven bytes": lambda content: content[:7],
    "the end alone": lambda content: content[-8:],
    "longer": lambda content: content + b"\0" * 5000,
    "longer, with its end again": lambda content: content + content[-3000:],
    "something before it": lambda content: b"PAR1" + content,
    "a footer of four gigabytes": lambda content: content[:-8] + b"\xff\xff\xff\xff" + b"PAR1",
    "a footer of nothing": lambda content: content[:-8] + bytes(4) + b"PAR1",
    "a footer of the whole file": lambda content: content[:-8] + struct.pack("<I", len(content) - 8) + b"PAR1",
    "a row group that begins elsewhere": lambda content: with_offset(content, 9),
    "a row group that begins before the file": lambda content: with_offset(content, -3),
    "text": lambda _: b"a,word\n1,w\n" * 100,
}


def other_parquet(path: Path, kind: str) -> None:
    table = pq.read_table(path)
    match kind:
        case "zero row groups":
            pq.ParquetWriter(path, table.schema).close()
        case "no columns":
            pq.write_table(pa.table({}), path)
        case "one row group":
            pq.write_table(table, path)
        case "other columns":
            pq.write_table(table.rename_columns(["b", "word"]), path)
        case "compressed, with statistics":
            pq.write_table(table, path, compression="zstd", row_group_size=ROWS, write_page_index=True)
        case "a bomb":
            pq.write_table(pa.table({"a": np.zeros(5_000_000), "word": ["w"] * 5_000_000}), path)
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_refused(change: str, file: Path) -> None:
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(CHANGES[change](file.read_bytes()))
    with opened(file, before) as one, pytest.raises(Refused, match=CHANGED):
        for _ in Exchanged(one).batches():
            pass
    assert threads_of_steps() == []


@pytest.mark.parametrize(
    "kind", ["zero row groups", "no columns", "one row group", "other columns", "compressed, with statistics", "a bomb"]
)
def test_another_parquet_file_is_refused(kind: str, file: Path) -> None:
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    other_parquet(file, kind)
    with opened(file, before) as one, pytest.raises(Refused, match=CHANGED):
        for _ in Exchanged(one).batches():
            pass


@pytest.mark.parametrize("change", ["a bit of a row group", "cut in the middle", "longer", "emptied"])
def test_a_file_that_changes_between_two_passes_is_refused(change: str, file: Path) -> None:
    with opened(file) as one:
        table = Exchanged(one)
        assert sum(batch.num_rows for batch in table.batches()) == GROUPS * ROWS
        file.write_bytes(CHANGES[change](file.read_bytes()))
        with pytest.raises(Refused, match=CHANGED):
            for _ in table.batches():
                pass


@pytest.mark.parametrize("change", ["a bit of the footer", "cut in the middle", "longer", "emptied"])
def test_a_file_that_changes_in_a_pass_is_refused_at_its_end_or_before(change: str, file: Path) -> None:
    content = file.read_bytes()
    with opened(file) as one:
        batches = Exchanged(one).batches()
        next(batches)
        file.write_bytes(CHANGES[change](content))
        with pytest.raises(Refused, match=CHANGED):
            list(batches)


def test_a_file_that_is_replaced_is_not_read(file: Path) -> None:
    """Who reads it has it open: another file of its name is not this one."""
    with opened(file) as one:
        table = Exchanged(one)
        other = file.with_name("other")
        other.write_bytes(b"other")
        other.replace(file)
        assert sum(batch.num_rows for batch in table.batches()) == GROUPS * ROWS


def test_what_somebody_appends_without_end_is_not_read(file: Path) -> None:
    content = file.read_bytes()
    with opened(file) as one:
        batches = Exchanged(one).batches()
        next(batches)
        with file.open("ab") as appended:
            appended.truncate(len(content) + (1 << 40))  # a terabyte of nothing
        with pytest.raises(Refused, match=CHANGED):
            list(batches)


def test_a_pass_that_is_left_proves_nothing_until_it_is_proven(file: Path) -> None:
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    content = bytearray(file.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    file.write_bytes(content)
    with opened(file, before) as one:
        table = Exchanged(one)
        next(iter(table.batches()))
        with pytest.raises(Refused, match=CHANGED):
            table.prove()


@pytest.mark.parametrize(
    ("image", "earlier", "task", "name"),
    [
        ("trainer", "preprocessing", "train_model", "preprocessing.parquet"),
        ("inference", "generate_inf_data", "preprocess_inf_data", "generate_inf_data.parquet"),
        ("inference", "preprocess_inf_data", "model_inference", "preprocess_inf_data.parquet"),
    ],
)
def test_a_step_refuses_what_another_has_rewritten(
    image: str, earlier: str, task: str, name: str, trained_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = trained_project
    in_batches_of(3, monkeypatch)
    if image == "trainer":
        project.done("trainer", "preprocessing")
    else:
        project.prepare_inference()
    path = project.shared / name
    table = pq.read_table(path)
    changed = table.set_column(0, table.schema.field(0), pa.array(np.asarray(table.column(0)) + 1))
    pq.write_table(changed, path, row_group_size=3)
    ended = project.run(image, [task])
    assert ended.code == 1, ended.err
    assert f"{name} has changed since {earlier} wrote it" in ended.err
    assert threads_of_steps() == []
    assert [one for one in files_in(project.shared) if one.startswith("predictions_")] == []
    assert os.path.exists(path)  # noqa: PTH110  # and it is left for who looks into it
