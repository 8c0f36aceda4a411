"""A verify beside a server: one at a time, its result there for everybody."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.support.project import publish

from bulkhead.maintenance.background_verify import BackgroundVerify, check

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.store import Registry


def test_a_clean_registry_is_clean_and_a_missing_file_is_damage(empty_registry: Registry, tmp_path: Path) -> None:
    model = publish(empty_registry, "prd")
    result = check(empty_registry.folder, tmp_path / "shared", tmp_path)
    assert result.is_clean, result
    (empty_registry.folder / model.model_filename).unlink()
    result = check(empty_registry.folder, tmp_path / "shared", tmp_path)
    assert not result.is_clean
    assert result.damage == 1
    assert model.model_filename in result.found[0].sentence


def test_a_verify_beside_is_seen_by_everybody_and_ends_with_a_result(empty_registry: Registry, tmp_path: Path) -> None:
    publish(empty_registry, "prd")
    one, other = (BackgroundVerify(empty_registry.folder, tmp_path / "shared", tmp_path) for _ in range(2))
    assert one.latest() is None
    assert one.progress() is None
    one.start()
    one.start()  # does nothing: one runs
    deadline = time.monotonic() + 60
    while one.progress() is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    result = other.latest()
    assert result is not None
    assert result.is_clean
    assert other.progress() is None


def test_a_log_that_cannot_be_read_is_the_result(empty_registry: Registry, tmp_path: Path) -> None:
    publish(empty_registry, "prd")
    empty_registry.inference_journal.mkdir()
    result = check(empty_registry.folder, tmp_path / "shared", tmp_path)
    assert not result.is_clean


def test_a_result_that_is_torn_is_none(empty_registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "verify-report.json").write_text('{"started":')
    assert BackgroundVerify(empty_registry.folder, tmp_path, tmp_path).latest() is None
