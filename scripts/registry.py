"""The registry's command line, in the registrar image, which has no ML library: ``just registry [ARGUMENT...]``.

Sealed like a step, with as much of models/ and shared/ as the command needs: reading commands write nothing, deciding
ones, note, tag and repair write models/, and only gc can remove run folders. What writes has the registry's key too,
and so has verify, which checks signatures by it. A model that is to be promoted is loaded first, by a sealed step in
the inference image that sees neither. Predictions are Parquet, so what shows them runs in the inference image. Who
decides is the user of this shell, or BULKHEAD_BY.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

# First: it puts the packages below on Python's path.
from by_hand import (
    ROOT,
    docker,
    fail,
    image_of,
    key_options,
    ready,
    registry_mounts,
    running,
    running_registrar,
    settings_of,
    user,
    with_keys,
)
from command_line import no_such, wrong

from bulkhead import environments, untrusted
from bulkhead.errors import Refused
from engine import seal
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from by_hand import Image

    from engine.settings import Settings

WRITING_MODELS = {"promote", "rollback", "revoke", "note", "tag", "repair", "gc"}
WRITING_SHARED = {"gc"}
WITH_THE_KEY = {*WRITING_MODELS, "verify"}
ASKING_THE_REGISTRAR = {*WITH_THE_KEY, "status"}
READING_PARQUET = {"predictions"}
VALUED = {"--models", "--shared"}
VERBS = {
    *("list", "status", "show", "latest", "compare", "trace", "impact", "predictions"),
    *("promote", "rollback", "revoke", "note", "tag", "verify", "repair", "gc", "accept"),
}
"""All that there is; the container would say so too, once there is one."""


def main(argv: Sequence[str]) -> int:
    """Run the command in its container; returns its exit code."""
    verb = verb_of(argv)
    if verb and verb not in VERBS:
        wrong(no_such("command", verb, sorted(VERBS)), "usage: just registry COMMAND [...]; 'just registry --help'")
    environment = ready()
    settings = settings_of("", environment)
    if verb == "accept":
        return accept(argv, settings)
    image = image_of(settings.tag_of("inference" if verb in READING_PARQUET else "registrar"))
    variables = {
        "BULKHEAD_BY": os.environ.get("BULKHEAD_BY") or user(),
        "BULKHEAD_IMAGE": str(image),
        "BULKHEAD_HOST_DIR": settings.host_folder,
        "BULKHEAD_PORT": environment.get("BULKHEAD_PORT") or "8080",
    }
    if verb == "promote":
        argv = checked(argv, settings, image)
    # Colours, and the terminal's width, only where a person reads: with a terminal Docker makes one stream of two.
    terminal = []
    if all(map(os.isatty, (0, 1, 2))):
        terminal = ["--interactive", "--tty"]
        variables |= {"TERM": os.environ.get("TERM") or "xterm", "NO_COLOR": os.environ.get("NO_COLOR", "")}
        # The container's terminal learns its size a moment after the command has begun.
        variables["COLUMNS"] = str(shutil.get_terminal_size().columns)
    mounts = registry_mounts(settings.host_folder, models=verb in WRITING_MODELS, shared=verb in WRITING_SHARED)
    options = seal.of_registry(settings, mounts, variables).run_options()
    if verb in WITH_THE_KEY:
        options += key_options()
    if verb in ASKING_THE_REGISTRAR:
        options += registrar_socket(settings.project)
    if verb == "status":
        argv = [*argv, *verified(settings.project)]
    name = f"bulkhead-registry-{os.getpid()}-{secrets.token_hex(4)}"
    start = ["docker", "run", "--rm", "--name", name, "--sig-proxy=false", *terminal, *options]
    return run([*start, "--entrypoint", "registry", image.id, *argv], name, with_keys(environment))


def accept(argv: Sequence[str], settings: Settings) -> int:
    """Have the registrar, which must run, take the logs as they are; returns its exit code."""
    registrar = running_registrar(settings.project)
    if registrar is None:
        fail(
            "what the logs should be is known to the registrar, which does not run.", "Run 'just up', then this again."
        )
    by = f"BULKHEAD_BY={os.environ.get('BULKHEAD_BY') or user()}"
    command = ["docker", "exec", "--env", by, registrar, "registrar", *argv]
    return subprocess.run(command, check=False).returncode


def registrar_socket(project: str) -> list[str]:
    """Options that mount the registrar's socket where the project has one: verify asks for the heads of the logs."""
    volume = f"{project}_registrar"
    if docker("volume", "inspect", volume).returncode:
        return []
    return ["--mount", f"type=volume,source={volume},target=/run/bulkhead/registrar,readonly,volume-nocopy"]


