"""An engine, a registrar and a host that do as the test says; who runs the step is not Airflow."""

from __future__ import annotations

import io
import json
import logging
import struct
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException, NotFound
from requests import ReadTimeout, Response
from tests.support.project import identity

from bulkhead.protocol import PROTOCOL
from bulkhead.registrar_protocol import Concluded, Looked
from bulkhead.step import result
from engine.attempt import Attempt
from engine.caller import Caller
from engine.registrar_client import RegistrarAwayError
from engine.settings import Settings
from engine.step_request import REQUEST_LABEL
from engine.step_run import StepRun
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bulkhead.hosts_protocol import GivenUp
    from bulkhead.identity import Identity
    from engine.verdict import Failed

SPEC = StepSpec(image="trainer", command=["train_model", "--seed=1"], journal="training", environment="dev")
STARTED = {"StartedAt": "2026-11-24T10:00:00.5Z", "FinishedAt": "2026-11-24T10:00:02.0Z"}


def refusal(status: int, sentence: str) -> APIError:
    """What docker-py makes of an answer of the launcher that is none of 2xx."""
    answer = Response()
    answer.status_code = status
    return APIError(sentence, answer, sentence)


class Engine:
    """As much of docker-py's client as a step needs; ``work`` is what a started container does, its exit code."""

    def __init__(self, work: Callable[[str], int | None]) -> None:
        self.id = "ENGINE:1"
        self.work = work
        self.containers: dict[str, dict[str, Any]] = {}
        self.stopped: list[str] = []
        self.created = 0
        self.requests: list[dict[str, Any]] = []
        """What each create request asked for."""
        self.slow_stops = 0
        self.refuses_to_create: list[Exception] = []
        self.before_create: Callable[[], None] = lambda: None
        self.printed = b""

    last_line = "the last line"
    """Of what the container has printed on stderr."""

    def info(self) -> dict[str, str]:
        return {"ID": self.id}

    def create_container(self, **wanted: Any) -> dict[str, str]:
        self.before_create()
        if self.refuses_to_create:
            raise self.refuses_to_create.pop()
        if wanted["name"] in self.names():
            raise refusal(409, "that name is taken")
        container = f"{self.created:064x}"
        self.created += 1
        state = {"Status": "created", "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": ""}
        config = {"Labels": wanted["labels"], "Cmd": wanted["command"]}
        self.containers[container] = {"Id": container, "Name": f"/{wanted['name']}", "State": state, "Config": config}
        self.requests.append(json.loads(wanted["labels"][REQUEST_LABEL]))
        return {"Id": container}

    def start(self, container: str) -> None:
        if container not in self.containers:
            raise NotFound(container)
        code = self.work(container)
        state = {"Status": "running", "ExitCode": 0} if code is None else {"Status": "exited", "ExitCode": code}
        self.containers[container]["State"] = {**state, **STARTED}

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
        return f"{self.last_line}\n".encode()

    def rename(self, container: str, name: str) -> None:
        self.containers[container]["Name"] = f"/{name}"

    def remove_container(self, container: str) -> None:
        if self.containers[container]["State"]["Status"] == "running":
            raise refusal(409, "it runs")
        del self.containers[container]

    def stop(self, container: str, **_: Any) -> None:
        if self.slow_stops:
            self.slow_stops -= 1
            raise ReadTimeout("read timed out")
        self.stopped.append(container)
        self.containers[container]["State"] |= {"Status": "exited", "ExitCode": 143}

    def names(self) -> list[str]:
        return [container["Name"].lstrip("/") for container in self.containers.values()]

    def end(self, container: str, code: int = 0) -> None:
        """It ends by itself."""
        self.containers[container]["State"] |= {"Status": "exited", "ExitCode": code}

    def print(self, tick: int, text: str) -> None:
        """What all containers have printed; ``tick`` is the second."""
        content = f"2026-11-24T10:00:{tick:02}.000000000Z {text}".encode()
        self.printed += struct.pack(">BxxxL", 1, len(content)) + content

    # What the follower asks beneath docker-py's own functions.

    def _url(self, path: str, *values: str) -> str:
        return path.format(*values)

    @contextmanager
    def _get(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield SimpleNamespace(raw=io.BytesIO(self.printed))

    def _raise_for_status(self, _: Any) -> None:
        """Every answer is a good one."""


class Registrar:
    """Answers as it is told; ``absent`` is how many requests find nobody."""

    def __init__(self) -> None:
        self.first_try = "try-1"
        self.outcome: Concluded | None = None
        self.ended: str | None = None
        self.cleared: set[str] = set()
        self.answer = Concluded(verdict="recorded", sentence="model recorded", facts={"made": 1}, result={"facts": {}})
        self.absent = 0.0
        self.looks = 0
        self.on_look: Callable[[], None] = lambda: None
        self.concluded: list[str] = []
        self.failures: list[tuple[str | None, str, str]] = []
        self.given_up: list[GivenUp] = []
        """What is answered to who asks for a container elsewhere, one after the other; the last one stays."""
        self.asked_for: list[tuple[str, str]] = []
        self.elsewhere: str | None = None

    def give_up(self, host: str, container: str, identity: Identity) -> GivenUp:
        self._be_there()
        assert identity.task_id == "train_model"
        self.asked_for.append((host, container))
        return self.given_up[0] if len(self.given_up) == 1 else self.given_up.pop(0)

    def look(self, attempt: Attempt) -> Looked:
        self._be_there()
        self.looks += 1
        self.on_look()
        ended = "cleared" if attempt.try_id in self.cleared else self.ended
        return Looked(self.first_try, self.outcome, ended, self.elsewhere)

    def conclude(self, container: str) -> Concluded:
        self._be_there()
        self.concluded.append(container)
        return self.answer

    def fail(self, container: str | None, attempt: Attempt, spec: StepSpec, failed: Failed) -> None:
        self._be_there()
        assert (attempt.identity.task_id, spec.journal) == ("train_model", "training")
        self.failures.append((container, failed.cause, failed.detail))

    def _be_there(self) -> None:
        if self.absent > 0:
            self.absent -= 1
            raise RegistrarAwayError("nobody answers at registrar.sock")


class Host:
    """A project's folders, an engine, a registrar, and tries of one task."""

    def __init__(self, folder: Path) -> None:
        self.settings = replace(Settings(host_folder="/project", folder=folder), registrar_seconds=5, lease_seconds=0.2)
        self.engine = Engine(self.succeed)
        self.registrar = Registrar()
        self.reachable = True

    def connect(self) -> Any:
        if not self.reachable:
            raise DockerException("no socket")
        return self.engine

    def attempt(self, number: int = 1, **settings: Any) -> StepRun:
        caller = Caller(
            connect=self.connect,
            connect_to_stop=self.connect,
            registrar=lambda: self.registrar,  # type: ignore[arg-type, return-value]
            registrar_at_once=lambda: self.registrar,  # type: ignore[arg-type, return-value]
            log=logging.getLogger("step"),
            mask=lambda text: text.replace("secret", "***"),
        )
        self.identity = identity(task_id="train_model", try_number=number)
        attempt = Attempt(self.identity, try_id=f"try-{number}")
        return StepRun(SPEC, replace(self.settings, **settings), attempt, caller)

    def begun(self, number: int = 1, **settings: Any) -> tuple[StepRun, str]:
        """A try that has found or started its container."""
        attempt = self.attempt(number, **settings)
        assert not attempt.look()
        attempt.connect()
        return attempt, attempt.find_or_start()

    def run(self, number: int = 1, **settings: Any) -> Concluded:
        """One try, to its end."""
        attempt, container = self.begun(number, **settings)
        attempt.conclude(container, attempt.follow(container))
        assert attempt.outcome is not None
        return attempt.outcome

    def succeed(self, container: str) -> int:
        proof = result.StepResult(
            protocol=PROTOCOL,
            identity=self.identity,
            environment="dev",
            container=container[:12],
            started="s",
            finished="f",
        )
        folder = self.settings.folder / self.identity.run_path
        folder.mkdir(parents=True, exist_ok=True)
        result.path_of(folder, str(self.identity.task_id)).write_bytes(result.encode(proof))
        return 0

    def causes(self) -> list[str]:
        return [cause for _, cause, _ in self.registrar.failures]
