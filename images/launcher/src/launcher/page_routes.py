"""What the API server may ask, on a socket that it alone has: to check a table, and to read predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.check_routes import BODY as LONGEST_CHECK
from launcher.check_routes import CheckRoutes
from launcher.predictions_routes import PredictionsRoutes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bulkhead.unix_http import Request, Response
    from launcher.upstream import Engine

BODY = 2 * LONGEST_CHECK
"""Bytes of a request; it has a path in it, whose characters may be escaped."""


class PageRoutes:
    """Answers the API server.

    Args:
        engine: the real one.
        folder: the project's, as this process sees it.
        project: whose containers are ours.
        log: takes a line for each table and each file.
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
        self._checks = CheckRoutes(engine, folder, project, log, variables)
        self._predictions = PredictionsRoutes(engine, folder, log, variables)

    def begin(self) -> None:
        """Remove what an earlier launcher has left."""
        self._checks.begin()
        self._predictions.begin()

    def stop(self) -> None:
        """End what is going on, the containers too."""
        self._predictions.stop()
        self._checks.stop()

    def answer(self, request: Request) -> Response:
        """The answer to ``request``.

        Raises:
            Refusal: it is none of ours, or what was asked is refused.
        """
        routes = self._predictions if self._predictions.is_asked(request) else self._checks
        return routes.answer(request)
