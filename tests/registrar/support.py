"""A registrar whose Airflow, launcher and Postgres do as the test says, on a real registry."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from tests.support.project import lineage

from bulkhead.identity import Identity
from bulkhead.protocol import PROTOCOL
from bulkhead.registrar_protocol import FailRequest, SeenHead
from bulkhead.registry.chain import Key, KeyRing
from bulkhead.registry.proposals import ModelProposal
from bulkhead.registry.store import Registry
from bulkhead.step import result
from bulkhead.unix_http import Request
from engine.attempt import Attempt
from registrar.approvals import Rules
from registrar.books import Books
from registrar.containers import Containers
from registrar.heads import Heads
from registrar.hosts import Hosts
from registrar.logical_task import TaskKey, Try
from registrar.outcome_index import OutcomeIndex
from registrar.run_notes import RunNotes
from registrar.service import Registrar, Routes
from registrar.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bulkhead.paths import JournalName
    from bulkhead.registry.chain import Head
    from registrar.airflow_records import Answer, Run

PROJECT = "ours"
RING = KeyRing(Key(b"the key of these tests"))
DAG, RUN = "dev_train_model_dag", "manual__1"


def try_id(number: int) -> str:
    """Airflow's id of a try."""
    return f"0199c0de-0000-7000-8000-{number:012d}"


class Airflow:
    """What Airflow's tables say."""

    def __init__(self) -> None:
        self.tasks: dict[TaskKey, list[Try]] = {}
        self.runs: dict[tuple[str, str], Run] = {}
        self.answers: dict[TaskKey, Answer] = {}

    def tries(self, task: TaskKey) -> list[Try]:
        return self.tasks.get(task, [])

    def run(self, dag_id: str, run_id: str) -> Run | None:
        return self.runs.get((dag_id, run_id))

    def answer(self, task: TaskKey) -> Answer | None:
        return self.answers.get(task)


class Tables:
    """The registrar's own tables, in memory."""

    def __init__(self) -> None:
        self.kept: dict[JournalName, SeenHead] = {}
        self.accepted_tries: set[str] = set()
        self.away: Exception | None = None

    def heads(self) -> dict[JournalName, SeenHead]:
        self._answer()
        return dict(self.kept)

    def keep_heads(self, heads: Mapping[JournalName, Head], *, gone: Iterable[JournalName] = ()) -> None:
        self._answer()
        for journal in gone:
            self.kept.pop(journal, None)
        self.kept |= {
            journal: SeenHead(head.seq, head.hash, "2026-01-01T00:00:00+00:00") for journal, head in heads.items()
        }

    def accepted(self, try_ids: Iterable[str]) -> set[str]:
        self._answer()
        return self.accepted_tries & set(try_ids)

    def accept(self, one: str) -> None:
        self._answer()
        self.accepted_tries.add(one)

    def _answer(self) -> None:
        if self.away is not None:
            raise self.away


@dataclass
class Launcher:
    """The launcher's socket: containers by id, and what was done to them."""

    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    away: bool = False

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        del body
        if self.away:
            raise ConnectionRefusedError("nobody listens")
        name, _, rest = path.removeprefix("/containers/").partition("?")[0].partition("/")
        if path.startswith("/containers/json"):
            listed = [{"Id": key, "Labels": one["Config"]["Labels"]} for key, one in self.containers.items()]
            return 200, json.dumps(listed).encode()
        found = self.containers.get(name)
        if found is None:
            return 404, b'{"message": "No such container"}'
        match method, rest:
            case "GET", "json":
                return 200, json.dumps(found).encode()
            case "POST", "stop":
                found["State"] |= {"Running": False, "Status": "exited", "ExitCode": 143}
            case "DELETE", "":
                del self.containers[name]
        self.done.append(f"{method} {name[:3]} {rest}".strip())
        return 204, b""


class Notes(RunNotes):
    """The notes of runs, in memory."""

    def __init__(self) -> None:
        super().__init__(None)
        self.said: list[tuple[str, str, str]] = []

    def add(self, dag_id: str, run_id: str, sentence: str) -> None:
        self.said.append((dag_id, run_id, sentence))


