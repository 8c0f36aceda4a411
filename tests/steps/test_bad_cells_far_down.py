"""A bad cell is told by file, line, column and row, however far down it is, and whatever is above it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.batches import in_batches_of, threads_of_steps

from bulkhead.errors import Refused
from bulkhead.prediction.typed import TypedReader
from tabular import tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.project import Project

GOOD = "".join(f"{i},{i}\n" for i in range(50))


class Bad(msgspec.Struct, frozen=True):
    """A table whose cell in ``a`` is bad, the line it is on, and its row."""

    content: str
    line: int
    row: int


LATE: dict[str, Bad] = {
    "in a later batch": Bad(f"a,target\n{GOOD}x,1\n{GOOD}", 52, 51),
    "in the last row": Bad(f"a,target\n{GOOD}x,1", 52, 51),
    "after lines that end in CR and LF": Bad(f"a,target\n{GOOD}x,1\n{GOOD}".replace("\n", "\r\n"), 52, 51),
    "after lines that end in CR": Bad(f"a,target\n{GOOD}x,1\n{GOOD}".replace("\n", "\r"), 52, 51),
    "after blank lines": Bad(f"\n\na,target\n{GOOD}\n\n\n{GOOD}\nx,1\n{GOOD}", 108, 101),
    "after quoted line breaks": Bad(f'a,target\n{GOOD}1,"\n\n2"\n{GOOD}x,1\n{GOOD}', 105, 102),
    "after a quoted comma and quotes": Bad(f'a,target\n{GOOD}"1","2"\n"3",4\n"x",1\n', 54, 53),
}
FORMS: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "plain": ("t.csv", lambda text: text.encode()),
    "with a byte order mark": ("t.csv", lambda text: b"\xef\xbb\xbf" + text.encode()),
    "packed": ("t.csv.gz", lambda text: gzip.compress(text.encode())),
    "packed in two members": (
        "t.csv.gz",
        lambda text: gzip.compress(text.encode()[:100]) + gzip.compress(b"") + gzip.compress(text.encode()[100:]),
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("rows", [1, 5, 1000])
def test_a_bad_cell_is_told_by_its_line(
    late: str, form: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, (name, packed) = LATE[late], FORMS[form]
    (tmp_path / name).write_bytes(packed(bad.content))
    if rows < 1000:
        in_batches_of(rows, monkeypatch)
    assert told(tmp_path, name).startswith(f"{name}, line {bad.line}: column 'a', row {bad.row}: 'x' is not a number")
    assert threads_of_steps() == []


def told(folder: Path, source: str) -> str:
    from bulkhead.columns import number

    table = tables.read_source(source, folder, bytes)
    with pytest.raises(Refused) as refused:
        for _ in table.typed(TypedReader({"a": number()})):
            pass
    sentence = str(refused.value)
    del refused
    return sentence


def test_a_bad_cell_of_a_later_file_is_told_by_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parts").mkdir()
    for name, bad in (("1.csv", ""), ("2.csv", ""), ("3.csv", "x,1\n")):
        (tmp_path / "parts" / name).write_text(f"a,target\n{GOOD}{bad}{GOOD}")
    in_batches_of(7, monkeypatch)
    assert told(tmp_path, "parts").startswith("parts/3.csv, line 52: column 'a', row 51: 'x' is not")


def test_a_bad_cell_is_told_by_its_line_after_a_cell_of_half_a_megabyte(tmp_path: Path) -> None:
    """Python's reader takes no cell beyond 128 KiB, unless it is told to."""
    lines = "\n".join("x" * 1000 for _ in range(500))
    (tmp_path / "t.csv").write_text(f'a,target\n1,"{lines}"\nx,1\n')
    assert told(tmp_path, "t.csv").startswith("t.csv, line 502: column 'a', row 2: 'x' is not")


def test_inference_tells_a_bad_cell_by_its_line(
    project_trained_on_the_table: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_trained_on_the_table
    project.put("new.csv", "a,b\n" + GOOD + "x,1\n")
    in_batches_of(7, monkeypatch)
    ended = project.inference("generate_inf_data", "--source", "new.csv")
    project.assert_refused(ended, "generate_inf_data", "new.csv, line 52: column 'a', row 51: 'x' is not a number")
