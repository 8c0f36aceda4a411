"""A launcher that reads predictions, before an engine whose container prints what the test says."""

from __future__ import annotations

import json
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
from tests.launcher.support import PROJECT, FakeEngine, framed, variables_of

from bulkhead.prediction_files import Head
from bulkhead.unix_http import Client, Refusal, Request, Response, Server
from launcher.page_routes import PageRoutes
from launcher.upstream import API, Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FOLDER = "shared/runs/prd_inference_pipe_dag/r1"
PATH = f"{FOLDER}/predictions_1.parquet"
SHA256 = "0123456789abcdef" * 4
MADE = "d" * 64
ROWS = b"row,prediction\n1,1.5\n2,2.5\n"
HEAD = msgspec.json.encode(Head(columns=["row", "prediction"], rows=2)) + b"\n"


class ReadingEngine(FakeEngine):
    """Its container prints, and ends, as the test says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.images["bulkhead/inference:latest"] = self.images["bulkhead/trainer:latest"]
        self.next_id = MADE
        self.said = HEAD + ROWS
        self.complained = b""
        self.code = 0
        self.is_out_of_memory = False
        self.never_ends = False
        self.refuses_start = False
        self.left: list[str] = []
        """Readings that an earlier launcher has left."""
        self.started = threading.Event()
        self.hanging = threading.Event()
        self.removed: list[str] = []

    def _answer(self, request: Request) -> Response:
        path = unquote(request.path).removeprefix(API)
        match request.method, path.strip("/").split("/"):
            case "GET", ["containers", "json"]:
                labels = json.loads(request.query["filters"])["label"]
                return Response.of([{"Id": one} for one in self.left if "io.bulkhead.show-predictions" in labels])
            case "GET", ["containers", name, "json"] if name == self.next_id:
                return Response.of({"Id": name, "State": {"Status": "exited", "OOMKilled": self.is_out_of_memory}})
            case "POST", ["containers", "create"]:
                super()._answer(request)
                return Response.of({"Id": self.next_id}, 201)
            case "POST", ["containers", _, "attach"]:
                self.asked.append((request.method, path, dict(request.query), None))
                return Response(200, self._printed(request), "application/vnd.docker.raw-stream")
            case "POST", ["containers", _, "start"]:
                self.asked.append((request.method, path, dict(request.query), None))
                if self.refuses_start:
                    raise Refusal(400, "invalid mount")
                self.started.set()
                return Response(204)
            case "POST", ["containers", _, "wait"]:
                return Response.of({"StatusCode": self.code})
            case "DELETE", ["containers", name]:
                self.removed.append(name)
                if name in self.left:
                    self.left.remove(name)
        return super()._answer(request)

    def _printed(self, request: Request) -> Iterator[bytes]:
        gone = threading.Event()
        request.on_gone(gone.set)
        # A chunk of nothing would end the answer; what was not started prints nothing.
        while not self.started.wait(0.05):
            if gone.is_set():
                return
        yield framed(self.said) + framed(self.complained, 2)
        if self.never_ends:
            self.hanging.set()
            gone.wait(30)


class ReadingHost:
    """The launcher's second socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "shared/inputs/.uploads/arriving").mkdir(parents=True)
        (folder / FOLDER).mkdir(parents=True)
        (folder / PATH).write_bytes(b"never opened")
        self.engine = ReadingEngine(folder)
        self.said: list[str] = []
        self.variables = variables_of(folder)
        self.socket = folder / "page.sock"
        self.serve()

    def serve(self) -> None:
        """A launcher, as after a start."""
        self.routes = PageRoutes(Engine(self.engine.socket, 5), self.folder, PROJECT, self.said.append, self.variables)
        self.server = Server(self.socket, self.routes.answer, report=lambda _, error: traceback.print_exception(error))
        self.server.start()

    def ask(self, **changes: Any) -> tuple[int, Any]:
        """Status, and the sentence of a refusal, or all that came."""
        wanted = {"path": PATH, "sha256": SHA256, "limit": None, **changes}
        status, body = Client(self.socket, 30).request("POST", "/predictions", wanted)
        return status, body if status == 200 else json.loads(body)["message"]

    def wait_for(self, done: Callable[[], object]) -> None:
        """Until ``done``."""
        deadline = time.monotonic() + 10
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def has_removed(self, containers: int) -> bool:
        """Whether so many of its containers are gone."""
        return len(self.engine.removed) == containers

    def has_removed_its_own(self) -> bool:
        """Whether the container is gone."""
        return self.engine.removed == [MADE]