class Service:
    """A whole registrar, without its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "models").mkdir()
        (folder / "shared/runs").mkdir(parents=True)
        self.registry = Registry(folder / "models", RING)
        self.airflow, self.tables, self.launcher, self.notes = Airflow(), Tables(), Launcher(), Notes()
        self.heads = Heads(self.tables)  # type: ignore[arg-type]  # in memory
        self.index = OutcomeIndex(folder / "models", folder / "index.sqlite")
        self.books = Books(self.registry, self.index, self.tables, self.heads)  # type: ignore[arg-type]  # as above
        self.registrar = Registrar(
            self.books,
            self.tables,  # type: ignore[arg-type]  # as above
            self.airflow,  # type: ignore[arg-type]  # as above
            Hosts(None, folder, Containers(self.launcher, PROJECT)),
            Rules(),
            folder,
            notes=self.notes,
        )
        self.sweep = Sweep(self.registrar)
        self.routes = Routes(self.registrar)
        self.lock = threading.Lock()

    def task(self, task_id: str = "train_model", dag_id: str = DAG) -> TaskKey:
        return TaskKey(dag_id, RUN, task_id)

    def round(self) -> None:
        """One of the sweep's, and all that it has begun."""
        self.sweep.round()
        for begun in list(self.sweep._concluding.values()):
            begun.result(20)

    def tries(
        self, *states: str | None, task_id: str = "train_model", dag_id: str = DAG, by_person: bool = True
    ) -> None:
        """Airflow's tries of a task, the last one its present one, which a person has failed if it has failed."""
        self.airflow.tasks[self.task(task_id, dag_id)] = [
            Try(try_id(number), number, state, is_current=number == len(states), is_by_person=by_person)
            for number, state in enumerate(states, start=1)
        ]

    def container(self, number: int = 1, task_id: str = "train_model", **changes: Any) -> str:
        """A container of try ``number`` that has ended well; returns its id."""
        dag_id = changes.get("dag_id", DAG)
        identity = Identity(
            dag_id=dag_id,
            run_id=RUN,
            task_id=task_id,
            try_number=number,
            map_index=-1,
            image="bulkhead/trainer@sha256:1",
        )
        made = hashlib.sha256(f"{number} {task_id} {len(self.launcher.containers)}".encode()).hexdigest()
        labels = {
            **Attempt(identity, try_id(number), try_id(1)).labels(),
            "io.bulkhead.project": PROJECT,
            "io.bulkhead.environment": changes.get("environment", "dev"),
            **({"io.bulkhead.model-name": changes["name"]} if "name" in changes else {}),
            "io.bulkhead.journal": changes.get("journal", "training"),
            "io.bulkhead.approval-task": changes.get("approval_task", ""),
            "org.opencontainers.image.revision": "c0ffee",
        }
        state = {"Status": "exited", "Running": False, "ExitCode": 0, **changes.get("state", {})}
        config = {"Labels": labels, "Cmd": [changes.get("command", task_id), *changes.get("flags", ())]}
        name = f"/ours.{dag_id}.{RUN}.{task_id}"
        self.launcher.containers[made] = {"Id": made, "Name": name, "State": state, "Config": config}
        return made

    def run_folder(self, dag_id: str = DAG) -> Path:
        made = self.folder / Identity(dag_id=dag_id, run_id=RUN).run_path
        made.mkdir(parents=True, exist_ok=True)
        return made

    def leave(self, container: str, proposal: Any, task_id: str = "train_model", /, **changes: Any) -> None:
        """The result file of ``container``, which lies about all but what it ran for."""
        inspected = self.launcher.containers.get(container, {"Config": {"Labels": {}}})
        labels = inspected["Config"]["Labels"]
        given: dict[str, Any] = {
            "protocol": PROTOCOL,
            "identity": Identity(task_id=task_id, dag_id="a lie", run_id="a lie"),
            "environment": labels.get("io.bulkhead.environment", "prd"),
            "model_name": labels.get("io.bulkhead.model-name", "model"),
            "container": container[:12],
            "started": "s",
            "finished": "f",
            "proposal": proposal,
        }
        folder = self.run_folder(changes.pop("dag_id", DAG))
        made = result.StepResult(**{**given, **changes})
        result.path_of(folder, task_id).write_bytes(result.encode(made))

    def model(self, content: bytes = b"a model", **changes: Any) -> ModelProposal:
        """A model's file in the run folder, and its proposal."""
        (self.run_folder() / "train_model.joblib").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        given: dict[str, Any] = {
            "lineage": lineage(dag_id="a lie", run_id="a lie", try_number=9),
            "path": "train_model.joblib",
            "sha256": sha256,
            "size_bytes": len(content),
            "model_hash": sha256[:32],
        }
        return ModelProposal(**{**given, **changes})

    def trained(self, number: int = 1, content: bytes = b"a model") -> str:
        """A container of try ``number`` that has left a model; returns its id."""
        container = self.container(number)
        self.leave(container, self.model(content))
        return container

    def ask(self, path: str, body: object, method: str = "POST") -> Any:
        """What the service answers."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        response = self.routes(Request(method, path, {}, content))
        assert isinstance(response.body, bytes)
        return json.loads(response.body)

    def attempt(self, path: str, body: object) -> None:
        """Ask, whatever comes of it."""
        with suppress(Exception):
            self.ask(path, body)

    def fail(self, number: int = 1, container: str | None = None, *, name: str = "model", **changes: Any) -> Any:
        """Tell the failure of a try."""
        who = Identity(dag_id=DAG, run_id=RUN, task_id="train_model", try_number=number, map_index=-1)
        failed = {"cause": "crashed", "detail": "it broke", "retry": True, **changes}
        request = {
            "container": container,
            "identity": msgspec.to_builtins(who),
            "try_id": try_id(number),
            "environment": "dev",
            "model_name": name,
            "journal": "training",
            "failed": failed,
        }
        msgspec.convert(request, FailRequest)
        return self.ask("/fail", request)
