#!/usr/bin/env python3
"""End the scheduler once the engine's socket is dead: ``engine-watch PID``, in its container, beside it.

The socket is mounted as a file. An engine that is restarted makes a new one under the same name, and
the mount keeps the old: a dead end for good. Without live-restore the engine restarts this container
too, and mounts the new one; with live-restore nobody does. So this container ends itself, the engine
starts it again (``restart: unless-stopped``), and running steps are followed as after any crash.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

SOCKET = "/var/run/docker.sock"
EVERY_SECONDS = 2
DEAD_SECONDS = 10
"""Systemd's socket, which it keeps through restarts of the engine, is never refused for that long."""


def is_refused() -> bool:
    """Whether nobody listens any more; a full queue or a missing permission is another matter."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(EVERY_SECONDS)
        try:
            probe.connect(SOCKET)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
    return False


def main(scheduler: int) -> None:
    """Watch, until the socket is dead or the scheduler has gone."""
    answered = time.monotonic()
    while os.getppid() == scheduler:
        time.sleep(EVERY_SECONDS)
        if not is_refused():
            answered = time.monotonic()
        elif time.monotonic() - answered > DEAD_SECONDS:
            print(f"engine-watch: nobody has listened at {SOCKET} for {DEAD_SECONDS} s; ending, to be started again")
            # At SIGTERM it would wait for its tasks, which wait for the engine.
            os.kill(scheduler, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
