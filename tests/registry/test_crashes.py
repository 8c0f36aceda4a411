"""Publishing cut off: killed, or out of disk. A reader sees nothing or everything."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.support.project import files_in, publish

from bulkhead.registry import journal
from bulkhead.registry.records import ModelRecord, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bulkhead.registry.store import Registry

UNSEEN = (
    "in the temporary file",
    "after the temporary file",
    "after the link",
    "before the append",
    "in the middle of the append",
)
SEEN = ("before the sync of the append", "after the append")


def whole_records(registry: Registry) -> list[ModelRecord]:
    return [record for record in journal.read(registry.training_journal) if isinstance(record, ModelRecord)]


@pytest.mark.parametrize("stage", UNSEEN)
def test_a_killed_publish_leaves_the_previous_model_serving(
    stage: str, registry_with_a_model: Registry, killed_publish: Callable[[Registry, str], None]
) -> None:
    previous = registry_with_a_model.latest("prd")
    killed_publish(registry_with_a_model, stage)
    assert registry_with_a_model.latest("prd") == previous
    assert whole_records(registry_with_a_model) == [previous]
    assert registry_with_a_model.load(previous) == {"weights": [1.0, 2.0]}


@pytest.mark.parametrize("stage", SEEN)
def test_a_publish_killed_after_its_record_is_a_whole_model(
    stage: str, registry_with_a_model: Registry, killed_publish: Callable[[Registry, str], None]
) -> None:
    killed_publish(registry_with_a_model, stage)
    newest = registry_with_a_model.latest("prd")
    assert newest.run_id == "killed"
    assert registry_with_a_model.load(newest) == {"weights": [3.0]}


@pytest.mark.parametrize("stage", [*UNSEEN, *SEEN])
def test_the_publish_after_a_killed_one_works(
    stage: str, empty_registry: Registry, killed_publish: Callable[[Registry, str], None]
) -> None:
    killed_publish(empty_registry, stage)
    next_one = publish(empty_registry, model={"weights": [4.0]})
    assert empty_registry.latest("prd") == next_one
    assert empty_registry.load(next_one) == {"weights": [4.0]}
    assert whole_records(empty_registry)[-1] == next_one
    assert len(whole_records(empty_registry)) == (2 if stage in SEEN else 1)


def test_a_record_after_a_torn_one_starts_a_line_of_its_own(registry_with_a_torn_record: Registry) -> None:
    first = registry_with_a_torn_record.latest("prd")
    second = publish(registry_with_a_torn_record)
    before, torn, after = journal.read(registry_with_a_torn_record.training_journal)
    assert (before, after) == (first, second)
    assert isinstance(torn, Unreadable)


def test_a_record_torn_only_of_its_line_break_counts_once(registry_with_a_model: Registry) -> None:
    first = registry_with_a_model.latest("prd")
    registry_with_a_model.training_journal.write_bytes(registry_with_a_model.training_journal.read_bytes().rstrip())
    second = publish(registry_with_a_model)
    assert list(journal.read(registry_with_a_model.training_journal)) == [first, second]


@contextmanager
def nothing_changed(registry: Registry) -> Iterator[None]:
    """The registry's files and the log's bytes are the same after the block as before."""
    files, content = files_in(registry.folder), registry.training_journal.read_bytes()
    yield
    assert files_in(registry.folder) == files
    assert registry.training_journal.read_bytes() == content


def test_a_disk_that_takes_half_a_record_leaves_the_log_as_it_was_and_no_model(
    registry_with_a_model: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: len(data) // 2]))
    with nothing_changed(registry_with_a_model), pytest.raises(OSError, match="No space left") as caught:
        publish(registry_with_a_model)
    assert caught.value.errno == errno.ENOSPC


@contextlib.contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """This process can write no file beyond ``size``; around the publish alone, because pytest writes too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_kernel_that_cuts_a_record_short_leaves_the_log_as_it_was_and_no_model(
    room: int, registry_with_a_model: Registry
) -> None:
    """No patch: the kernel itself takes only ``room`` bytes of the record."""
    log_file = registry_with_a_model.training_journal
    log_file.write_bytes(log_file.read_bytes() * 9)
    limit = files_at_most(log_file.stat().st_size + room)
    too_large = pytest.raises(OSError, match=r"No space left|File too large")
    with nothing_changed(registry_with_a_model), too_large, limit:
        publish(registry_with_a_model)


def test_a_kernel_that_cuts_the_model_short_leaves_the_registry_as_it_was(
    registry_with_a_model: Registry,
) -> None:
    too_large = pytest.raises(OSError, match="File too large")
    with nothing_changed(registry_with_a_model), too_large, files_at_most(10):
        publish(registry_with_a_model)


@pytest.mark.parametrize("refused", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_write_that_fails_leaves_the_log_as_it_was_and_no_model(
    refused: int, registry_with_a_model: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int, _data: bytes) -> int:
        raise OSError(refused, os.strerror(refused))

    monkeypatch.setattr(os, "write", fail)
    with nothing_changed(registry_with_a_model), pytest.raises(OSError, match=os.strerror(refused)):
        publish(registry_with_a_model)


@pytest.mark.parametrize("which", [1, 2, 3], ids=["the model", "the folder", "the record"])
def test_a_sync_that_fails_leaves_the_log_as_it_was_and_no_model(
    which: int, registry_with_a_model: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    real = os.fsync

    def fail(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == which:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with nothing_changed(registry_with_a_model), pytest.raises(OSError, match="Input/output"):
        publish(registry_with_a_model)
    assert calls >= which


def test_a_log_that_cannot_be_opened_leaves_no_model(
    registry_with_a_model: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def fail(path: str | Path, *rest: int) -> int:
        if str(path).endswith("log.txt"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", fail)
    with nothing_changed(registry_with_a_model), pytest.raises(PermissionError):
        publish(registry_with_a_model)
