"""What publishing leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import joblib
import pytest
from tests.support.project import files_in, lineage, lines_of, publish, records_of

from bulkhead import clock
from bulkhead.files import sha256
from bulkhead.registry.record_lines import decode
from bulkhead.registry.records import InferenceRecord, ModelRecord
from bulkhead.registry.store import Registry

PROGRAMS = Path(__file__).parents[1] / "programs"

ORIGINAL_KEYS = ["model_hash", "model_filename", "training_timestamp", "environment"]
ADDED_KEYS = {
    *("sha256", "size_bytes", "dag_id", "run_id", "task_id", "try_number", "image", "git_commit", "libraries"),
    *("data", "features", "target", "transformation", "parameters", "metrics"),
}


def test_the_file_name_has_the_time_in_utc_and_the_hash_of_the_model(
    empty_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 11, 23, 5, 19, 56, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: moment)
    record = publish(empty_registry, model={"weights": [1.5]})
    assert record.model_filename == f"model_20261123T051956000001Z_{joblib.hash({'weights': [1.5]})}.joblib"
    assert clock.parse(record.training_timestamp) == moment


def test_the_recorded_hash_is_joblibs_hash_of_the_model_that_loads(empty_registry: Registry) -> None:
    record = publish(empty_registry, model={"weights": [1.5, 2.5]})
    assert record.model_hash == joblib.hash({"weights": [1.5, 2.5]})
    assert joblib.hash(empty_registry.load(record)) == record.model_hash


def test_the_recorded_sha256_and_size_are_those_of_the_files_bytes(empty_registry: Registry) -> None:
    record = publish(empty_registry)
    content = (empty_registry.folder / record.model_filename).read_bytes()
    assert (record.sha256, record.size_bytes) == (sha256(content), len(content))


def test_the_original_four_keys_come_first_and_all_others_of_the_design_follow(empty_registry: Registry) -> None:
    publish(empty_registry)
    line = json.loads(empty_registry.training_journal.read_text())
    assert list(line)[:4] == ORIGINAL_KEYS
    assert set(line) >= ADDED_KEYS
    assert set(line["data"]) == {"path", "sha256", "rows", "source"}


def test_the_record_that_is_returned_is_the_one_in_the_log(empty_registry: Registry) -> None:
    record = publish(empty_registry)
    assert records_of(empty_registry.training_journal) == [record]


def test_a_record_is_one_line_whatever_its_text_holds(empty_registry: Registry) -> None:
    record = publish(empty_registry, features=["a\nb", "c\r\u2028d"], target='q"\\')
    assert empty_registry.training_journal.read_bytes().count(b"\n") == 1
    assert empty_registry.latest("prd") == record


def test_a_published_model_is_readable_by_all_and_writable_by_none(empty_registry: Registry) -> None:
    previous = os.umask(0o077)
    try:
        record = publish(empty_registry)
    finally:
        os.umask(previous)
    assert (empty_registry.folder / record.model_filename).stat().st_mode & 0o777 == 0o444
    assert empty_registry.training_journal.stat().st_mode & 0o777 == 0o664


def test_publishing_leaves_the_model_and_the_log_and_nothing_else(empty_registry: Registry) -> None:
    record = publish(empty_registry)
    assert files_in(empty_registry.folder) == sorted([".lock", "log.txt", record.model_filename])


def test_the_same_model_at_the_same_moment_gets_a_file_of_its_own(
    empty_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: moment)
    first, second, third = (publish(empty_registry) for _ in range(3))
    assert len({first.model_filename, second.model_filename, third.model_filename}) == 3
    assert len({first.training_timestamp, second.training_timestamp, third.training_timestamp}) == 3
    for record in (first, second, third):
        assert clock.in_filename(clock.parse(record.training_timestamp)) in record.model_filename


def test_no_file_is_overwritten_when_the_clock_goes_back(
    empty_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    first = publish(empty_registry)
    before = (empty_registry.folder / first.model_filename).stat()
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC) - timedelta(microseconds=1))
    second, third = publish(empty_registry), publish(empty_registry)
    after = (empty_registry.folder / first.model_filename).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len({first.model_filename, second.model_filename, third.model_filename}) == 3


def test_the_model_published_last_serves_even_when_the_clock_went_back(
    empty_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(empty_registry)
    monkeypatch.setattr(clock, "now", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    last = publish(empty_registry)
    assert empty_registry.latest("prd") == last


def test_everything_is_synced_before_the_record_is_written(
    empty_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model, then its name, are on disk before the record is; the record is at the end."""
    steps: list[str] = []
    real_sync, real_link, real_write = os.fsync, os.link, os.write

    def synced(descriptor: int) -> None:
        steps.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().suffix)
        real_sync(descriptor)

    def linked(*names: Path) -> None:
        steps.append("link")
        real_link(*names)

    def written(descriptor: int, data: bytes) -> int:
        steps.append("append")
        return real_write(descriptor, data)

    empty_registry.training_journal.touch()
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(os, "write", written)
    publish(empty_registry)
    assert steps == ["sync .tmp", "link", "sync ", "append", "sync .txt"]


@pytest.fixture(params=["real", "still"])
def hundred_publishers(request: pytest.FixtureRequest, registry_with_a_model: Registry) -> Registry:
    """A registry that 100 processes published to at once; the clock may stand still meanwhile."""
    script = PROGRAMS / "publish_at_once.py"
    ended = subprocess.run(
        [sys.executable, str(script), str(registry_with_a_model.folder), "100", request.param],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    return registry_with_a_model


def test_a_hundred_publishers_at_once_leave_a_hundred_models_and_a_hundred_whole_records(
    hundred_publishers: Registry,
) -> None:
    recorded = [decode(line) for line in hundred_publishers.training_journal.read_bytes().splitlines()][1:]
    models = [record for record in recorded if isinstance(record, ModelRecord)]
    assert len(recorded) == len(models) == 100
    assert sorted(int(record.run_id or "") for record in models) == list(range(100))
    assert len({record.model_filename for record in models}) == 100
    for record in models:
        number = int(record.run_id or "")
        assert hundred_publishers.load(record) == {"weights": [number % 2 * number]}
    files = [name for name in files_in(hundred_publishers.folder) if name not in {"log.txt", ".lock"}]
    assert len(files) == 101
    assert all(re.fullmatch(r"model_\d{8}T\d{12}Z_[0-9a-f]{32}\.joblib", name) for name in files)


def test_a_registry_folder_that_is_gone_is_an_error_and_no_log_appears_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Registry(tmp_path / "gone").publish(1, "prd", lineage())
    assert list(tmp_path.iterdir()) == []


def test_an_inference_record_begins_with_the_original_keys(empty_registry: Registry) -> None:
    empty_registry.record_inference(
        InferenceRecord(inference_time="t", environment="prd", inference_data="d", model_used="m", predictions=[1.0])
    )
    (line,) = lines_of(empty_registry.inference_journal)
    assert list(line)[:5] == ["inference_time", "environment", "inference_data", "model_used", "predictions"]
    assert set(line) >= {"model_hash", "predictions_path", "rows", "input_sha256", "output_sha256", "dag_id", "run_id"}
