"""``launcher``: serve steps on a socket, and say whether that works."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bulkhead import clock
from bulkhead.cli import entry_point
from bulkhead.errors import Refused
from bulkhead.unix_http import Client, Server
from bulkhead.uploads import SOCKET_VARIABLE
from engine.settings import Settings
from launcher.creation import LARGEST
from launcher.page_routes import BODY, PageRoutes
from launcher.routes import Routes
from launcher.upstream import Engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.unix_http import Request

SOCKET = "/run/bulkhead/launcher/launcher.sock"
ENGINE = "/var/run/docker.sock"
_CONNECTIONS = 256
_BODY = 4 * LARGEST
"""A request is a text in a text: its quotes are escaped, and Docker's client says some of it again."""
_PAGE_CONNECTIONS = 16
_ANSWER_SECONDS = 60.0
"""How long the engine may take for an answer while a person waits."""
_REFUSED_SECONDS = 10.0
_LOOK_SECONDS = 2.0
EXIT_STALE = 3


@click.group(no_args_is_help=True)
def launcher() -> None:
    """The one holder of the engine's socket: starts sealed steps, and nothing else."""


@launcher.command()
def serve() -> int:
    """Serve until SIGTERM."""
    settings = Settings.from_environment("")
    engine = Path(os.environ.get("BULKHEAD_ENGINE_SOCKET") or ENGINE)
    routes = Routes(Engine(engine), settings.project, _say)
    server = Server(socket_path(), routes.answer, most=_CONNECTIONS, body_limit=_BODY, report=_report)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    page = _serve_page(engine, settings)
    server.start()
    _say(f"serves the project {settings.project} on {socket_path()}")
    code = _watch(engine, ended)
    if page is not None:
        page.stop()
    return code


def _serve_page(engine: Path, settings: Settings) -> PageRoutes | None:
    """Look at tables and predictions for the Models page, on a socket of its own; None: this is not the first host."""
    path = os.environ.get(SOCKET_VARIABLE)
    if not path:
        return None
    page = PageRoutes(Engine(engine, _ANSWER_SECONDS), settings.folder, settings.project, _say)
    page.begin()
    Server(Path(path), page.answer, most=_PAGE_CONNECTIONS, body_limit=BODY, report=_report).start()
    _say(f"looks at tables and predictions for the Models page on {path}")
    return page


@launcher.command()
def health() -> None:
    """Fail unless the launcher and the engine behind it answer."""
    page = os.environ.get(SOCKET_VARIABLE)
    for path in (socket_path(), *([Path(page)] if page else [])):
        try:
            status, _ = Client(path, 5).request("GET", "/_ping")
        except OSError as error:
            raise Refused(f"{path}: {error}. Read 'just logs launcher'.") from None
        if status != 200:  # noqa: PLR2004  # as HTTP has it
            raise Refused(f"the engine does not answer the launcher ({status}). Start Docker.")


def socket_path() -> Path:
    """Where the launcher listens."""
    return Path(os.environ.get("BULKHEAD_LAUNCHER_SOCKET") or SOCKET)


def _watch(engine: Path, ended: threading.Event) -> int:
    """Until SIGTERM, or until the engine's socket is one where nobody listens any more.

    An engine that starts anew without systemd makes a new socket, and what is mounted here is the old one. Started
    again, this container has the new one.
    """
    refused_since: float | None = None
    while not ended.wait(_LOOK_SECONDS):
        if _is_refused(engine):
            refused_since = refused_since or time.monotonic()
            if time.monotonic() - refused_since > _REFUSED_SECONDS:
                _say("nobody has listened on the engine's socket for ten seconds; starting again, for the new one")
                return EXIT_STALE
        else:
            refused_since = None
    return 0


def _is_refused(engine: Path) -> bool:
    from bulkhead.unix_http import UnixConnection

    probe = UnixConnection(str(engine), 5)
    try:
        probe.connect()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    finally:
        probe.close()
    return False


def _say(line: str) -> None:
    sys.stdout.write(f"{clock.in_record(clock.now())} {line}\n")
    sys.stdout.flush()


def _report(request: Request, error: Exception) -> None:
    _say(f"{request.method} {request.path[:200]}: a bug:")
    traceback.print_exception(error)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``launcher``; returns the exit code."""
    return entry_point.run(launcher, argv)


if __name__ == "__main__":
    sys.exit(main())
