"""The life of a step's container, on an engine that does as the test says; who runs it is not Airflow."""

from __future__ import annotations

import io
import logging
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from tests.support.project import identity, lines_of

from bulkhead.step import result
from engine import step_run
from engine.settings import Settings
from engine.step_run import Caller, StepFailedError, StepRun
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SPEC = StepSpec(image="trainer", command=["train_model", "--seed=1"], journal="training", environment="dev")


class Engine:
    """As much of docker-py's client as a step needs; ``work`` is what a started container does, its exit code."""

    def __init__(self, work: Callable[[str], int]) -> None:
        self.work = work
        self.containers: dict[str, dict[str, Any]] = {}
        self.stopped: list[str] = []
        self.images = {"bulkhead/trainer:latest": {"Id": "sha256:1234", "Config": {"Labels": None}}}

    def inspect_image(self, tag: str) -> dict[str, Any]:
        if tag not in self.images:
            raise ImageNotFound(tag)
        return self.images[tag]

    def create_host_config(self, **wanted: Any) -> dict[str, Any]:
        return wanted

    def create_container(self, *, name: str, **wanted: Any) -> dict[str, str]:
        container = f"{len(self.containers):064x}"
        assert name not in self.names()
        state = {"Status": "created", "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": ""}
        config = {"Labels": wanted["labels"], "Cmd": wanted["command"]}
        self.containers[container] = {"Id": container, "Name": f"/{name}", "State": state, "Config": config}
        return {"Id": container}

    def start(self, container: str) -> None:
        started = {"StartedAt": "2026-11-24T10:00:00.5Z", "FinishedAt": "2026-11-24T10:00:02.0Z"}
        state = {"Status": "exited", "ExitCode": self.work(container), **started}
        self.containers[container]["State"] = state

    def inspect_container(self, name: str) -> dict[str, Any]:
        for container in self.containers.values():
            if name in (container["Id"], container["Name"].lstrip("/")):
                return container
        raise NotFound(name)

    def wait(self, *_: Any, **__: Any) -> None:
        """Until it ends, which it did when it started."""

    def stats(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {}

    def logs(self, *_: Any, **__: Any) -> bytes:
        return b"the last line\n"

    def rename(self, container: str, name: str) -> None:
        self.containers[container]["Name"] = f"/{name}"

    def remove_container(self, container: str, **_: Any) -> None:
        if self.containers.pop(container, None) is None:
            raise NotFound(container)

    def stop(self, container: str, **_: Any) -> None:
        self.stopped.append(container)
        self.containers[container]["State"] |= {"Status": "exited", "ExitCode": 143}

    def names(self) -> list[str]:
        return [container["Name"].lstrip("/") for container in self.containers.values()]

    # What the follower asks beneath docker-py's own functions: nothing was printed.

    def _url(self, path: str, *values: str) -> str:
        return path.format(*values)

    @contextmanager
    def _get(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield SimpleNamespace(raw=io.BytesIO())

    def _raise_for_status(self, _: Any) -> None:
        """Every answer is a good one."""


class Host:
    """A project's folders, an engine, and tries of one task."""

    def __init__(self, folder: Path) -> None:
        (folder / "models").mkdir()
        self.settings = Settings(host_folder="/project", folder=folder)
        self.engine = Engine(self.succeed)
        self.stop = False
        self.reachable = True

    def connect(self) -> Any:
        if not self.reachable:
            raise DockerException("no socket")
        return self.engine

    def attempt(self, number: int = 1, **settings: Any) -> StepRun:
        caller = Caller(
            self.connect,
            self.connect,
            logging.getLogger("step"),
            lambda text: text.replace("secret", "***"),
            lambda: self.stop,
        )
        self.identity = identity(task_id="train_model", try_number=number)
        return StepRun(SPEC, replace(self.settings, **settings), self.identity, caller)

    def run(self, number: int = 1, **settings: Any) -> result.StepResult:
        """One try, to its end."""
        attempt = self.attempt(number, **settings)
        attempt.connect()
        container = attempt.find_or_start()
        attempt.conclude(container, attempt.follow(container))
        proof = attempt.proof()
        attempt.remove(container)
        return proof

    def succeed(self, container: str) -> int:
        proof = result.StepResult(
            identity=self.identity, environment="dev", container=container[:12], started="s", finished="f"
        )
        result.write(self.settings.folder / self.identity.run_path, proof)
        return 0

    def failures(self) -> list[tuple[int, str]]:
        records = lines_of(self.settings.folder / "models/log.txt")
        return [(record["try_number"], record["cause"]) for record in records]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_step_that_proves_its_end_leaves_no_container_and_no_failure(host: Host) -> None:
    assert host.run().identity.task_id == "train_model"
    assert host.engine.containers == {}
    assert host.failures() == []


def test_a_crash_is_recorded_once_and_its_container_set_aside(host: Host) -> None:
    host.engine.work = lambda _: 70
    with pytest.raises(StepFailedError, match=r"train_model: crashed: exit code 70 after 1\.5 s") as failed:
        host.run()
    assert failed.value.failed.retry
    assert host.failures() == [(1, "crashed")]
    (name,) = host.engine.names()
    assert name.endswith(".failed-000000000000")


def test_the_next_try_starts_afresh_after_a_crash(host: Host) -> None:
    host.engine.work = lambda _: 70
    with pytest.raises(StepFailedError):
        host.run()
    host.engine.work = host.succeed
    host.run(2)
    assert host.failures() == [(1, "crashed")]


def test_a_refusal_is_not_to_be_retried(host: Host) -> None:
    host.engine.work = lambda _: 1
    with pytest.raises(StepFailedError) as failed:
        host.run()
    assert not failed.value.failed.retry


def test_a_try_goes_on_with_the_container_that_an_earlier_one_left(host: Host) -> None:
    first = host.attempt(1)
    first.connect()
    container = first.find_or_start()
    second = host.attempt(2)
    second.connect()
    assert second.find_or_start() == container
    assert second.status(container) == step_run.SUCCEEDED
    assert len(host.engine.containers) == 1


def test_a_failure_that_nobody_saw_is_recorded_for_the_try_that_started_it(host: Host) -> None:
    host.engine.work = lambda _: 70
    first = host.attempt(1)
    first.connect()
    container = first.find_or_start()
    second = host.attempt(2)
    second.connect()
    assert second.status(container) == step_run.FAILED
    assert second.status(container) == step_run.FAILED
    assert host.failures() == [(1, "crashed")]


def test_a_container_that_never_ran_is_replaced(host: Host) -> None:
    first = host.attempt()
    first.connect()
    host.stop = True
    created = first.find_or_start()
    host.stop = False
    assert host.engine.inspect_container(created)["State"]["Status"] == "created"
    host.run(2)
    assert host.failures() == []


def test_a_stopped_step_is_killed_whatever_its_exit_code(host: Host) -> None:
    attempt = host.attempt()
    attempt.connect()
    host.engine.work = lambda _: 0
    container = attempt.find_or_start()
    host.stop = True
    attempt.stop()
    with pytest.raises(StepFailedError, match="killed"):
        attempt.conclude(container, attempt.follow(container))
    assert host.engine.stopped == [container]
    assert host.failures() == [(1, "killed")]


@pytest.mark.parametrize("when", ["before it is found", "before it is followed"])
def test_a_stop_reaches_a_container_that_an_earlier_try_has_left_running(host: Host, when: str) -> None:
    first = host.attempt()
    first.connect()
    container = first.find_or_start()
    host.engine.containers[container]["State"] |= {"Status": "running"}
    second = host.attempt()
    second.connect()
    host.stop = when == "before it is found"
    assert second.find_or_start() == container
    if not host.stop:
        host.stop = True
        second.stop()
    assert host.engine.stopped == [container]


def test_a_step_over_its_time_limit_is_stopped_and_says_which_limit_that_was(host: Host) -> None:
    attempt = host.attempt(seconds=5, sources={"seconds": "BULKHEAD_STEP_SECONDS_TRAIN_MODEL"})
    attempt.connect()
    host.engine.work = lambda _: 0
    container = attempt.find_or_start()
    host.engine.containers[container]["State"] |= {"Status": "running"}
    with pytest.raises(StepFailedError, match=r"not done after 5 s \(BULKHEAD_STEP_SECONDS_TRAIN_MODEL\)") as failed:
        attempt.conclude(container, attempt.follow(container))
    assert not failed.value.failed.retry
    assert host.engine.stopped == [container]
    assert host.failures() == [(1, "timed_out")]


def test_an_engine_that_does_not_answer_is_a_failure_that_may_be_retried(host: Host) -> None:
    host.reachable = False
    with pytest.raises(StepFailedError, match="engine_unreachable: no socket") as failed:
        host.attempt().connect()
    assert failed.value.failed.retry
    assert host.failures() == [(1, "engine_unreachable")]


def test_a_missing_image_names_the_command_that_builds_it(host: Host) -> None:
    host.engine.images.clear()
    with pytest.raises(StepFailedError, match="just build-images"):
        host.run()
    assert host.failures() == [(1, "image_missing")]


def test_a_secret_is_masked_in_the_failure_and_in_its_record(host: Host) -> None:
    def refuse(_: str) -> int:
        raise APIError("400", explanation="a secret mount")

    host.engine.work = refuse
    with pytest.raises(StepFailedError, match=r"a \*\*\* mount"):
        host.run()
    (record,) = lines_of(host.settings.folder / "models/log.txt")
    assert "secret" not in str(record)
    assert host.engine.containers == {}