def verified(project: str) -> list[str]:
    """The option that says how the Models page's last verify ended; none where that is not known."""
    server = running(project, "api-server")
    if server is None:
        return []
    # Of the one user that the server's processes have.
    found = docker("exec", server, "sh", "-c", "cat /tmp/bulkhead-$(id -u)/verify-report.json 2>/dev/null || true")
    try:
        report = json.loads(found.stdout)
        told = {name: report[name] for name in ("finished", "damage", "notes", "trouble")}
    except (ValueError, LookupError, TypeError):
        return []
    return ["--verified", json.dumps(told)]


def checked(argv: Sequence[str], settings: Settings, registrar: Image) -> list[str]:
    """The arguments of ``promote``, with what a sealed step has found out about the model.

    Arguments that are wrong, or ask for help, stay as they are: the command itself answers to them.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    for option in ("--models", "--shared", "--by", "--reason", "--replacing"):
        parser.add_argument(option)
    parser.add_argument(*environments.FLAGS)
    parser.add_argument("words", nargs="*")
    try:
        known, unknown = parser.parse_known_args(list(argv))
    except argparse.ArgumentError:
        return list(argv)
    if unknown or len(known.words) != 2 or known.reason is None:  # noqa: PLR2004  # promote MODEL
        return list(argv)
    shown = seal.of_registry(settings, registry_mounts(settings.host_folder, models=False), {}).run_options()
    show = ["--rm", *shown, "--entrypoint", "registry", registrar.id, "show", known.words[1], "--json"]
    found = docker("run", *show)
    if found.returncode:
        return list(argv)
    command = ["check_model", "--model", str(json.loads(found.stdout)["record"]["model_filename"])]
    if known.environment is not None:
        command += ["--environment", known.environment]
    return [*argv, "--checked", json.dumps(libraries(command, settings), separators=(",", ":"))]


def libraries(command: list[str], settings: Settings) -> dict[str, str]:
    """What the sealed step ``command`` has loaded the model with, and made a prediction."""
    image = image_of(settings.tag_of("inference"))
    folder = f"check-{secrets.token_hex(8)}"
    path = ROOT / "shared/runs" / folder
    path.mkdir(parents=True)
    path.chmod(0o775)
    try:
        spec = StepSpec(image="inference", command=command, journal="training")
        sealed = seal.of_step(spec, settings, f"shared/runs/{folder}", {"RUN_ID": folder, "IMAGE": str(image)})
        ended = subprocess.run(
            ["docker", "run", "--rm", *sealed.run_options(), image.id, *command], stdout=subprocess.DEVNULL, check=False
        )
        if ended.returncode:
            sys.exit(ended.returncode)  # it has said why
        result = untrusted.read(path.parent, f"{folder}/check_model.json", limit=untrusted.RESULT_LIMIT)
        found = json.loads(result)["facts"]["libraries"]
    except (Refused, OSError, ValueError, LookupError, TypeError):
        found = None
    finally:
        shutil.rmtree(path, ignore_errors=True)
    if not isinstance(found, dict) or not all(isinstance(text, str) for pair in found.items() for text in pair):
        fail(
            "the check of the model left no result that can be read.",
            "Run 'just build-images inference', then run this again.",
        )
    return found


def run(command: Sequence[str], container: str, variables: dict[str, str]) -> int:
    """The exit code of ``command``; whatever ends it ends ``container`` too.

    A reader that has seen enough (``| head``), or Ctrl-C, ends Docker's client alone: without proxying signals at
    once and quietly, and the container here. ``--rm`` has removed one that ended by itself.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    code = -1
    with subprocess.Popen(command, env=variables) as client:
        try:
            code = client.wait()
        except KeyboardInterrupt:
            code = -signal.SIGINT
        finally:
            if code:
                # Not by docker(), which would look for an engine because the container is gone.
                kill = ["docker", "kill", "--signal", "TERM", container]
                subprocess.run(kill, capture_output=True, check=False)
    return code if code >= 0 else 128 - code  # as a shell says it


def end(number: int, _: object) -> NoReturn:
    """End in good order at a signal."""
    sys.exit(128 + number)


def verb_of(argv: Sequence[str]) -> str:
    """The command among the arguments; empty where there is none."""
    words = iter(argv)
    for word in words:
        if word in VALUED:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
