"""``just shell``: a shell where a step is, or where a service is.

In an image of steps it is sealed as a step by hand is: no network, a read-only root, the run folder shared/runs/debug
(BULKHEAD_RUN_FOLDER names another) and the inputs where a step has them, and models/ to be read. In a service it is
that service's own container, which must run. What follows is for bash: ``just shell trainer -c 'python -V'``.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

# First: it puts the packages below on Python's path.
from by_hand import ROOT, image_of, ready, run_folder, settings_of
from command_line import Parser, one_of
from own_packages import step_images
from recipe import services

from engine import seal
from engine.step_spec import StepSpec

IDENTITY = ("ENVIRONMENT", "MODEL_NAME", "RUN_ID")


def main(argv: list[str]) -> NoReturn:
    """Go there, in the place of this process."""
    place, arguments = called(argv)
    environment = ready()
    terminal = os.isatty(0) and os.isatty(1)
    os.chdir(ROOT)
    if place in step_images():
        command = of_image(place, arguments, environment, terminal=terminal)
    else:
        command = ["docker", "compose", "exec", *([] if terminal else ["--no-TTY"]), place, "bash", *arguments]
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606  # a list of words: no shell splits them


def called(argv: list[str]) -> tuple[str, list[str]]:
    """Where the shell is to be, and what it is to do; ends the process where there is no such place."""
    places = [*step_images(), *services()]
    parser = Parser(
        "shell",
        "A shell in an image, sealed as a step is, or in a running service.",
        usage="just shell IMAGE|SERVICE [-c COMMAND]",
        epilog=f"images: {', '.join(step_images())}\nservices: {', '.join(services())}\n\n"
        "For example: just shell trainer -c 'python -V'",
    )
    parser.add_argument("place", metavar="IMAGE|SERVICE", type=one_of("image of steps or service", places))
    parser.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="what bash is told")
    given = parser.parse_args(argv)
    return given.place, given.arguments


def of_image(image: str, arguments: list[str], environment: dict[str, str], *, terminal: bool) -> list[str]:
    """The command that starts the shell in ``image``."""
    settings = settings_of("", environment)
    found = image_of(settings.tag_of(image))
    who: dict[str, object] = {name: os.environ.get(f"BULKHEAD_{name}") or None for name in IDENTITY}
    spec = StepSpec(image=image, command=[], journal="training")
    sealed = seal.of_step(spec, settings, f"shared/runs/{run_folder()}", who | {"IMAGE": str(found)})
    options = ["--rm", *(["--interactive"] if not os.isatty(0) or terminal else [])]
    if terminal:
        options += ["--tty", "--env", f"TERM={os.environ.get('TERM') or 'xterm'}", "--env", f"PS1={image}:\\w\\$ "]
    # What is typed here is nobody's output to be kept.
    return ["docker", "run", *options, *sealed.run_options(), "--entrypoint", "bash", found.id, "--norc", *arguments]


if __name__ == "__main__":
    main(sys.argv[1:])
