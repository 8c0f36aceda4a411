"""``just hosts`` and the like, on the first host: manage_hosts.py list|add|drain|remove|release ...

Who the hosts are, the registrar keeps; this asks it in its container. The code for a new host is made here, of
BULKHEAD_HOSTS_KEY in .env. Needs Docker's client, and nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from typing import TYPE_CHECKING, Any

import by_hand
from by_hand import fail
from command_line import Parser

from bulkhead import text_table
from bulkhead.host_secret import JoinCode, secret_of

if TYPE_CHECKING:
    import argparse
    import subprocess

_LABELS = ("name", "state", "queues", "steps", "engine", "heard of")
_NARROWER = [("engine", 12), ("queues", 12), ("engine", 0), ("heard of", 0)]


def main(argv: list[str]) -> int:
    """Do it; returns the exit code."""
    command, *arguments = argv
    given = _parser(command).parse_args(arguments)
    environment = by_hand.ready()
    if environment.get("BULKHEAD_HOSTS") != "1":
        fail(
            "this clone has one host.",
            "Put BULKHEAD_HOSTS=1 into .env, then run 'just up'. docs/hosts.md has the rest.",
        )
    registrar = by_hand.running_registrar(environment["BULKHEAD_PROJECT"])
    if registrar is None:
        fail("the registrar does not run.", "Run 'just up', then this again.")
    match command:
        case "list":
            return _list(registrar, as_json=given.json, wide=given.wide)
        case "add":
            return _add(registrar, given, environment)
        case "drain":
            return _ask(registrar, "host-drain", given.name, *(["--undo"] if given.undo else []))
        case "remove":
            return _ask(registrar, "host-remove", given.name, *(["--force"] if given.force else []))
    return _ask(registrar, "host-release", given.name)


def _parser(command: str) -> Parser:
    match command:
        case "list":
            parser = Parser("hosts", "Every host, and how it is.")
            parser.add_argument("--json", action="store_true", help="all that is known, as JSON")
            parser.add_argument("--wide", action="store_true", help="whole lines, however narrow the terminal")
            return parser
        case "add":
            parser = Parser("host-add", "Add a host, and print what to run there.")
            parser.add_argument("name", help="letters a to z, digits and dashes")
            parser.add_argument(
                "--queues", default="default", help="those that it serves, with commas (default: default)"
            )
            parser.add_argument("--address", help="at which that host finds this one; this machine's if not given")
            return parser
        case "drain":
            parser = Parser("host-drain", "Have a host take no new work.")
            parser.add_argument("--undo", action="store_true", help="have it take work again")
        case "remove":
            parser = Parser("host-remove", "Forget a host; its secret is none any more.")
            parser.add_argument("--force", action="store_true", help="though steps may run there: they count no more")
        case _:
            parser = Parser("host-release", "Say that a host is down for certain.")
    parser.add_argument("name")
    return parser


def _add(registrar: str, given: argparse.Namespace, environment: dict[str, str]) -> int:
    done = _registrar(registrar, "host-add", given.name, "--queues", given.queues)
    if done.returncode:
        sys.stderr.write(done.stderr)
        return done.returncode
    secret = secret_of(environment["BULKHEAD_HOSTS_KEY"], given.name, done.stdout.strip())
    port = int(environment.get("BULKHEAD_HOSTS_PORT") or 8443)
    code = JoinCode(given.name, secret, given.address or _address(environment), port)
    tag = environment.get("BULKHEAD_TAG") or "latest"
    images = " ".join(f"bulkhead/{name}:{tag}" for name in ("airflow", "launcher", "trainer", "inference"))
    print(
        f"The host {given.name} is added. There, in a clone of this commit with this project/, and with this host's\n"
        "models/ and shared/ mounted in their places (docs/hosts.md), once the images are there\n\n"
        f"  docker save {images} | ssh {given.name} docker load\n\nrun\n\n  just host-join {code}\n\n"
        "The code is that host's secret: who has it can be that host. 'just hosts' shows how it is."
    )
    return 0


def _list(registrar: str, *, as_json: bool, wide: bool) -> int:
    done = _registrar(registrar, "hosts")
    if done.returncode:
        sys.stderr.write(done.stderr)
        return done.returncode
    if as_json:
        print(done.stdout.strip())
        return 0
    hosts: list[dict[str, Any]] = json.loads(done.stdout)
    room = None if wide or not sys.stdout.isatty() else shutil.get_terminal_size().columns
    shape = text_table.fitted([_LABELS, *(_row(host) for host in hosts)], room, _NARROWER)
    print(*(line for lines in shape.rows for line in lines), sep="\n")
    if shape.left_out or shape.narrowed:
        print(f"To fit the terminal: {', '.join(shape.left_out + shape.narrowed)} left out or cut. All of it: --wide.")
    for host in hosts:
        for problem in host["problems"]:
            print(f"{host['name']}: {problem}")
    return 0


def _row(host: dict[str, Any]) -> tuple[str, ...]:
    report = host.get("report") or {}
    running = "?" if host.get("running") is None else host["running"]
    engine = report.get("engine_version") if report.get("engine") else None
    size = f", {report.get('cpus', 0):g} CPUs, {report.get('memory', 0) / (1 << 30):.0f} GiB" if engine else ""
    silent = host.get("seconds_silent")
    return (
        host["name"],
        host["state"],
        ",".join(host["queues"]),
        f"{running} of {report.get('slots', '?')}",
        f"{engine}{size}" if engine else "-",
        "never" if silent is None else f"{silent:.0f} s ago",
    )


def _ask(registrar: str, *arguments: str) -> int:
    done = _registrar(registrar, *arguments)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def _registrar(registrar: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return by_hand.docker("exec", "--env", f"BULKHEAD_BY={by_hand.user()}", registrar, "registrar", *arguments)


def _address(environment: dict[str, str]) -> str:
    """The address of this machine that others see, as far as it can tell; nothing is sent."""
    listens = environment.get("BULKHEAD_HOSTS_ADDRESS") or "0.0.0.0"  # noqa: S104  # what is asked here
    if listens not in {"0.0.0.0", "::"}:  # noqa: S104  # as above
        return listens
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return os.uname().nodename


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
