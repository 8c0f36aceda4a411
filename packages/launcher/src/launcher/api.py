"""What of Docker's API is offered, and to what it is bound: steps of this project, and nothing else.

Nothing of a request is handed on: its words are checked one by one, and the engine is asked anew.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from bulkhead.unix_http import Refusal, Request, Response, as_json
from engine.seal import PROJECT_LABEL
from launcher.creation import Creation, checked_image
from launcher.docker_engine import Answer, DockerEngine, EngineAwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TASK_LABEL = "io.bulkhead.dag"
"""Only what was started for a task has it; a step by hand is a person's."""
_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}"
_VERSION = re.compile(r"/v1\.[0-9]{1,3}(?=/)")
_IMAGE = re.compile(r"/images/(bulkhead/[a-z0-9][a-z0-9_.-]{0,63}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?)/json")
_CONTAINER = re.compile(rf"/containers/({_ID})(?:/([a-z]+))?")
_OF_INFO = ("ID", "Name", "NCPU", "MemTotal", "ServerVersion", "OSType", "Architecture")
_LONGEST_GRACE = 60
_WAIT_SECONDS = 240

_FLAG = re.compile(r"0|1|true|false|True|False")
_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_TAIL = re.compile(r"all|[0-9]{1,9}")
_SIGNAL = re.compile(r"(SIG)?[A-Z0-9]{1,8}|[0-9]{1,2}")
_CONDITION = re.compile(r"not-running|next-exit|removed")
_SECONDS = re.compile(r"[0-9]{1,3}")
_LABEL_FILTER = re.compile(r"io\.bulkhead\.[a-z-]{1,40}(=[^\x00-\x1f]{0,300})?")
_STATUS_FILTER = re.compile(r"created|running|paused|restarting|exited|dead|removing")


