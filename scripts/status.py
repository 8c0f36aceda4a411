"""``just status``: the services, the UI's address, and what ``just registry status`` says; exit code 0: all is well.

Starts nothing: neither an engine nor a service. Needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from airflow_client import read_env

# First: it puts the packages below on Python's path.
from by_hand import ROOT
from command_line import Parser
from recipe import services

import registry
from bulkhead import formatting
from bulkhead.paths import JOURNALS

ENDS = ("database", "init")
"""Services that end well before others begin."""
SEVERAL_HOSTS = ("worker", "gateway")


def main(argv: list[str]) -> int:
    """Say it; returns the exit code."""
    parser = Parser("status", "Say whether all is well; the exit code is 0 when it is, else 1.")
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object a line, services first")
    parser.add_argument("--wide", action="store_true", help="whole lines, however narrow the terminal")
    given = parser.parse_args(argv)
    file = Path(os.environ.get("BULKHEAD_ENV_FILE") or ROOT / ".env")
    if not file.exists():
        print("Nothing of this clone has been started yet: there is no .env. Run 'just up'.")
        return 1
    settings = read_env(file) | {name: value for name, value in os.environ.items() if value}
    listed = subprocess.run(
        ["docker", "compose", "--env-file", str(file), "ps", "--all", "--format", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        return without_engine(listed.stderr)
    states = [service_state(name, containers(listed.stdout)) for name in expected(settings)]
    address = f"http://localhost:{settings.get('BULKHEAD_PORT', '')}"
    if given.json:
        print(json.dumps({"address": address, "services": {name: how for name, how, _ in states}}))
    else:
        tell(states, address)
    sys.stdout.flush()
    code = registry.main(["status", *(["--json"] if given.json else []), *(["--wide"] if given.wide else [])])
    return code or int(not all(is_well for _, _, is_well in states))


def expected(settings: dict[str, str]) -> list[str]:
    """The services that this clone has."""
    return [name for name in services() if settings.get("BULKHEAD_HOSTS") == "1" or name not in SEVERAL_HOSTS]


def containers(text: str) -> dict[str, dict[str, Any]]:
    """What compose says of each service's container: an object a line, or, of an older version, a list of them."""
    found = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    return {one["Service"]: one for one in found}


def service_state(name: str, known: dict[str, dict[str, Any]]) -> tuple[str, str, bool]:
    """A service, how it is, and whether that is well."""
    one = known.get(name)
    if one is None:
        return name, "down", False
    if name in ENDS and one["State"] == "exited":
        return name, "done" if one["ExitCode"] == 0 else f"failed ({one['ExitCode']})", one["ExitCode"] == 0
    health = one.get("Health") or ""
    return name, health or one["State"], one["State"] == "running" and health in {"", "healthy"}


def tell(states: list[tuple[str, str, bool]], address: str) -> None:
    """Print the services: those that are well in a line."""
    if not any(is_well for name, _, is_well in states if name not in ENDS):
        print("The stack is down. 'just up' starts it; what follows is what the files tell.")
        return
    well = [name for name, _, is_well in states if is_well]
    bad = [f"{name} is {how}: just logs {name}" for name, how, is_well in states if not is_well]
    print(f"Services\n  {len(well)} of {len(states)} are well: {', '.join(well)}")
    for line in bad:
        print(f"  Wrong: {line}")
    print(f"Address\n  {address}")


def without_engine(why: str) -> int:
    """Say what can be said then."""
    last = why.strip().splitlines()[-1:] or ["docker compose failed"]
    print(f"Nothing can be asked: {last[0]}\n'just up' starts the engine where it is down. What the files tell:")
    for name in JOURNALS.values():
        path = ROOT / "models" / name
        print(f"  models/{name:<18} {formatting.size(path.stat().st_size if path.exists() else 0)}")
    for name in ("models", "shared"):
        usage = shutil.disk_usage(ROOT / name)
        print(f"  {name + '/':<25} {100 * usage.free / usage.total:.0f} % free, {formatting.size(usage.free)}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
