"""An engine that writes down what it is asked, and the launcher's routes before it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bulkhead.identity import Identity
from bulkhead.unix_http import Refusal, Request, Response, Server
from engine.attempt import Attempt
from engine.seal import PROJECT_LABEL
from engine.step_request import REQUEST_LABEL
from launcher.routes import Routes
from launcher.upstream import API, Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROJECT = "ours"
TRY = "0199c0de-0000-7000-8000-000000000001"
MINE = "a" * 64
OTHERS = "b" * 64
SERVICE = "c" * 64
ATTEMPT = Attempt(
    Identity(dag_id="d", run_id="manual__1", task_id="train_model", try_number=1, map_index=-1, image="i"), TRY, TRY
)


def framed(content: bytes, stream: int = 1) -> bytes:
    """Output as the engine sends it: in pieces, each with a header."""
    pieces = [content[at : at + 1000] for at in range(0, len(content), 1000)]
    return b"".join(bytes([stream, 0, 0, 0]) + len(piece).to_bytes(4, "big") + piece for piece in pieces)


def variables_of(folder: Path) -> dict[str, str]:
    """The environment of a launcher whose project is in ``folder``."""
    return {
        "BULKHEAD_HOST_DIR": "/project",
        "AIRFLOW_HOME": str(folder),
        "BULKHEAD_PROJECT": PROJECT,
        "BULKHEAD_UID": "1234",
    }


class FakeEngine:
    """As much of an engine as the launcher asks."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.ended = threading.Event()
        self.hangs = False
        self.on_create: Callable[[], None] = lambda: None
        self.memory = 64 << 30
        self.steps: list[str] = []
        """The ids of those that run, beside the ones that are there from the beginning."""
        ours = {PROJECT_LABEL: PROJECT, **ATTEMPT.labels()}
        self.containers: dict[str, dict[str, Any]] = {
            MINE: {"Name": "/ours.d.train_model", "State": {"Status": "exited"}, "Config": {"Labels": ours}},
            OTHERS: {"State": {"Status": "exited"}, "Config": {"Labels": {**ours, PROJECT_LABEL: "theirs"}}},
            SERVICE: {"State": {"Status": "running"}, "Config": {"Labels": {PROJECT_LABEL: PROJECT}}},
        }
        self.images = {
            "bulkhead/trainer:latest": {"Id": "sha256:1", "Config": {"Labels": {"io.bulkhead.step-image": ""}}},
            "bulkhead/registrar:latest": {"Id": "sha256:2", "Config": {"Labels": {}}},
        }
        self.socket = folder / "engine.sock"
        self.server = Server(self.socket, self._answer)
        self.server.start()

    @property
    def changes(self) -> list[tuple[str, str, dict[str, str], Any]]:
        """What was asked that is no look."""
        return [one for one in self.asked if one[0] != "GET"]

    def add_step(self) -> None:
        """One more runs."""
        made = f"{len(self.steps):064d}"
        self.containers[made] = {"Name": f"/{made}", "HostConfig": {"Memory": 400 << 20}, "Config": {"Labels": {}}}
        self.steps.append(made)

    def _answer(self, request: Request) -> Response:  # noqa: C901, PLR0912  # a call each
        path = unquote(request.path).removeprefix(API)
        body = json.loads(request.body) if request.body else None
        self.asked.append((request.method, path, dict(request.query), body))
        match request.method, path.strip("/").split("/"):
            case "GET", ["_ping"]:
                return Response(200, b"OK", "text/plain")
            case "GET", ["version"]:
                return Response.of({"ApiVersion": "1.47"})
            case "GET", ["info"]:
                info = {"ID": "E1", "Name": "host", "RegistryConfig": "private", "NCPU": 2, "MemTotal": self.memory}
                return Response.of(info)
            case "GET", ["images", *name, "json"]:
                if (found := self.images.get("/".join(name))) is None:
                    raise Refusal(404, "No such image: " + "/".join(name))
                return Response.of(found)
            case "POST", ["containers", "create"]:
                self.on_create()
                return Response.of({"Id": "d" * 64}, 201)
            case "GET", ["containers", "json"]:
                if "status" in request.query.get("filters", ""):
                    return Response.of([{"Id": one} for one in self.steps])
                return Response.of([{"Id": MINE}])
            case "GET", ["containers", name, "json"]:
                if name not in self.containers:
                    raise Refusal(404, f"No such container: {name}")
                return Response.of({"Id": name, **self.containers[name]})
            case "GET", ["containers", _, "logs"]:
                request.on_gone(self.ended.set)
                return Response(200, self._lines(request.query.get("follow") == "1"), "text/plain")
            case "GET", ["containers", _, "stats"]:
                return Response.of({"memory_stats": {"usage": 1}})
            case "POST", ["containers", _, "wait"]:
                if self.hangs:
                    request.on_gone(self.ended.set)
                    self.ended.wait(30)
                return Response.of({"StatusCode": 0})
        return Response(204)

    def _lines(self, follow: bool) -> Iterator[bytes]:  # noqa: FBT001  # as the engine has it
        yield b"line\n"
        if follow:
            self.ended.wait(30)


class Host:
    """A launcher with its folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("models", "shared/inputs", "shared/runs"):
            (folder / name).mkdir(parents=True)
        self.engine = FakeEngine(folder)
        self.said: list[str] = []
        self.variables = variables_of(folder) | {"BULKHEAD_STEP_MEMORY": "400m"}
        self.routes = Routes(Engine(self.engine.socket, 5), PROJECT, self.said.append, self.variables)

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        try:
            response = self.routes.answer(Request(method, path, query, content))
        except Refusal as refusal:
            return refusal.status, refusal.message
        raw = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, raw

    def create(self, **changes: Any) -> tuple[int, Any]:
        """Ask for a step."""
        return self.ask("POST", "/v1.47/containers/create", labelled(**changes), name="whatever")


def requested(**changes: Any) -> dict[str, Any]:
    """A step request as the operator sends it."""
    who = {"dag_id": "d", "run_id": "manual__1", "task_id": "train_model", "try_number": 1, "map_index": -1}
    given: dict[str, Any] = {
        "image": "trainer",
        "command": ["train_model", "--seed=1"],
        "environment": "dev",
        "journal": "training",
        "identity": {**who, **changes.pop("identity", {})},
        "try_id": TRY,
        "first_try": TRY,
    }
    return {**given, **changes}


def labelled(**changes: Any) -> dict[str, Any]:
    """A body of Docker's "create a container" that carries a step request."""
    return {"Image": "bulkhead/trainer", "Labels": {REQUEST_LABEL: json.dumps(requested(**changes))}}
