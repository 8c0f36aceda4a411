"""The API server asks for a table that it was sent to be checked, and put in place.

Nobody else can ask it: what is put among the inputs was sent by a person who may trigger a training.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import Refused
from bulkhead.unix_http import Refusal, Response
from bulkhead.uploads import CheckRequest, checked_end, checked_name
from launcher.check_container import CheckContainer
from launcher.upload_folder import UploadFolder, taken_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bulkhead.unix_http import Request
    from launcher.upstream import Engine

BODY = 4 << 10
"""Bytes of a request; it has a name in it."""
_QUEUE_SECONDS = 600.0
_STOP_SECONDS = 5.0
_BAD, _UNUSABLE, _AWAY = 400, 422, 503


class CheckRoutes:
    """Answers the API server.

    Args:
        engine: the real one.
        folder: the project's, as this process sees it.
        project: whose containers are ours.
        log: takes a line for each table.
        variables: how steps run on this host; this process's, if not given.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        project: str,
        log: Callable[[str], None],
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._project = project
        self._log = log
        self._folder = UploadFolder(folder)
        self._container = CheckContainer(engine, variables, log)
        # One at a time: what strangers send has one container's share of this host.
        self._slot = threading.Lock()
        self._ending = threading.Event()

    def begin(self) -> None:
        """Remove what an earlier launcher has left, in a thread: the engine may take its time."""
        threading.Thread(target=self._sweep, name="sweeps uploads", daemon=True).start()

    def stop(self) -> None:
        """End the check that is going on, its container too."""
        self._ending.set()
        if self._slot.acquire(timeout=_STOP_SECONDS):
            self._slot.release()

    def answer(self, request: Request) -> Response:
        """The answer to ``request``.

        Raises:
            Refusal: the table was not put in place, and why.
        """
        match request.method, request.path:
            case "GET", "/_ping":
                return Response(200, b"OK", "text/plain")
            case "POST", "/check_input":
                return self._check_input(request)
        raise Refusal(403, f"{request.method} {request.path[:200]} is no call that the page needs")

    def _check_input(self, request: Request) -> Response:
        try:
            asked = msgspec.json.decode(request.body, type=CheckRequest)
            name = checked_end(checked_name(asked.name))
        except (msgspec.DecodeError, Refused) as error:
            raise Refusal(_BAD, str(error)) from None
        gone = threading.Event()
        request.on_gone(gone.set)
        if self._folder.has(name):
            raise taken_name(name)
        if not self._slot.acquire(timeout=_QUEUE_SECONDS):
            raise Refusal(_AWAY, "other tables are still being checked. Send it again later.")
        try:
            return self._checked(asked, name, lambda: gone.is_set() or self._ending.is_set())
        finally:
            self._slot.release()

    def _checked(self, asked: CheckRequest, name: str, is_over: Callable[[], bool]) -> Response:
        with self._folder.taken(asked.upload) as taken:
            answer = self._container.answer(asked.upload, name, is_over)
            if answer.refused is not None or answer.table is None:
                self._log(f"refused {name!r}: {answer.refused}")
                raise Refusal(_UNUSABLE, answer.refused or f"{name}: nothing was found in it. Fix the file.")
            if answer.table.sha256 != asked.sha256:
                raise Refusal(_AWAY, "the table that was checked is not the one that was sent. Send it again.")
            if is_over():
                raise Refusal(_AWAY, "nobody waits for the answer any more")
            taken.place(name)
        self._log(f"put {name!r} in shared/inputs/: {answer.table.rows} rows, sha256 {asked.sha256}")
        return Response(201, msgspec.json.encode(answer.table))

    def _sweep(self) -> None:
        with self._slot:
            for name in self._folder.sweep():
                self._log(f"removed {name[:40]!r}, an upload that was left")
            try:
                self._container.remove_all(self._project)
            except Refusal as refusal:
                self._log(f"what checks were left is looked for later: {refusal.message}")
