"""``launcher``: ``serve`` until SIGTERM, or say by its exit code whether the one that serves is in ``health``."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bulkhead.unix_http import Client, serve
from engine.settings import Settings
from launcher.api import Api
from launcher.docker_engine import DockerEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

SOCKET = "/run/bulkhead/launcher/launcher.sock"
ENGINE_SOCKET = "/var/run/docker.sock"
MOST_CONNECTIONS = 256
"""A step that is followed has two at a time: its output, and the wait for its end."""
_LOOK_SECONDS = 2
_DEAD_SECONDS = 10
"""Systemd's socket, which it keeps through restarts of the engine, is never refused for that long."""
_OK = 200


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``launcher``; returns the exit code."""
    match list(sys.argv[1:] if argv is None else argv):
        case ["serve"]:
            return serve_steps()
        case ["health"]:
            return health()
        case _:
            sys.stderr.write("usage: launcher serve|health\n")
            return 2


def serve_steps() -> int:
    """Serve until SIGTERM."""
    os.umask(0o002)
    Settings.from_environment("")  # a wrong setting is told at the start, and not by the first step
    engine = DockerEngine(Path(ENGINE_SOCKET))
    server = serve(_socket(), Api(engine, os.environ).answer, most=MOST_CONNECTIONS)
    server.start()
    threading.Thread(target=_end_with_the_socket, args=(engine,), daemon=True, name="engine-watch").start()
    _say(f"serving at {_socket()}")
    server.wait_for_sigterm()
    server.stop()
    return 0


def health() -> int:
    """0: the launcher that serves answers, and the engine behind it."""
    try:
        status, _ = Client(_socket(), 5).request("GET", "/_ping")
    except OSError as error:
        sys.stderr.write(f"launcher: {error}\n")
        return 1
    return 0 if status == _OK else 1


def _say(what: str) -> None:
    sys.stdout.write(f"launcher: {what}\n")
    sys.stdout.flush()


def _socket() -> Path:
    return Path(os.environ.get("BULKHEAD_LAUNCHER_SOCKET") or SOCKET)


def _end_with_the_socket(engine: DockerEngine) -> None:
    """End this process once the engine's socket is dead: compose starts it again, with the new one.

    The socket is mounted as a file. An engine that is restarted makes a new one under the same name, and the mount
    keeps the old: a dead end for good. Without live-restore the engine restarts this container too; with it, nobody.
    """
    answered = time.monotonic()
    while True:
        time.sleep(_LOOK_SECONDS)
        if not engine.is_refused():
            answered = time.monotonic()
        elif time.monotonic() - answered > _DEAD_SECONDS:
            _say(f"nobody has listened at {ENGINE_SOCKET} for {_DEAD_SECONDS} s; ending, to be started again")
            os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