class Api:
    """Answers the requests of scheduler and registrar.

    Args:
        engine: what is asked in turn.
        environment: the launcher's settings.
    """

    def __init__(self, engine: DockerEngine, environment: Mapping[str, str]) -> None:
        self._engine = engine
        self._project = environment.get("BULKHEAD_PROJECT") or "bulkhead"
        self._creation = Creation(engine, environment)

    def answer(self, request: Request) -> Response:
        """The answer to ``request``.

        Raises:
            Refusal: it is none that is offered, or what it names is not ours.
        """
        path = _VERSION.sub("", request.path, count=1)
        try:
            found = self._of_the_engine(request, path) or self._of_containers(request, path)
        except EngineAwayError as error:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}") from None
        if found is None:
            raise Refusal(HTTPStatus.FORBIDDEN, f"{request.method} {path[:100]} is not offered here")
        return found

    def _of_the_engine(self, request: Request, path: str) -> Response | None:
        if request.method not in {"GET", "HEAD"}:
            return None
        match path:
            case "/_ping":
                return Response(self._good("GET", "/_ping").status, b"OK", "text/plain")
            case "/version":
                return _handed(self._good("GET", "/version"))
            case "/info":
                info = self._good("GET", "/info").decoded()
                return as_json({name: info.get(name) for name in _OF_INFO})
        if image := _IMAGE.fullmatch(path):
            answer = self._engine.ask("GET", f"/images/{image[1]}/json")
            if answer.is_good:
                checked_image(image[1], answer.decoded())
            return _handed(answer)
        return None

    def _of_containers(self, request: Request, path: str) -> Response | None:
        if (request.method, path) == ("POST", "/containers/create"):
            return self._creation.create(request.body)
        if (request.method, path) == ("GET", "/containers/json"):
            return self._list(request)
        found = _CONTAINER.fullmatch(path)
        if found is None:
            return None
        act = _ACTS.get((request.method, found[2] or ""))
        return None if act is None else act(self, request, self._own(found[1]))

    def _own(self, container: str) -> dict[str, Any]:
        """``docker inspect`` of a container that is a step of this project.

        Raises:
            Refusal: it is not, or there is none.
        """
        answer = self._engine.ask("GET", f"/containers/{container}/json")
        if answer.is_good:
            inspected: dict[str, Any] = answer.decoded()
            labels = (inspected.get("Config") or {}).get("Labels") or {}
            if labels.get(PROJECT_LABEL) == self._project and TASK_LABEL in labels:
                return inspected
        elif answer.status != HTTPStatus.NOT_FOUND:
            raise Refusal(answer.status, _message(answer))
        # Of others' containers nobody learns here that they are there.
        raise Refusal(HTTPStatus.NOT_FOUND, f"No such container: {container}")

    def _list(self, request: Request) -> Response:
        label = [f"{PROJECT_LABEL}={self._project}", TASK_LABEL]
        filters: dict[str, list[str]] = {"label": label}
        for name, values in _filters(request).items():
            if name == "label" and all(_LABEL_FILTER.fullmatch(value) for value in values):
                label.extend(values)
            elif name == "status" and all(_STATUS_FILTER.fullmatch(value) for value in values):
                filters["status"] = values
            else:
                raise Refusal(HTTPStatus.BAD_REQUEST, "only labels of ours and states are filtered by")
        query = {"all": _flag(request, "all"), "filters": json.dumps(filters)}
        return _handed(self._engine.ask("GET", "/containers/json", query))

    # What is done to one container.

    def _inspect(self, _: Request, own: dict[str, Any]) -> Response:
        return as_json(own)

    def _start(self, _: Request, own: dict[str, Any]) -> Response:
        return self._do("POST", own, "start")

    def _stop(self, request: Request, own: dict[str, Any]) -> Response:
        grace = min(int(_word(request, "t", _SECONDS, "10")), _LONGEST_GRACE)
        return self._do("POST", own, "stop", {"t": grace})

    def _kill(self, request: Request, own: dict[str, Any]) -> Response:
        return self._do("POST", own, "kill", {"signal": _word(request, "signal", _SIGNAL, "SIGKILL")})

    def _wait(self, request: Request, own: dict[str, Any]) -> Response:
        query = {"condition": _word(request, "condition", _CONDITION, "not-running")}
        path = f"/containers/{own['Id']}/wait"
        return _handed(
            self._engine.ask("POST", path, query, seconds=_WAIT_SECONDS, is_gone=request.is_gone),
        )

    def _rename(self, request: Request, own: dict[str, Any]) -> Response:
        wanted = f"{own['Name'].lstrip('/')}.failed-{own['Id'][:12]}"
        if request.query.get("name") != wanted:
            raise Refusal(HTTPStatus.FORBIDDEN, "a container is set aside, and called nothing else")
        return self._do("POST", own, "rename", {"name": wanted})

    def _remove(self, request: Request, own: dict[str, Any]) -> Response:
        if _flag(request, "force") or own["State"]["Running"]:
            raise Refusal(HTTPStatus.CONFLICT, "a running container is not removed: stop it first")
        return self._do("DELETE", own, "", {"v": 1})

    def _logs(self, request: Request, own: dict[str, Any]) -> Response:
        query: dict[str, object] = {name: _flag(request, name) for name in ("follow", "stdout", "stderr", "timestamps")}
        query["tail"] = _word(request, "tail", _TAIL, "all")
        for name in ("since", "until"):
            if name in request.query:
                query[name] = _word(request, name, _TIME, "0")
        stream = self._engine.stream(f"/containers/{own['Id']}/logs", query, request.is_gone)
        return Response(stream.status, stream.pieces, stream.content_type)

    def _stats(self, _: Request, own: dict[str, Any]) -> Response:
        return self._do("GET", own, "stats", {"stream": 0, "one-shot": 1})

    def _do(self, method: str, own: dict[str, Any], what: str, query: Mapping[str, object] | None = None) -> Response:
        path = f"/containers/{own['Id']}" + (f"/{what}" if what else "")
        return _handed(self._engine.ask(method, path, query))

    def _good(self, method: str, path: str) -> Answer:
        answer = self._engine.ask(method, path)
        if not answer.is_good:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"the engine refuses {path}: {_message(answer)}")
        return answer


_ACTS: dict[tuple[str, str], Callable[[Api, Request, dict[str, Any]], Response]] = {
    ("GET", "json"): Api._inspect,  # noqa: SLF001  # its own, as below
    ("POST", "start"): Api._start,  # noqa: SLF001
    ("POST", "stop"): Api._stop,  # noqa: SLF001
    ("POST", "kill"): Api._kill,  # noqa: SLF001
    ("POST", "wait"): Api._wait,  # noqa: SLF001
    ("POST", "rename"): Api._rename,  # noqa: SLF001
    ("GET", "logs"): Api._logs,  # noqa: SLF001
    ("GET", "stats"): Api._stats,  # noqa: SLF001
    ("DELETE", ""): Api._remove,  # noqa: SLF001
}


def _handed(answer: Answer) -> Response:
    return Response(answer.status, answer.body, answer.content_type)


def _message(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["message"])[:1000]
    except (ValueError, LookupError, TypeError):
        return f"status {answer.status}"


def _filters(request: Request) -> dict[str, list[str]]:
    try:
        decoded = json.loads(request.query.get("filters") or "{}")
        # A list of values, or an object with the values as keys: the engine takes both.
        found = {str(name): [str(value) for value in values] for name, values in decoded.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise Refusal(HTTPStatus.BAD_REQUEST, "the filters are not read") from None
    return found


def _flag(request: Request, name: str) -> int:
    return int(_word(request, name, _FLAG, "0").lower() in {"1", "true"})


def _word(request: Request, name: str, pattern: re.Pattern[str], default: str) -> str:
    given = request.query.get(name, default)
    if not pattern.fullmatch(given):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the parameter {name} is not one of Docker's")
    return given
