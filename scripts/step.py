"""Run one step by hand in the very seal that Airflow gives it: ``just step IMAGE TASK [FLAG...]``.

The run folder is shared/runs/debug, unless BULKHEAD_RUN_FOLDER names another below shared/runs. The step's identity
(BULKHEAD_ENVIRONMENT, BULKHEAD_RUN_ID, ...) is passed on from this shell's environment where it is set. The journal
that it may write is log.txt for the trainer image and for decisions about models, and log_inference.txt for any
other; BULKHEAD_JOURNAL=training or BULKHEAD_JOURNAL=inference says otherwise (or BULKHEAD_PIPELINE, its older name).
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

# First: it puts the packages below on Python's path.
from by_hand import ROOT, Image, fail, image_of, ready, settings_of, touch

from bulkhead.paths import JOURNALS
from engine import seal
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from bulkhead.paths import JournalName

DECISIONS = {"check_model", "promote_model", "rollback_model"}
IDENTITY = ("ENVIRONMENT", "DAG_ID", "RUN_ID", "TASK_ID", "TRY_NUMBER", "MAP_INDEX", "IMAGE")


def main(argv: list[str]) -> None:
    """Become ``docker run``: its signals, its terminal and its exit code are the step's."""
    if not argv:
        fail("usage: just step IMAGE TASK [FLAG...]", "For example: just step trainer preprocessing --source sample")
    image, *command = argv
    task = command[0] if command else ""
    spec = StepSpec(image=image, command=command, journal=journal_of(image, task), publishes=task == "train_model")
    environment = ready()
    settings = settings_of(task, environment)
    found = image_of(settings.tag_of(image))
    folder = run_folder()
    if not spec.publishes:
        touch(ROOT / "models" / JOURNALS[spec.journal])
    sealed = seal.of_step(spec, settings, f"shared/runs/{folder}", identity(folder, found))
    os.chdir(ROOT)
    start = ["docker", "run", "--rm", *sealed.run_options(), found.id, *command]
    os.execvp("docker", start)  # noqa: S606  # an argument list, as everywhere


def journal_of(image: str, task: str) -> JournalName:
    """Where a failure of ``task`` goes."""
    for variable in ("BULKHEAD_JOURNAL", "BULKHEAD_PIPELINE"):
        if given := os.environ.get(variable):
            if given not in JOURNALS:
                fail(f"{variable} is '{given}', which is no journal.", f"Set it to {' or '.join(JOURNALS)}.")
            return given
    return "training" if image == "trainer" or (image == "inference" and task in DECISIONS) else "inference"


def run_folder() -> str:
    """The run folder's name below ``shared/runs``; it is there, and writable for group 0."""
    folder = os.environ.get("BULKHEAD_RUN_FOLDER") or "debug"
    # What records call the folder is made of Airflow's names; by hand that is the folder's own, if it needs no change.
    if not os.environ.get("BULKHEAD_RUN_ID") and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", folder):
        fail(
            f"BULKHEAD_RUN_FOLDER is '{folder}', which is no plain name.",
            "Use letters, digits, '.', '_' and '-', or set BULKHEAD_RUN_ID too.",
        )
    path = ROOT / "shared/runs" / folder
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_uid == os.geteuid():
        path.chmod(0o775)
    return folder


def identity(folder: str, image: Image) -> dict[str, object]:
    """Who the step is, as far as this shell says so; records name the run folder by the run's id."""
    said: dict[str, object] = {name: os.environ.get(f"BULKHEAD_{name}") or None for name in IDENTITY}
    return said | {"RUN_ID": said["RUN_ID"] or folder, "IMAGE": said["IMAGE"] or str(image)}


if __name__ == "__main__":
    main(sys.argv[1:])
