"""The registry's command line, in the inference image, which can load models: ``just registry [ARGUMENT...]``.

Sealed like a step, with as much of models/ and shared/ as the command needs: reading commands write nothing, deciding
ones append to log.txt, and only repair and gc can change files. Who decides is the user of this shell, or BULKHEAD_BY.
"""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

# First: it puts the packages below on Python's path.
from by_hand import ROOT, image_of, ready, settings_of, touch

from bulkhead import paths
from engine import seal
from engine.seal import Mount

if TYPE_CHECKING:
    from collections.abc import Sequence

DECIDING = {"promote", "rollback", "revoke"}
CHANGING_FILES = {"repair", "gc"}


def main(argv: Sequence[str]) -> int:
    """Run the command in its container; returns its exit code."""
    environment = ready()
    settings = settings_of("", environment)
    image = image_of(settings.tag_of("inference"))
    variables = {
        "BULKHEAD_BY": os.environ.get("BULKHEAD_BY") or user(),
        "BULKHEAD_IMAGE": str(image),
        "BULKHEAD_HOST_DIR": settings.host_folder,
        "BULKHEAD_PORT": environment.get("BULKHEAD_PORT") or "8080",
    }
    # Colours, and the terminal's width, only where a person reads: with a terminal Docker makes one stream of two.
    terminal = []
    if all(map(os.isatty, (0, 1, 2))):
        terminal = ["--interactive", "--tty"]
        variables |= {"TERM": os.environ.get("TERM") or "xterm", "NO_COLOR": os.environ.get("NO_COLOR", "")}
    sealed = seal.of_registry(settings, mounts(verb_of(argv), settings.host_folder), variables)
    name = f"bulkhead-registry-{os.getpid()}-{secrets.token_hex(4)}"
    start = ["docker", "run", "--rm", "--name", name, "--sig-proxy=false", *terminal, *sealed.run_options()]
    return run([*start, "--entrypoint", "registry", image.id, *argv], name)


def run(command: Sequence[str], container: str) -> int:
    """The exit code of ``command``; whatever ends it ends ``container`` too.

    A reader that has seen enough (``| head``), or Ctrl-C, ends Docker's client alone: without proxying signals at
    once and quietly, and the container here. ``--rm`` has removed one that ended by itself.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    with subprocess.Popen(command) as client:
        try:
            code = client.wait()
        except KeyboardInterrupt:
            code = -signal.SIGINT
        finally:
            subprocess.run(["docker", "kill", "--signal", "TERM", container], check=False, capture_output=True)
    return code if code >= 0 else 128 - code  # as a shell says it


def end(number: int, _: object) -> NoReturn:
    """End in good order at a signal."""
    sys.exit(128 + number)


def verb_of(argv: Sequence[str]) -> str:
    """The command among the arguments; empty where there is none."""
    words = iter(argv)
    for word in words:
        if word in {"--models", "--shared"}:
            next(words, None)  # its value
        elif not word.startswith("-"):
            return word
    return ""


def mounts(verb: str, host: str) -> list[Mount]:
    """What the command may see, and write."""
    changes = verb in CHANGING_FILES
    found = [
        Mount(source=f"{host}/models", target=paths.MODELS, read_only=not changes),
        Mount(source=f"{host}/shared", target=paths.SHARED, read_only=not changes),
    ]
    if verb in DECIDING:
        name = paths.JOURNALS["training"]
        touch(ROOT / "models" / name)
        found.append(Mount(source=f"{host}/models/{name}", target=f"{paths.MODELS}/{name}", read_only=False))
    return found


def user() -> str:
    """Who runs this."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
