"""Run one step by hand in the very seal that Airflow gives it: ``just step IMAGE STEP [FLAG...]``.

The step proposes, as under Airflow, and the registrar records: the one that runs, else one that is started for it.
The run folder is shared/runs/debug, unless BULKHEAD_RUN_FOLDER names another below shared/runs. The step's identity
(BULKHEAD_ENVIRONMENT, BULKHEAD_MODEL_NAME, ...) is passed on from this shell's environment where it is set. The journal
that its failures go to is log.txt for the trainer image and for decisions about models, and log_inference.txt for any
other; BULKHEAD_JOURNAL=training or BULKHEAD_JOURNAL=inference says otherwise (or BULKHEAD_PIPELINE, its older name).
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# First: it puts the packages below on Python's path.
from by_hand import (
    ROOT,
    Image,
    docker,
    fail,
    image_of,
    key_options,
    ready,
    registry_mounts,
    run_folder,
    running_registrar,
    settings_of,
    user,
    with_keys,
)
from command_line import Parser, no_such, one_of, wrong
from own_packages import commands, step_images

from bulkhead import environments, model_name
from bulkhead.paths import JOURNALS
from engine import seal
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.paths import JournalName
    from engine.settings import Settings

DECISIONS = {"check_model", "promote_model", "rollback_model", "revoke_model"}
IDENTITY = ("ENVIRONMENT", "MODEL_NAME", "DAG_ID", "RUN_ID", "TASK_ID", "TRY_NUMBER", "MAP_INDEX", "IMAGE")
LOOKS = {"check_input", "check_project", "example_data"}
"""Commands of step images that are no steps: they look at something, and propose nothing."""
NOTHING_TO_RECORD = (2, 125, 126, 127)
"""Exit codes of a step that was called wrongly, and of Docker where it started none."""


def main(argv: list[str]) -> int:
    """Run the step and have its outcome recorded; returns the step's exit code, or the registrar's refusal."""
    image, command = called(argv)
    task = command[0]
    spec = StepSpec(image=image, command=command, journal=journal_of(image, task))
    environment = ready()
    settings = settings_of(task, environment)
    found = image_of(settings.tag_of(image))
    folder = run_folder()
    who = identity(folder, found)
    code, container = run(spec, settings, found, folder, who)
    if not container or code in NOTHING_TO_RECORD or task in LOOKS:
        return code
    said = ["--run-folder", folder, "--container", container[:12], "--journal", spec.journal]
    said += ["--environment", environment_of(command), "--name", name_of(command), task]
    recorded = record(said, environment, settings, who | {"GIT_COMMIT": found.commit or None})
    return code or recorded


def called(argv: list[str]) -> tuple[str, list[str]]:
    """The image and the command that ``argv`` names; ends the process where there are none, before anything is asked.

    What the step's own flags may be, the step says.
    """
    known = {image: commands(image) for image in step_images()}
    of_all = "\n".join(f"  {image:<12}{', '.join(steps)}" for image, steps in known.items())
    usage = "step IMAGE STEP [FLAG...]"
    parser = Parser(
        "step",
        "Run one step by hand, sealed as Airflow runs it, in the run folder shared/runs/debug.",
        usage=f"just {usage}",
        epilog=f"steps, by image:\n{of_all}\n\nFlags of one: just step trainer preprocessing --help",
    )
    parser.add_argument("image", metavar="IMAGE", type=one_of("image of steps", known))
    parser.add_argument("command", metavar="STEP", nargs=argparse.REMAINDER, help="a step of it, and its flags")
    given = parser.parse_args(argv)
    image, command = given.image, given.command
    steps = known[image]
    if not command:
        wrong(f"say which step of {image}: {', '.join(steps)}.", f"usage: just {usage}")
    if command[0] in {"--help", "-h"}:
        parser.parse_args(["--help"])
    # Where the code shows none, the image itself knows.
    others = [other for other, its in known.items() if command[0] in its]
    if steps and others and image not in others:
        wrong(f"{command[0]} is a step of {others[0]}, not of {image}.", f"usage: just {usage}")
    if steps and command[0] not in steps:
        wrong(no_such(f"step of {image}", command[0], steps), f"usage: just {usage}")
    asked = flag_in(command, *environments.FLAGS)
    if asked is not None and asked not in environments.NAMES:
        wrong(no_such("environment", asked, environments.NAMES), f"usage: just {usage}")
    return image, command


def run(
    spec: StepSpec, settings: Settings, image: Image, folder: str, who: Mapping[str, object]
) -> tuple[int, str | None]:
    """Run the step sealed; its exit code, and its container's id where there was one.

    A signal to this process is the step's.
    """
    sealed = seal.of_step(spec, settings, f"shared/runs/{folder}", who)
    with tempfile.TemporaryDirectory(prefix="bulkhead-step-") as temporary:
        id_file = Path(temporary) / "id"
        start = ["docker", "run", "--rm", "--cidfile", str(id_file), *sealed.run_options(), image.id, *spec.command]
        with subprocess.Popen(start, cwd=ROOT) as client:
            # Ctrl-C goes to the client too, by way of the terminal; and the client hands signals on to the step.
            signal.signal(signal.SIGINT, lambda *_: None)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda number, _: client.send_signal(number))
            code = client.wait()
        return (code if code >= 0 else 128 - code), id_file.read_text() if id_file.exists() else None


def record(said: list[str], environment: Mapping[str, str], settings: Settings, who: Mapping[str, object]) -> int:
    """Have the registrar record what the step proposes; returns its exit code."""
    variables = {f"BULKHEAD_{name}": str(value) for name, value in who.items() if value is not None}
    variables["BULKHEAD_BY"] = os.environ.get("BULKHEAD_BY") or user()
    command = ["registrar", "record", *said]
    running = running_registrar(settings.project)
    if running:
        options = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        ended = subprocess.run(["docker", "exec", *options, running, *command], cwd=ROOT, check=False)
        # One that ended under our hands has recorded all or nothing; recording again finds out.
        if not ended.returncode or docker("inspect", "--format", "{{.State.Running}}", running).stdout == "true\n":
            return ended.returncode
    image = image_of(settings.tag_of("registrar"))
    sealed = seal.of_registry(settings, registry_mounts(settings.host_folder, models=True), variables)
    program, *arguments = command
    start = ["docker", "run", "--rm", *sealed.run_options(), *key_options(), "--entrypoint", program, image.id]
    return subprocess.run([*start, *arguments], cwd=ROOT, env=with_keys(environment), check=False).returncode


def environment_of(command: list[str]) -> str:
    """The environment that the step runs in, as its flags or this shell say; the step itself has read the same."""
    if (flag := flag_in(command, *environments.FLAGS)) is not None:
        return flag
    given = os.environ.get("BULKHEAD_ENVIRONMENT") or ""
    if command and command[0] in {"check_model", "promote_model"}:
        return ""  # where it is promoted to is the proposal's word
    return given or "dev"


def name_of(command: list[str]) -> str:
    """The model that the step works for, as its flags or this shell say; the step itself has read the same."""
    flag = flag_in(command, "--name")
    return os.environ.get(model_name.VARIABLE) or model_name.DEFAULT_NAME if flag is None else flag


def flag_in(command: list[str], *names: str) -> str | None:
    """The value that ``command`` gives a flag by any of its names, the last one as the step reads it; None: none."""
    found = None
    for number, word in enumerate(command):
        if word in names and number + 1 < len(command):
            found = command[number + 1]
        for name in names:
            if word.startswith(f"{name}="):
                found = word.partition("=")[2]
            elif re.fullmatch(r"-\w", name) and word.startswith(name) and word != name:
                found = word.removeprefix(name)
    return found


def journal_of(image: str, task: str) -> JournalName:
    """Where a failure of ``task`` goes."""
    for variable in ("BULKHEAD_JOURNAL", "BULKHEAD_PIPELINE"):
        if given := os.environ.get(variable):
            if given not in JOURNALS:
                fail(f"{variable} is '{given}', which is no journal.", f"Set it to {' or '.join(JOURNALS)}.")
            return given
    return "training" if image == "trainer" or (image == "inference" and task in DECISIONS) else "inference"


def identity(folder: str, image: Image) -> dict[str, object]:
    """Who the step is, as far as this shell says so; records name the run folder by the run's id."""
    said: dict[str, object] = {name: os.environ.get(f"BULKHEAD_{name}") or None for name in IDENTITY}
    return said | {"RUN_ID": said["RUN_ID"] or folder, "IMAGE": said["IMAGE"] or str(image)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
