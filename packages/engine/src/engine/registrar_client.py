"""Asks the registrar: what has come of a task, and to record what a container came to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from bulkhead import unix_http
from bulkhead.errors import short
from bulkhead.hosts_protocol import (
    GivenUp,
    GiveUpRequest,
    HostAnswer,
    HostReport,
    HostStatus,
    Where,
    WhereRequest,
)
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.registrar_protocol import (
    DEFAULT_SOCKET,
    SOCKET_VARIABLE,
    Answered,
    Concluded,
    ConcludeRequest,
    FailedReport,
    FailRequest,
    Looked,
    LookRequest,
    RegistrarHealth,
    UnapprovedRequest,
)

if TYPE_CHECKING:
    from bulkhead.identity import Identity
    from engine.attempt import Attempt
    from engine.step_spec import StepSpec
    from engine.verdict import Failed

T = TypeVar("T")
_OK, _AWAY = 200, 503
_RECORDING_SECONDS = 120.0
"""A model is copied and hashed, and others may be before it."""


class RegistrarAwayError(Exception):
    """The registrar does not answer, or cannot now; asked again later it will."""


class RegistrarRefusedError(Exception):
    """The registrar does not do what it was asked: the request was wrong, and no repetition mends it."""


class RegistrarClient:
    """The registrar.

    Args:
        socket: where it answers.
        seconds: how long an answer may take.
    """

    def __init__(self, socket: Path, seconds: float = _RECORDING_SECONDS) -> None:
        self._http = unix_http.Client(socket, seconds)
        self._socket = socket

    @classmethod
    def from_environment(cls, *, seconds: float = _RECORDING_SECONDS) -> Self:
        """The one at ``BULKHEAD_REGISTRAR_SOCKET``."""
        return cls(Path(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET), seconds)

    def look(self, attempt: Attempt) -> Looked:
        """What is known of the logical task of ``attempt``.

        Raises:
            RegistrarAwayError: it does not answer.
            RegistrarRefusedError: it knows no such try.
        """
        identity = attempt.identity
        request = LookRequest(
            try_id=attempt.try_id,
            dag_id=identity.dag_id or "",
            run_id=identity.run_id or "",
            task_id=identity.task_id or "",
            map_index=-1 if identity.map_index is None else identity.map_index,
        )
        return self._ask("/look", request, Looked)

    def conclude(self, container: str) -> Concluded:
        """Have the proposal of ``container``, which ended with exit code 0, recorded.

        Raises:
            RegistrarAwayError: it does not answer.
            RegistrarRefusedError: there is no such container, or it has not ended well.
        """
        return self._ask("/conclude", ConcludeRequest(container), Concluded)

    def fail(self, container: str | None, attempt: Attempt, spec: StepSpec, failed: Failed) -> Answered:
        """Have the failure of a try recorded, once: that of ``container``, or of ``attempt`` where there is none.

        Raises:
            RegistrarAwayError: it does not answer.
            RegistrarRefusedError: the request is none.
        """
        report = FailedReport(cause=failed.cause, detail=failed.detail, retry=failed.retry, evidence=failed.evidence)
        request = FailRequest(
            container=container,
            identity=attempt.identity,
            try_id=attempt.try_id,
            environment=str(spec.environment),
            model_name=spec.model_name or DEFAULT_NAME,
            journal=spec.journal,
            failed=report,
        )
        return self._ask("/fail", request, Answered)

    def give_up(self, host: str, container: str, identity: Identity) -> GivenUp:
        """Whether the task of ``identity`` may be started anew, though ``host`` has, or had, its container.

        Raises:
            RegistrarAwayError: it does not answer.
            RegistrarRefusedError: the request is none.
        """
        request = GiveUpRequest(
            host=host, container=container, dag_id=identity.dag_id or "", run_id=identity.run_id or ""
        )
        return self._ask("/give_up", request, GivenUp)

    def where(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> str | None:
        """The host that has a container of a logical task; None: none is known.

        Raises:
            RegistrarAwayError: it does not answer.
            RegistrarRefusedError: the request is none.
        """
        request = WhereRequest(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
        return self._ask("/whereabouts", request, Where).host

    def health(self) -> RegistrarHealth:
        """How it does.

        Raises:
            RegistrarAwayError: it does not answer.
            RegistrarRefusedError: it is another.
        """
        return self._get("/health", RegistrarHealth)

    def hosts(self) -> list[HostStatus]:
        """Every host.

        Raises:
            RegistrarAwayError: it does not answer.
            RegistrarRefusedError: there are none.
        """
        return self._get("/hosts", list[HostStatus])

    def report(self, report: HostReport) -> HostAnswer:
        """Say that this host lives, and hear what it is to do.

        Raises:
            RegistrarAwayError: it does not answer.
            RegistrarRefusedError: the report is none.
        """
        return self._ask("/report", report, HostAnswer)

    def unapproved(self, identity: Identity, try_id: str) -> str:
        """Have a promotion recorded that was rejected or not answered in time; returns what was recorded.

        Raises:
            RegistrarAwayError: it does not answer.
            RegistrarRefusedError: Airflow knows of no such request, or it was approved.
        """
        return self._ask("/unapproved", UnapprovedRequest(identity=identity, try_id=try_id), Answered).sentence

    def _ask(self, path: str, request: msgspec.Struct, kind: type[T]) -> T:
        return self._answer("POST", path, msgspec.json.encode(request), kind)

    def _get(self, path: str, kind: type[T]) -> T:
        return self._answer("GET", path, None, kind)

    def _answer(self, method: str, path: str, content: bytes | None, kind: type[T]) -> T:
        try:
            status, body = self._http.request(method, path, content)
        except OSError as error:
            raise RegistrarAwayError(f"nobody answers at {self._socket} ({error})") from error
        if status == _OK:
            return msgspec.json.decode(body, type=kind)
        if status >= _AWAY - 3:
            raise RegistrarAwayError(_message(body))
        raise RegistrarRefusedError(_message(body))


class _Message(msgspec.Struct):
    message: str = ""


def _message(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Message).message
    except msgspec.DecodeError:
        return f"the registrar says {short(body.decode(errors='replace'))}"
