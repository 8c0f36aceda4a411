"""What is mounted into a step: made where it is missing, and made sure to be folders of this project, by no link.

The engine follows links in a bind mount's source, so no component of one may be a link. A step can write its own run
folder and nothing above it; what is looked at here is not its to change.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bulkhead import untrusted
from bulkhead.unix_http import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from engine.attempt import Attempt
    from engine.settings import Settings

_MODE = 0o775
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def prepare(settings: Settings, attempt: Attempt) -> None:
    """Make the run folder, and take the result of an earlier try out of it: that is not this one's proof.

    Raises:
        Refusal: something is no folder of ours, or cannot be made; its sentence says "mount".
    """
    task = str(attempt.identity.task_id)
    try:
        for folder in ("models", "shared/inputs"):
            os.close(untrusted.open_folder(settings.folder, folder))
        descriptor = _made(settings.folder, attempt.identity.run_path.split("/"))
        try:
            _take_away(descriptor, f"{task}.json")
        finally:
            os.close(descriptor)
    except (OSError, untrusted.Untrusted) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        where = getattr(error, "filename", None) or attempt.identity.run_path
        raise Refusal(
            400, f"invalid mount: {where}: {why} Make it a folder that user {settings.user} may write."
        ) from error


def _made(root: Path, components: list[str]) -> int:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for component in components:
            with suppress(FileExistsError):
                os.mkdir(component, _MODE, dir_fd=descriptor)
                _open_to_group(component, descriptor)
            below = os.open(component, _FLAGS, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open_to_group(name: str, parent: int) -> None:
    """Group 0 writes too, whatever the umask."""
    made = os.open(name, _FLAGS, dir_fd=parent)
    try:
        os.fchmod(made, _MODE)
    finally:
        os.close(made)


def _take_away(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        try:
            os.unlink(name, dir_fd=folder)
        except (IsADirectoryError, PermissionError):
            # A folder in its place is the step's own trouble: it cannot write its result there.
            if not os.path.isdir(f"/proc/self/fd/{folder}/{name}"):  # noqa: PTH112  # below a descriptor
                raise
