"""Reading and appending: torn and foreign lines, both directions, and no more than needed."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.project import lineage, publish, records_of, training_failure

from bulkhead import untrusted
from bulkhead.errors import NoModel
from bulkhead.registry import journal, record_lines
from bulkhead.registry.records import (
    Anchor,
    InferenceFailure,
    InferenceRecord,
    ModelRecord,
    Record,
    TrainingFailure,
    Unreadable,
)

if TYPE_CHECKING:
    from bulkhead.registry.store import Registry

BLOCKS = st.sampled_from([1, 2, 7, 64, 1 << 16])

OURS = record_lines.encode(training_failure())

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
nearly_records = st.dictionaries(
    st.sampled_from(["model_filename", "error_timestamp", "detail", "environment", "metrics", "data", "dag_id"]),
    json_values,
    max_size=5,
)


def as_line(value: object) -> bytes:
    return msgspec.json.encode(value)


foreign_lines = (
    st.binary(max_size=300).map(lambda raw: raw.replace(b"\n", b" "))
    | json_values.map(as_line)
    | nearly_records.map(as_line)
    | st.integers(1, len(OURS) - 2).map(lambda cut: OURS[:cut])
    | st.sampled_from([b"", b"\r", b"\x00" * 40, b"[" * 100_000, b"\xff\xfe{}", b'{"a": 1e999}', b'"\\ud800"', b"{}"])
)


@given(spliced=st.lists(foreign_lines, max_size=6), end=st.sampled_from([b"", b'{"torn']))
@example(spliced=[OURS[:20], b"", b"\xff"], end=b'{"torn')
def test_foreign_lines_are_passed_over_and_every_record_of_ours_is_read(spliced: list[bytes], end: bytes) -> None:
    """Whatever stands between them: each of our records is there, in order, and nothing raises."""
    ours = [training_failure(run_id=f"ours {number}") for number in range(len(spliced) + 1)]
    content = record_lines.encode(ours[0])
    for line, record in zip(spliced, ours[1:], strict=True):
        content += line + b"\n" + record_lines.encode(record)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.txt"
        path.write_bytes(content + end)
        read = list(journal.read(path))
    assert [record for record in read if getattr(record, "run_id", None) in {o.run_id for o in ours}] == ours
    written = [line for line in content.split(b"\n") if line.strip()]
    assert len(read) == len(written) + bool(end)


@given(spliced=st.lists(foreign_lines | st.just(OURS.strip()), max_size=9), block=BLOCKS)
@example(spliced=[b"abc"], block=1 << 16)
def test_from_the_end_come_the_same_lines_in_reverse(spliced: list[bytes], block: int) -> None:
    """Whatever the size of the blocks, and with lines far longer than one."""
    lines = [line[:5000] for line in spliced] if block < 64 else spliced
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "log.txt"
        path.write_bytes(b"\n".join(lines))
        patch.setattr(journal, "_BLOCK", block)
        assert list(journal.read_newest_first(path)) == list(journal.read(path))[::-1]


def test_an_unreadable_line_says_where_it_stands_and_why(registry_with_a_torn_record: Registry) -> None:
    whole, torn = journal.read(registry_with_a_torn_record.training_journal)
    assert isinstance(whole, ModelRecord)
    assert isinstance(torn, Unreadable)
    content = registry_with_a_torn_record.training_journal.read_bytes()
    assert content[torn.offset :].startswith(b'{"model_hash"')
    assert torn.offset == content.index(b"\n") + 1
    assert torn.reason
    assert torn.text == content[torn.offset :][:80].decode()


def test_a_line_that_is_passed_over_is_reported(
    registry_with_a_torn_record: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry_with_a_torn_record.latest("prd")
    (message,) = caplog.messages
    assert "log.txt: passed over an unreadable line at byte" in message


def test_a_record_of_many_blocks_is_read_whole_from_both_ends(empty_registry: Registry) -> None:
    features = [f"column number {number}" for number in range(20_000)]
    long = publish(empty_registry, features=features)
    short = publish(empty_registry, "dev")
    assert empty_registry.training_journal.stat().st_size > 5 * journal._BLOCK
    assert empty_registry.latest("prd") == long
    assert empty_registry.latest("dev") == short


def test_a_missing_log_and_an_empty_log_have_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    assert list(journal.read(path)) == list(journal.read_newest_first(path)) == []
    path.touch()
    assert list(journal.read(path)) == list(journal.read_newest_first(path)) == []


def test_each_environment_has_its_own_latest_model(empty_registry: Registry) -> None:
    publish(empty_registry, "prd")
    dev = publish(empty_registry, "dev")
    prd = publish(empty_registry, "prd")
    publish_failure = training_failure()
    empty_registry.record_failure("training", publish_failure)
    assert empty_registry.latest("prd") == prd
    assert empty_registry.latest("dev") == dev


def test_an_empty_registry_says_which_dag_to_run(empty_registry: Registry) -> None:
    with pytest.raises(
        NoModel, match=r"models/log\.txt: no model of the environment prd yet\. Run prd_train_model_dag"
    ):
        empty_registry.latest("prd")


def test_a_model_of_the_other_environment_alone_is_no_model(registry_with_a_model: Registry) -> None:
    with pytest.raises(NoModel, match="environment dev"):
        registry_with_a_model.latest("dev")


def test_a_model_is_found_by_its_file_name(registry_with_two_models: Registry) -> None:
    for record in records_of(registry_with_two_models.training_journal):
        assert registry_with_two_models.find(record.model_filename) == record
    with pytest.raises(NoModel, match="just models"):
        registry_with_two_models.find("model_of_nobody.joblib")


class _Counting(io.FileIO):
    """A file that counts the bytes that are really read."""

    total = 0

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:  # type: ignore[override]
        count = super().readinto(buffer)
        _Counting.total += count or 0
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        _Counting.total += len(data or b"")
        return data or b""

    def readall(self) -> bytes:
        data = super().readall()
        _Counting.total += len(data or b"")
        return data or b""


@pytest.mark.parametrize("environment", ["prd", "dev"])
def test_the_latest_model_costs_no_more_in_a_long_log(
    environment: str, registry_with_a_long_log: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Counting, "total", 0)
    monkeypatch.setattr(untrusted, "open_file", lambda root, name, **_: io.BufferedReader(_Counting(root / name)))
    registry_with_a_long_log.latest(environment)
    assert registry_with_a_long_log.training_journal.stat().st_size > 7_000_000
    assert 0 < _Counting.total <= 4 * journal._BLOCK


def test_a_writer_waits_for_the_lock_of_another_process(registry_with_a_model: Registry) -> None:
    path = registry_with_a_model.training_journal
    hold = "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.flock(f,fcntl.LOCK_EX); print('held',flush=True); input()"
    before = path.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path.parent / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        writer = threading.Thread(target=journal.append, args=(path, training_failure()))
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        assert path.read_bytes() == before
        holder.communicate("\n", timeout=30)
    writer.join(30)
    assert not writer.is_alive()
    assert path.read_bytes().startswith(before + OURS[:-2])


def test_two_writers_at_once_never_share_a_line(tmp_path: Path) -> None:
    """They start on a torn line, which only one of them may end."""
    path = tmp_path / "log.txt"
    path.write_bytes(b'{"torn')
    each = 100

    def write(name: str) -> None:
        for number in range(each):
            journal.append(path, training_failure(run_id=f"{name} {number}"))

    writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    torn, *whole = journal.read(path)
    assert isinstance(torn, Unreadable)
    anchor, *whole = whole
    assert isinstance(anchor, Anchor)
    assert all(isinstance(record, TrainingFailure) for record in whole)
    for name in "ab":
        mine = [r.run_id for r in whole if isinstance(r, TrainingFailure) and (r.run_id or "").startswith(name)]
        assert mine == [f"{name} {number}" for number in range(each)]


def test_a_log_made_by_a_writer_is_writable_by_the_group_whatever_the_umask(tmp_path: Path) -> None:
    import os

    previous = os.umask(0o077)
    try:
        journal.append(tmp_path / "log.txt", training_failure())
    finally:
        os.umask(previous)
    assert (tmp_path / "log.txt").stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize(
    "record",
    [
        training_failure(),
        TrainingFailure(error_timestamp="t", detail="d"),
        InferenceFailure(error_time="t", error_message="m", environment="dev", cause="refused"),
        InferenceRecord(inference_time="t", environment="prd", inference_data="i", model_used="m", predictions=[1.5]),
        ModelRecord(
            model_hash="h",
            model_filename="f",
            training_timestamp="t",
            environment="prd",
            **msgspec.structs.asdict(lineage()),
        ),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_record_comes_back_as_it_was_written(record: Record) -> None:
    line = record_lines.encode(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert record_lines.decode(line) == record


@given(raw=st.binary(max_size=400) | foreign_lines)
def test_decoding_never_raises(raw: bytes) -> None:
    decoded = record_lines.decode(raw)
    if isinstance(decoded, Unreadable):
        assert decoded.reason
    else:
        assert record_lines.decode(record_lines.encode(decoded)) == decoded
