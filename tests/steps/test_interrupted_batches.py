"""A step that ends between two batches leaves nothing half-written and no thread, and says what it was."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from tests.support.batches import in_batches_of, threads_of_steps
from tests.support.project import files_in, lines_of

from bulkhead.files import HashedWriter
from tabular.csv_file import CsvFile
from tabular.pieces import read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.project import Project
    from tests.support.project_files import ProjectFiles

TABLE = "a,target\n" + "".join(f"{i},{i}\n" for i in range(100))
MODEL = """
import os
import signal
from sklearn.dummy import DummyRegressor
def check_rows(frame):
    if frame.index[-1] > 50:
        {act}
def build(parameters):
    return DummyRegressor()
"""


def ended_in_the_middle(project: Project, code: ProjectFiles, act: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    code.put("model.py", MODEL.format(act=act))
    project.put("t.csv", TABLE)
    in_batches_of(5, monkeypatch)
    return project.trainer("preprocessing", "--source", "t.csv")


def assert_nothing_is_left(project: Project) -> None:
    assert files_in(project.shared) == []
    assert threads_of_steps() == []


def test_a_step_that_is_stopped_between_batches_leaves_nothing(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = ended_in_the_middle(project, code, "os.kill(os.getpid(), signal.SIGTERM)", monkeypatch)
    assert ended.code == 143
    assert "killed: SIGTERM" in ended.err
    assert_nothing_is_left(project)


@pytest.mark.parametrize(
    ("act", "code_of_it", "said"),
    [
        ("raise ValueError('no')", 70, "ValueError: no"),
        ("raise MemoryError('8 GiB')", 70, "out_of_memory"),
        ("return ['The rows are old.']", 1, "t.csv: The rows are old."),
    ],
)
def test_code_that_fails_between_batches_leaves_nothing(
    act: str, code_of_it: int, said: str, project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = ended_in_the_middle(project, code, act, monkeypatch)
    assert said in ended.err
    assert ended.code in {code_of_it, 1}
    assert_nothing_is_left(project)


def test_a_file_of_an_earlier_attempt_stays_whole_where_a_later_one_fails(
    project: Project, code: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    code.put("model.py", MODEL.format(act="pass"))
    project.put("t.csv", TABLE)
    project.done("trainer", "preprocessing", "--source", "t.csv")
    before = (project.shared / "preprocessing.parquet").read_bytes()
    assert ended_in_the_middle(project, code, "os.kill(os.getpid(), signal.SIGTERM)", monkeypatch).code == 143
    assert files_in(project.shared) == ["preprocessing.parquet", "preprocessing.profile.json"]
    assert (project.shared / "preprocessing.parquet").read_bytes() == before


def test_a_step_that_is_killed_leaves_no_file_that_a_reader_sees(project: Project, code: ProjectFiles) -> None:
    code.put("model.py", MODEL.format(act="os.kill(os.getpid(), signal.SIGKILL)"))
    project.put("t.csv", TABLE)
    program = f"""
import sys
sys.path[:0] = {[str(code.folder.parent), *sys.path]!r}
from bulkhead import paths
paths.SHARED, paths.MODELS, paths.INPUTS = {str(project.shared)!r}, {str(project.models)!r}, {str(project.inputs)!r}
from tabular import csv_file, pieces
pieces._MOST_ROWS, pieces._FEWEST_ROWS, csv_file._BATCH_BYTES, csv_file._BLOCK = 5, 1, 1, 200
import trainer.cli
trainer.cli.main(["preprocessing", "--source", "t.csv"])
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert "preprocessing.parquet" not in files_in(project.shared)
    assert all(name.startswith(".") or name.endswith(".json") for name in files_in(project.shared))
    code.put("model.py", MODEL.format(act="pass"))
    project.train("--source", "t.csv")


def test_a_disk_that_is_full_is_told_and_nothing_is_left(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: HashedWriter, _pieces: list[bytes]) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    project.put("t.csv", TABLE)
    in_batches_of(5, monkeypatch)
    monkeypatch.setattr("bulkhead.files._PIECE", 100)
    monkeypatch.setattr(HashedWriter, "_append", fail)
    ended = project.trainer("preprocessing", "--source", "t.csv")
    project.assert_refused(ended, "preprocessing", "preprocessing.parquet", cause="disk_full")
    assert_nothing_is_left(project)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_write_that_fails_at_the_very_end_is_told() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer = HashedWriter(full)
        writer.write(b"x")
        with pytest.raises(OSError, match="No space left"):
            writer.finish()
        writer.stop()
    assert threads_of_steps() == []


def test_a_fault_of_the_thread_that_reads_ahead_is_the_steps_own(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = CsvFile.batches

    def fail(self: CsvFile, *arguments: Any) -> Iterator[Any]:
        yield next(read(self, *arguments))
        raise ZeroDivisionError("in a thread")

    project.put("t.csv", TABLE)
    in_batches_of(5, monkeypatch)
    monkeypatch.setattr(CsvFile, "batches", fail)
    ended = project.trainer("preprocessing", "--source", "t.csv")
    assert (ended.code, ended.said[-1]) == (70, "preprocessing: crashed: ZeroDivisionError: in a thread")
    assert lines_of(project.registry.training_journal)[-1]["cause"] == "crashed"
    assert_nothing_is_left(project)


def test_what_is_read_ahead_comes_in_its_order_and_ends_with_its_reader() -> None:
    closed = []

    def pieces() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    assert [*read_ahead(pieces())] == [*range(1000)]
    reading = read_ahead(pieces())
    assert [next(reading) for _ in range(3)] == [0, 1, 2]
    reading.close()  # type: ignore[attr-defined]  # it is a generator
    assert closed == [True, True]
    assert threads_of_steps() == []
