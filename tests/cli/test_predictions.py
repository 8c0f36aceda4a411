"""``registry predictions``: what an inference has predicted, from its own file or not at all."""

from __future__ import annotations

import csv
import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.support.project import NEXT, inferred

from bulkhead.files import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Command

    from bulkhead.registry.records import InferenceRecord
    from bulkhead.registry.store import Registry

CLASSES: dict[str, list[Any]] = {
    "customer": [1001, 1002, 1003],
    "prediction": ["stays", "leaves", "stays"],
    "probability_stays": [0.75, 0.125, None],
    "probability_leaves": [0.25, 0.875, None],
}


class Inferred:
    """An inference with a file of its own."""

    def __init__(self, registry: Command, table: dict[str, list[Any]], **changes: Any) -> None:
        path = "shared/runs/prd_inference_pipe_dag/r1/predictions_1.parquet"
        self.file: Path = registry.shared / path.removeprefix("shared/")
        self.file.parent.mkdir(parents=True)
        parquet.write_table(pa.table(table), self.file)
        given = {"output_sha256": sha256(self.file.read_bytes()), **changes}
        self.record: InferenceRecord = inferred(registry.registry, registry.registry.latest("prd"), 1, **given)
        self.run = str(self.record.run_id)


@pytest.mark.usefixtures("registry_with_a_model")
def test_the_predictions_of_a_run_are_a_table_with_its_identifiers_and_probabilities(registry: Command) -> None:
    found = Inferred(registry, CLASSES)
    for name in (found.run, str(found.record.predictions_path), str(found.record.output_sha256)[:12]):
        ended = registry("predictions", name)
        assert (ended.code, ended.err) == (0, "")
        header, *rows = (re.split(r" {2,}", line) for line in ended.out.splitlines())
        assert header == [*CLASSES]
        assert rows == [
            ["1001", "stays", "0.75", "0.25"],
            ["1002", "leaves", "0.125", "0.875"],
            ["1003", "stays", "-", "-"],
        ]


@pytest.mark.usefixtures("registry_with_a_model")
def test_as_csv_there_is_every_row_and_column(registry: Command) -> None:
    table: dict[str, list[Any]] = {
        "row": list(range(1, 2502)),
        **{f"column {number}": [number] * 2501 for number in range(20)},
        "prediction": [number / 8 for number in range(2501)],
        "said": ['a "word", and\nanother'] * 2501,
        "at": [dt.datetime(2026, 1, 2, tzinfo=dt.UTC)] * 2501,
    }
    found = Inferred(registry, table)
    header, *rows = csv.reader(registry.done("predictions", found.run, "--csv").splitlines(keepends=True))
    assert header == [*table]
    assert len(rows) == 2501
    assert rows[2500][0] == "2501"
    assert rows[2500][-3:] == ["312.5", 'a "word", and\nanother', "2026-01-02 00:00:00+00:00"]
    shown = registry("predictions", found.run)
    assert shown.said == ["The first 20 of 2,501 rows, and 12 columns more; --csv has all."]
    assert len(shown.out.splitlines()) == 21


@pytest.mark.usefixtures("registry_with_a_model")
def test_a_file_of_one_column_is_shown_with_the_number_of_each_row(registry: Command) -> None:
    found = Inferred(registry, {"prediction": [1.5, 2.5]})
    assert registry.done("predictions", found.run).splitlines() == ["row  prediction", "1    1.5", "2    2.5"]
    assert registry.done("predictions", found.run, "--csv") == "row,prediction\n1,1.5\n2,2.5\n"


@pytest.mark.usefixtures("registry_with_a_model")
def test_of_a_file_that_is_gone_the_predictions_in_the_record_are_shown(registry: Command) -> None:
    found = Inferred(registry, CLASSES, predictions=["stays", 2.5, None])
    found.file.unlink()
    ended = registry("predictions", found.run, "--csv")
    assert ended.out == "row,prediction\n1,stays\n2,2.5\n3,\n"
    assert ended.said == ["The predictions file is gone; these are the predictions in the record."]


@pytest.mark.usefixtures("registry_with_a_model")
def test_of_a_file_that_is_gone_with_nothing_in_the_record_there_is_nothing_to_show(registry: Command) -> None:
    found = Inferred(registry, CLASSES, predictions=None)
    found.file.unlink()
    sentence = registry.refused("predictions", found.run)
    assert "is gone, and its record holds no predictions (2 rows)" in sentence
    assert NEXT.search(sentence)


@pytest.mark.usefixtures("registry_of_legacy_records")
def test_the_predictions_of_a_legacy_record_are_shown(registry: Command) -> None:
    assert registry.done("predictions", "2024-02-03:10-00-00", "--csv") == "row,prediction\n1,40.0\n2,41.0\n"


@pytest.mark.usefixtures("registry_with_a_model")
@pytest.mark.parametrize("how", ["altered", "link", "folder", "sparse", "no table", "elsewhere", "no hash"])
def test_a_file_that_is_not_the_recorded_one_is_refused(registry: Command, how: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.parquet"
    parquet.write_table(pa.table({"prediction": ["secret"]}), secret)
    changes: dict[str, dict[str, Any]] = {
        "no table": {"output_sha256": sha256(b"no table")},
        "elsewhere": {"predictions_path": "shared/inputs/../../secret.parquet"},
        "no hash": {"output_sha256": None},
        "link": {"output_sha256": sha256(secret.read_bytes())},
    }
    found = Inferred(registry, CLASSES, **changes.get(how, {}))
    match how:
        case "altered":
            parquet.write_table(pa.table({"prediction": ["secret"]}), found.file)
        case "no table":
            found.file.write_bytes(b"no table")
        case "link":
            found.file.unlink()
            found.file.symlink_to(secret)
        case "folder":
            found.file.unlink()
            found.file.mkdir()
        case "sparse":
            with found.file.open("r+b") as file:
                file.truncate(1 << 34)
    sentence = registry.refused("predictions", found.run)
    assert "secret," not in sentence
    if how in {"altered", "no hash"}:
        assert "is not the file that was written" in sentence
    assert NEXT.search(sentence) or re.search("It is not (read|followed)", sentence)


@pytest.mark.usefixtures("registry_with_a_model")
def test_without_pyarrow_it_says_where_the_file_can_be_read(registry: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Inferred(registry, CLASSES)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    sentence = registry.refused("predictions", found.run)
    assert "there is no pyarrow. Run 'just registry predictions ...'" in sentence


@pytest.mark.usefixtures("registry_with_a_model")
def test_what_a_terminal_would_obey_is_not_shown(registry: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Inferred(registry, {"\x1b[2Jid": ["\x1b[31ma\nb", "\u202eb"], "prediction": [1.0, 2.0]})
    table = registry.done("predictions", found.run)
    assert all(line.isprintable() for line in table.splitlines())
    assert len(table.splitlines()) == 3
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    as_csv = registry.done("predictions", found.run, "--csv")
    assert all(line.isprintable() for line in as_csv.splitlines())


def test_a_run_that_nobody_knows_is_refused(registry: Command, registry_with_a_model: Registry) -> None:
    inferred(registry_with_a_model, registry_with_a_model.latest("prd"), 1)
    assert "has no inference" in registry.refused("predictions", "manual__nothing")
