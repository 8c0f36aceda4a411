"""What cannot be recorded now is told as such, and recorded later; nobody waits for another's large file."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.registrar.support import DAG, RUN, try_id
from tests.registrar.test_conclude import conclude, files, models

from bulkhead.registry import lock, publishing
from bulkhead.unix_http import Refusal
from registrar import books
from registrar.database import Away

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.registrar.support import Service


def test_nothing_is_recorded_while_postgres_or_the_launcher_is_away(service: Service) -> None:
    service.tries("running")
    container = service.trained()
    service.tables.away = Away("Postgres: gone")
    with pytest.raises(Refusal) as caught:
        conclude(service, container)
    assert caught.value.status == 503
    service.tables.away = None
    service.launcher.away = True
    with pytest.raises(Refusal) as caught:
        conclude(service, container)
    assert caught.value.status == 503
    service.launcher.away = False
    assert conclude(service, container)["verdict"] == "recorded"


def test_a_registry_that_cannot_be_written_is_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.tries("running")
    container = service.trained()
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(Refusal, match="cannot be written") as caught:
            conclude(service, container)
    assert caught.value.status == 503
    assert (models(service), files(service)) == ([], [])
    assert conclude(service, container)["verdict"] == "recorded"


def test_a_lock_that_somebody_holds_for_too_long_costs_no_outcome(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.tries("running")
    container = service.trained()
    monkeypatch.setattr(lock, "_WAIT_SECONDS", 0.2)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.locked(service.registry.folder):
            held.set()
            done.wait(20)

    with ThreadPoolExecutor() as pool:
        holder = pool.submit(hold)
        assert held.wait(10)
        with pytest.raises(Refusal, match="has been held by another process") as caught:
            conclude(service, container)
        assert caught.value.status == 503
        with pytest.raises(Refusal, match="has been held by another process") as caught:
            service.fail(1)
        assert caught.value.status == 503
        # A step may begin meanwhile: whether its task has an outcome is known from what was read before.
        monkeypatch.setattr(books, "_LOOK_SECONDS", 0.1)
        looked = service.ask("/look", {"try_id": try_id(1), "dag_id": DAG, "run_id": RUN, "task_id": "train_model"})
        assert looked["outcome"] is None
        done.set()
        holder.result(10)
    assert (models(service), files(service)) == ([], [])
    assert conclude(service, container)["verdict"] == "recorded"


def test_while_a_large_model_is_copied_others_are_recorded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    copying, go_on = threading.Event(), threading.Event()
    copied = publishing.copied

    @contextmanager
    def copied_slowly(*arguments: Any, **named: Any) -> Iterator[Any]:
        with copied(*arguments, **named) as copy:
            if not copying.is_set():
                copying.set()
                assert go_on.wait(20)
            yield copy

    monkeypatch.setattr(publishing, "copied", copied_slowly)
    service.tries("running")
    large = service.trained()
    other = service.trained(2)
    service.launcher.containers[other]["Config"]["Labels"]["io.bulkhead.task"] = "another"
    service.tries("success", "running", task_id="another")
    service.leave(other, service.model(), "another")
    with ThreadPoolExecutor() as pool:
        service.leave(large, service.model())
        first = pool.submit(conclude, service, large)
        assert copying.wait(10)
        again = pool.submit(conclude, service, large)  # the operator, which has waited for long enough, asks again
        assert conclude(service, other)["verdict"] == "recorded"
        go_on.set()
        assert {first.result(10)["verdict"], again.result(10)["verdict"]} == {"recorded", "adopted"}
    assert len(models(service)) == len(files(service)) == 2
    assert [path.name for path in service.registry.folder.iterdir() if path.name.endswith(".tmp")] == []
