"""How much disk a run takes, whatever a step puts into its folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from engine import disk

if TYPE_CHECKING:
    from pathlib import Path


def test_files_in_all_folders_count(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three"):
        (tmp_path / name).write_bytes(b"x" * 100_000)
    assert 300_000 <= disk.usage(tmp_path) < 400_000


def test_a_sparse_file_counts_as_what_it_takes(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert disk.usage(tmp_path) < 1 << 20


def test_a_second_name_of_a_file_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    for number in range(10):
        os.link(tmp_path / "one", tmp_path / str(number))
    assert disk.usage(tmp_path) < 200_000


def test_no_link_is_followed_and_nothing_is_opened(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    other.mkdir()
    (other / "large").write_bytes(b"x" * 1_000_000)
    (run / "folder").symlink_to(other)
    (run / "file").symlink_to(other / "large")
    os.mkfifo(run / "fifo")  # whose opening waits for a writer
    assert disk.usage(run) < 100_000
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(OSError, match="link"):
        disk.usage(tmp_path / "link")


def test_more_files_than_are_counted_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_MOST_ENTRIES", 10)
    for number in range(11):
        (tmp_path / str(number)).touch()
    with pytest.raises(disk.Uncountable, match="more than 10 files"):
        disk.usage(tmp_path)


def test_folders_that_are_nested_without_end_are_not_descended(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(40):
        folder /= "d"
    folder.mkdir(parents=True)
    with pytest.raises(disk.Uncountable, match="nested deeper than 32"):
        disk.usage(tmp_path)


def test_a_folder_that_may_not_be_read_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hidden").mkdir()
    open_any = os.open

    def forbid(name: Any, *arguments: Any, **options: Any) -> int:
        if name == "hidden":  # mode 0; root, who may run this test, would read it all the same
            raise PermissionError(name)
        return open_any(name, *arguments, **options)

    monkeypatch.setattr(os, "open", forbid)
    with pytest.raises(disk.Uncountable, match="may not be read"):
        disk.usage(tmp_path)


def test_a_watch_looks_now_and_then_and_says_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    watch = disk.Watch(tmp_path, limit=1_000_000)
    assert watch.excess(0) is None
    (tmp_path / "large").write_bytes(b"x" * 2_000_000)
    assert watch.excess(0) is None  # not looked at again so soon
    now[0] += 5
    assert watch.excess(0) == "0.0 GB in the run folder and the output"


def test_output_counts_as_the_folder_does(tmp_path: Path) -> None:
    assert disk.Watch(tmp_path, limit=1 << 30).excess(3_200_000_000) == "3.2 GB in the run folder and the output"


def test_a_run_folder_that_is_not_there_is_no_excess(tmp_path: Path) -> None:
    assert disk.Watch(tmp_path / "none", limit=0).excess(0) is None
