"""The calls of Docker's API that a step needs, and no other.

A call is a method and a pattern of a path. Whatever matches none is refused, so a call that Docker learns tomorrow is
refused too. Parameters are read, checked, and written anew.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from bulkhead.unix_http import Refusal, Response, segments
from engine.seal import PROJECT_LABEL
from engine.settings import Settings
from launcher import creation, room, run_folder
from launcher.upstream import message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bulkhead.unix_http import Request
    from launcher.upstream import Engine

TASK_LABEL = "io.bulkhead.dag"
_VERSION = re.compile(r"v\d{1,2}\.\d{1,3}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_ENDED = {"exited", "dead", "created"}
_STOPPED = {"TERM", "KILL", "SIGTERM", "SIGKILL", "INT", "SIGINT"}
_LONGEST_STOP = 60
_INFO = ("ID", "Name", "NCPU", "MemTotal", "ServerVersion")
_NOT_FOUND, _CONFLICT, _ERROR = 404, 409, 400
_LOCKS = 64
"""For the names and ids of containers; two may share one."""
_ALONE_SECONDS = 240.0
"""Less than a client waits: what nobody waits for any more must not be done."""


class Routes:
    """Answers requests.

    Args:
        engine: the real one.
        project: whose containers are ours.
        log: takes a line for each container that is started, stopped or removed.
        variables: how steps run on this host; this process's, if not given.
    """

    def __init__(
        self,
        engine: Engine,
        project: str,
        log: Callable[[str], None],
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._engine = engine
        self._project = project
        self._log = log
        self._variables = variables
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._room = threading.Lock()
        """Whoever looks for room on this host has it until the container is made."""

    def answer(self, request: Request) -> Response:
        """The answer to ``request``.

        Raises:
            Refusal: it is not one of ours, or the engine says no.
        """
        parts = segments(request.path)
        if parts and _VERSION.fullmatch(parts[0]):
            parts = parts[1:]
        match request.method, parts:
            case "GET" | "HEAD", ["_ping"]:
                return Response(200, self._engine.ask("GET", "/_ping")[1], "text/plain")
            case "GET", ["version"]:
                return Response.of(self._engine.get("/version"))
            case "GET", ["info"]:
                found = self._engine.get("/info")
                return Response.of({key: found.get(key) for key in _INFO})
            case "GET", ["images", "bulkhead", name, "json"]:
                return self._image(name)
            case "POST", ["containers", "create"]:
                return self._create(request)
            case "GET", ["containers", "json"]:
                return self._list(request)
            case "POST", ["probe"]:
                return self._probe(request)
            case method, ["containers", name, *rest] if _NAME.fullmatch(name):
                return self._container(method, name, rest, request)
        raise Refusal(403, f"{request.method} {request.path[:200]} is no call that a step needs")

    def _container(self, method: str, name: str, rest: list[str], request: Request) -> Response:
        calls: dict[tuple[str, str], Callable[[dict[str, Any], Request], Response]] = {
            ("GET", "json"): lambda found, _: Response.of(found),
            ("GET", "logs"): self._logs,
            ("GET", "stats"): self._stats,
            ("POST", "start"): self._start,
            ("POST", "stop"): self._stop,
            ("POST", "kill"): self._kill,
            ("POST", "wait"): self._wait,
            ("POST", "rename"): self._rename,
            ("DELETE", ""): self._remove,
        }
        call = calls.get((method, "/".join(rest)))
        if call is None:
            raise Refusal(403, f"{method} {request.path[:200]} is no call that a step needs")
        return call(self._ours(name), request)

    def _ours(self, name: str) -> dict[str, Any]:
        """``docker inspect`` of a step's container of this project.

        Raises:
            Refusal: there is none of that name (404).
        """
        found: dict[str, Any] = self._engine.get(f"/containers/{name}/json")
        labels = (found.get("Config") or {}).get("Labels") or {}
        if labels.get(PROJECT_LABEL) != self._project or TASK_LABEL not in labels:
            raise Refusal(404, f"No such container: {name}")  # as Docker says it: others' are not ours to know of
        return found

    def _image(self, name: str) -> Response:
        image = creation.image_of(self._engine, f"bulkhead/{name}")
        labels = {"org.opencontainers.image.revision": image.commit} if image.commit else {}
        found = {
            "Id": image.id,
            "RepoTags": [image.tag],
            "Config": {"Labels": labels},
            "RootFS": {"Layers": image.layers},
        }
        return Response.of(found)

    def _create(self, request: Request) -> Response:
        asked = creation.request_in(request.body)
        settings = creation.settings_for(asked, self._variables)
        image = creation.image_of(self._engine, settings.tag_of(asked.image))
        attempt = asked.attempt.with_image(image)
        name = attempt.container_name(settings)
        # One try at a time: between another's look and its create a step of that name could end, and lose its result.
        with self._alone(name):
            self._refuse_taken(name)  # before the folder is made ready: whoever has the name may have a result there
            body = creation.body_of(asked, settings, attempt, image)
            with self._room if settings.host else nullcontext():
                if settings.host:
                    self._refuse_without_room(settings)
                run_folder.prepare(settings, attempt, is_anew=asked.is_anew)
                status, content = self._engine.ask("POST", "/containers/create", {"name": name}, body)
        if status >= _ERROR:
            raise Refusal(status, message_of(content))
        container = str(json.loads(content)["Id"])
        self._log(f"created {container[:12]} {name}")
        return Response.of({"Id": container, "Warnings": []}, status)

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        """Nobody else creates a container of this name, or starts the one with this id.

        Raises:
            Refusal: somebody else is at it for longer than who asks would wait.
        """
        alone = self._locks[hash(what) % len(self._locks)]
        if not alone.acquire(timeout=_ALONE_SECONDS):
            raise Refusal(503, "another request for the same container is not answered yet")
        try:
            yield
        finally:
            alone.release()

    def _refuse_without_room(self, settings: Settings) -> None:
        # One that was created is about to run.
        listed = self._steps("1", status=["created", "running", "paused", "restarting"])
        asked = [self._engine.ask("GET", f"/containers/{one['Id']}/json") for one in listed]
        found = [json.loads(content) for status, content in asked if status < _ERROR]  # else it has gone since
        room.check(settings, self._engine.get("/info"), found)

    def _refuse_taken(self, name: str) -> None:
        status, content = self._engine.ask("GET", f"/containers/{name}/json")
        if status < _ERROR:
            raise Refusal(_CONFLICT, f"the name {name} is taken by container {json.loads(content)['Id'][:12]}")
        if status != _NOT_FOUND:
            raise Refusal(status, message_of(content))

    def _probe(self, request: Request) -> Response:
        """Write what the registrar has told this host, where it will look for it."""
        settings = Settings.from_environment("", environment=self._variables)
        token = request.query.get("token", "")
        if not settings.host or not re.fullmatch(r"[0-9a-f]{32}", token):
            raise Refusal(400, "token is none")
        run_folder.write_probe(settings, token)
        return Response(204)

    def _list(self, request: Request) -> Response:
        return Response.of(self._steps(_flag(request, "all")))

    def _steps(self, every: str, **filters: list[str]) -> Any:
        """The engine's list of this project's steps: ``every`` is 1 for those too that do not run."""
        wanted = {"label": [f"{PROJECT_LABEL}={self._project}", TASK_LABEL], **filters}
        return self._engine.get("/containers/json", {"all": every, "filters": json.dumps(wanted)})

    def _logs(self, found: dict[str, Any], request: Request) -> Response:
        query = {name: _flag(request, name) for name in ("stdout", "stderr", "timestamps", "follow")}
        for name, pattern in (("since", r"\d{1,12}(\.\d{1,9})?"), ("tail", r"all|\d{1,9}")):
            if (given := request.query.get(name)) is not None:
                if not re.fullmatch(pattern, given):
                    raise Refusal(400, f"{name} is none")
                query[name] = given
        return self._streamed("GET", f"/containers/{found['Id']}/logs", query, request)

    def _stats(self, found: dict[str, Any], request: Request) -> Response:
        del request  # once, whatever was asked: a stream of numbers serves nobody
        return self._passed("GET", f"/containers/{found['Id']}/stats", {"stream": "0", "one-shot": "1"})

    def _start(self, found: dict[str, Any], request: Request) -> Response:
        del request  # its body is for links and binds of old
        with self._alone(found["Id"]):
            if self._ours(found["Id"])["State"]["Status"] != "created":  # the engine would run an ended one again
                return Response(304)
            answer = self._passed("POST", f"/containers/{found['Id']}/start")
            self._log(f"started {found['Id'][:12]}")
        return answer

    def _stop(self, found: dict[str, Any], request: Request) -> Response:
        seconds = request.query.get("t", "10")
        if not re.fullmatch(r"\d{1,3}", seconds) or int(seconds) > _LONGEST_STOP:
            raise Refusal(400, "t is no number of seconds up to a minute")
        self._log(f"stopping {found['Id'][:12]}")
        return self._passed("POST", f"/containers/{found['Id']}/stop", {"t": seconds})

    def _kill(self, found: dict[str, Any], request: Request) -> Response:
        signal = request.query.get("signal", "KILL")
        if signal not in _STOPPED:
            raise Refusal(400, "signal is none that ends a step")
        self._log(f"killing {found['Id'][:12]}")
        return self._passed("POST", f"/containers/{found['Id']}/kill", {"signal": signal})

    def _wait(self, found: dict[str, Any], request: Request) -> Response:
        return self._streamed("POST", f"/containers/{found['Id']}/wait", {"condition": "not-running"}, request)

    def _rename(self, found: dict[str, Any], request: Request) -> Response:
        """Set a judged failure aside: the one new name that a container may get says whose it is."""
        old, new = str(found["Name"]).lstrip("/"), request.query.get("name", "")
        if new != aside(old, str(found["Id"])):
            raise Refusal(403, f"a container is only renamed to {aside(old, str(found['Id']))}")
        return self._passed("POST", f"/containers/{found['Id']}/rename", {"name": new})

    def _remove(self, found: dict[str, Any], request: Request) -> Response:
        del request  # neither force nor volumes
        if found["State"]["Status"] not in _ENDED:
            raise Refusal(_CONFLICT, f"container {found['Id'][:12]} has not ended; stop it first")
        self._log(f"removing {found['Id'][:12]}")
        return self._passed("DELETE", f"/containers/{found['Id']}", {"force": "0", "v": "1"})

    def _passed(self, method: str, path: str, query: dict[str, str] | None = None) -> Response:
        status, content = self._engine.ask(method, path, query)
        if status >= _ERROR:
            raise Refusal(status, message_of(content))
        return Response(status, content)

    def _streamed(self, method: str, path: str, query: dict[str, str], request: Request) -> Response:
        stream = self._engine.stream(method, path, query, request.on_gone)
        if stream.status >= _ERROR:
            raise Refusal(stream.status, message_of(stream.whole()))
        return Response(stream.status, stream.pieces(), stream.content_type)


def aside(name: str, container: str) -> str:
    """The name of a container that was judged a failure, and makes room for the next try."""
    return f"{name[:200]}.failed-{container[:12]}"


def _flag(request: Request, name: str) -> str:
    return "1" if request.query.get(name, "0").lower() in {"1", "true"} else "0"
