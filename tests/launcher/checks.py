"""A launcher that checks tables, before an engine that says what the test wants of its containers."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
from tests.launcher.support import PROJECT, FakeEngine, framed, variables_of

from bulkhead.unix_http import Refusal, Request, Response
from bulkhead.uploads import CheckAnswer, FoundColumn, FoundTable
from launcher.check_routes import CheckRoutes
from launcher.upstream import API, Engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UPLOAD = "0123456789abcdef" * 2
CONTENT = b"a,b\n1,2\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MADE = "d" * 64


def found(**changes: Any) -> CheckAnswer:
    """What a check says of :data:`CONTENT`."""
    columns = [FoundColumn("a", "number", missing=False), FoundColumn("b", "number", missing=False)]
    table = FoundTable(rows=1, sha256=SHA256, columns=columns, columns_total=2)
    return CheckAnswer(table=msgspec.structs.replace(table, **changes))


class CheckingEngine(FakeEngine):
    """Its container ends as the test says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.said: bytes = msgspec.json.encode(found())
        self.complained = b""
        self.code = 0
        self.is_out_of_memory = False
        self.never_ends = False
        self.refuses_start = False
        self.left: list[str] = []
        """Checks that an earlier launcher has left."""
        self.begun = threading.Event()
        self.on_start: Callable[[], object] = lambda: None

    def _answer(self, request: Request) -> Response:
        path = unquote(request.path).removeprefix(API)
        match request.method, path.strip("/").split("/"):
            case "GET", ["containers", "json"]:
                self.asked.append((request.method, path, dict(request.query), None))
                labels = json.loads(request.query["filters"])["label"]
                assert "io.bulkhead.check-input" in labels
                return Response.of([{"Id": one} for one in self.left])
            case "GET", ["containers", name, "json"] if name == MADE:
                state = {"Status": "running"} if self.never_ends else {"Status": "exited", "ExitCode": self.code}
                return Response.of({"Id": MADE, "State": {**state, "OOMKilled": self.is_out_of_memory}})
            case "GET", ["containers", _, "logs"]:
                return Response(200, framed(self.said if "stdout" in request.query else self.complained))
            case "POST", ["containers", _, "start"]:
                self.asked.append((request.method, path, dict(request.query), None))
                self.on_start()
                self.begun.set()
                if self.refuses_start:
                    raise Refusal(400, "invalid mount")
                return Response(204)
            case "DELETE", ["containers", name] if name in self.left:
                self.left.remove(name)
        return super()._answer(request)


class CheckHost:
    """The launcher's second socket, without the socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs = folder / "shared/inputs"
        self.uploads = self.inputs / ".uploads"
        self.arriving = self.uploads / "arriving"
        self.arriving.mkdir(parents=True)
        self.engine = CheckingEngine(folder)
        self.said: list[str] = []
        self.variables = variables_of(folder)
        self.routes = self.made()

    def made(self, seconds: float = 5) -> CheckRoutes:
        """A launcher, as after a start."""
        return CheckRoutes(Engine(self.engine.socket, seconds), self.folder, PROJECT, self.said.append, self.variables)

    def arrive(self, upload: str = UPLOAD, content: bytes = CONTENT) -> Path:
        """The API server has written a file to its end."""
        path = self.arriving / upload
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def ask(self, method: str, path: str, body: Any = None, gone: threading.Event | None = None) -> tuple[int, Any]:
        """Status and JSON of the answer; ``gone`` is set as soon as nobody waits for it any more."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()

        def on_gone(call: Callable[[], None]) -> None:
            def wait(until: threading.Event) -> None:
                until.wait(30)
                call()

            if gone is not None:
                threading.Thread(target=wait, args=(gone,), daemon=True).start()

        try:
            response = self.routes.answer(Request(method, path, {}, content, on_gone))
        except Refusal as refusal:
            return refusal.status, refusal.message
        assert isinstance(response.body, bytes)
        return response.status, json.loads(response.body)

    def check(self, name: str = "t.csv", gone: threading.Event | None = None, **changes: str) -> tuple[int, Any]:
        """Ask for a table to be checked and put in its place."""
        return self.ask("POST", "/check_input", {"upload": UPLOAD, "name": name, "sha256": SHA256, **changes}, gone)

    def left(self) -> list[str]:
        """What there is beside the folders of uploads, and in them."""
        return sorted(str(path.relative_to(self.inputs)) for path in self.inputs.rglob("*") if not path.is_dir())
