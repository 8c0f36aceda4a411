"""Which tables a form suggests."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tests.dags.without_airflow import load

if TYPE_CHECKING:
    from pathlib import Path

inputs, forms = map(load, ("inputs", "forms"))


def table(folder: Path, name: str | bytes, age: int = 0) -> None:
    path = os.path.join(os.fsencode(folder), os.fsencode(name))  # noqa: PTH118  # names that are no text
    with open(path, "wb") as file:  # noqa: PTH123  # likewise
        file.write(b"a\n1\n")
    os.utime(path, (time.time() - age,) * 2)


def test_the_newest_tables_come_first(tmp_path: Path) -> None:
    for age, name in enumerate(["c.csv", "a.parquet", "B.CSV"]):
        table(tmp_path, name, age)
    assert inputs.newest(tmp_path) == ("c.csv", "a.parquet", "B.CSV")


def test_what_is_no_table_is_not_suggested(tmp_path: Path) -> None:
    for name in ("notes.txt", ".hidden.csv", "csv", "a.csv.part"):
        table(tmp_path, name)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.csv")
    assert inputs.newest(tmp_path) == ()


def test_odd_names_break_nothing(tmp_path: Path) -> None:
    for name in (b"\xff\xfe.csv", b"a\nb.csv", "\u202egnp.csv", "x" * 230 + ".csv", "fine name.csv", "ä.csv"):
        table(tmp_path, name)
    assert set(inputs.newest(tmp_path)) == {"fine name.csv", "ä.csv"}


def test_no_more_than_a_form_can_show(tmp_path: Path) -> None:
    for number in range(inputs.MOST + 50):
        table(tmp_path, f"{number}.csv", number)
    found = inputs.newest(tmp_path)
    assert len(found) == inputs.MOST
    assert found[0] == "0.csv"


def test_a_folder_that_takes_too_long_suggests_what_there_is(tmp_path: Path) -> None:
    table(tmp_path, "a.csv")
    assert inputs.newest(tmp_path, seconds=-1) == ()


def test_no_folder_is_no_error(tmp_path: Path) -> None:
    assert inputs.newest(tmp_path / "gone") == ()


def test_the_form_of_the_first_environment_has_the_sample_too() -> None:
    assert forms.source_field("dev", scheduled=False, there=["a.csv"])["examples"] == ["sample", "a.csv"]
    assert forms.source_field("prd", scheduled=False, there=["a.csv"])["examples"] == ["a.csv"]
    assert "examples" not in forms.source_field("prd", scheduled=False)
