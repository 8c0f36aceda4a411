"""Run the script of a recipe, or say at once which of its arguments is wrong: recipe.py RECIPE [ARGUMENT...].

For scripts in Bash; those in Python look at their arguments themselves.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING, NoReturn

from command_line import Parser, one_of
from own_packages import ROOT, images

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLLOW = ("docker", "compose", "logs", "--follow", "--tail", "200")


def services(file: str = "docker-compose.yaml") -> list[str]:
    """The services of a compose file, in its order."""
    text = (ROOT / file).read_text()
    section = re.search(r"^services:\n((?:[ #].*\n|\n)*)", text, re.MULTILINE)
    return re.findall(r"^  ([a-z][a-z-]*):$", section[1], re.MULTILINE) if section else []


def _up() -> Parser:
    parser = Parser("up", "Start everything, building what is missing; wait until healthy.")
    parser.add_argument("--verbose", action="store_true", help="what docker says, as it says it")
    return parser


def _build_images() -> Parser:
    parser = Parser("build-images", "Build the images, all or those named.")
    parser.add_argument(
        "names", metavar="IMAGE", nargs="*", type=one_of("image", images()), help="of: " + ", ".join(images())
    )
    parser.add_argument("--verbose", action="store_true", help="what docker says, as it says it")
    return parser


def _restart() -> Parser:
    parser = Parser("restart", "Start services anew, by .env as it is now: all, or those named. Steps go on.")
    _add_services(parser, services())
    parser.add_argument("--verbose", action="store_true", help="what docker says, as it says it")
    return parser


def _logs(recipe: str, explained: str, known: list[str]) -> Parser:
    parser = Parser(recipe, explained)
    _add_services(parser, known)
    parser.add_argument("--tail", metavar="LINES", help="so many of what there is (default: 200), or 'all'")
    parser.add_argument("--since", metavar="TIME", help="from then on: 2026-11-30T08:00:00, or 30m")
    parser.add_argument("--until", metavar="TIME", help="up to then")
    parser.add_argument("--timestamps", "-t", action="store_true", help="when each line was said")
    return parser


def _add_services(parser: Parser, known: list[str]) -> None:
    parser.add_argument(
        "services", metavar="SERVICE", nargs="*", type=one_of("service", known), help="of: " + ", ".join(known)
    )


def _lock() -> Parser:
    parser = Parser("lock", "Resolve the locks anew; versions stay as they are unless you ask.")
    parser.add_argument("--upgrade", "-U", action="store_true", help="everything to the newest that is allowed")
    parser.add_argument("--upgrade-package", "-P", metavar="NAME", action="append", help="one package")
    return parser


def _clean() -> Parser:
    parser = Parser("clean", "Remove containers, volumes, images and .env; never models/ or shared/.")
    parser.add_argument("--yes", action="store_true", help="without asking")
    return parser


def _host_join() -> Parser:
    parser = Parser("host-join", "Join this host to the first one.")
    parser.add_argument(
        "code", nargs="?", type=_join_code, help="what 'just host-add' printed there; without it, that of before"
    )
    return parser


def _join_code(text: str) -> str:
    sys.path.insert(0, str(ROOT / "packages/bulkhead/src"))
    from bulkhead.host_secret import JoinCode  # noqa: PLC0415  # found by the line above

    try:
        JoinCode.parse(text)
    except ValueError as error:
        # Not argparse's own words, which repeat the text: it is a secret, though a wrong one.
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


RECIPES: dict[str, tuple[Callable[[], Parser], tuple[str, ...]]] = {
    "up": (_up, ("scripts/up.sh",)),
    "build-images": (_build_images, ("scripts/build-images.sh",)),
    "restart": (_restart, ("scripts/restart.sh",)),
    "logs": (lambda: _logs("logs", "Follow the logs, of all services or of those named.", services()), _FOLLOW),
    "lock": (_lock, ("scripts/lock.sh",)),
    "clean": (_clean, ("scripts/clean.sh",)),
    "host-join": (_host_join, ("scripts/host.sh", "join")),
    "host-logs": (
        lambda: _logs("host-logs", "Follow the logs of this host.", services("docker-compose.host.yaml")),
        ("scripts/host.sh", "logs"),
    ),
}
"""By recipe: what it takes, and what is run."""


def main(recipe: str, argv: list[str]) -> NoReturn:
    """Run it in the place of this process."""
    parser, command = RECIPES[recipe]
    parser().parse_args(argv)
    os.chdir(ROOT)
    try:
        os.execvp(command[0], [*command, *argv])  # noqa: S606  # the very words that were looked at
    except FileNotFoundError:
        sys.exit(f"bulkhead: there is no {command[0]} here.\nbulkhead: Run 'just up', which finds or installs it.")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
