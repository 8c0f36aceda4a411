"""The project's folders, as they must be before a container may mount them: folders, and nothing of a link.

The engine follows symbolic links in the source of a mount, and a step can write what lies in its run folder. So each
component of a source is opened by itself, below the one before, and made there where it is missing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bulkhead import untrusted
from bulkhead.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

MODE = 0o775
"""Group 0 is every container's."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def check_sources(project: Path) -> None:
    """Refuse a project whose registry or inputs could not be mounted.

    Raises:
        Refused: one of them is a link, or no folder.
    """
    for name in ("models", "shared/inputs"):
        try:
            os.close(untrusted.open_folder(project, name))
        except FileNotFoundError:
            raise Refused(f"the mount's folder {name} is not there. Run 'just up', it makes it.") from None
        except OSError as error:
            raise Refused(f"the mount's folder {name}: {error.strerror}.") from None


def make_run_folder(project: Path, relative: str) -> None:
    """Make the run folder ``relative`` below ``project``, where it is missing.

    Raises:
        Refused: something on the way is a link or no folder, or the folder cannot be made.
    """
    descriptor = os.open(project, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for component in relative.split("/"):
            below = _open_or_make(component, descriptor, relative)
            os.close(descriptor)
            descriptor = below
    finally:
        os.close(descriptor)


def remove_result(project: Path, relative: str, task_id: str) -> None:
    """Take away what an earlier container of this task has left as its result, whatever that is.

    Raises:
        Refused: it cannot be taken away.
    """
    descriptor = untrusted.open_folder(project, relative)
    try:
        with suppress(FileNotFoundError):
            os.unlink(f"{task_id}.json", dir_fd=descriptor)
    except OSError as error:
        raise Refused(
            f"{relative}/{task_id}.json: {error.strerror}: the result of an earlier try cannot be removed."
            " Remove it, then clear the task."
        ) from None
    finally:
        os.close(descriptor)


def _open_or_make(component: str, parent: int, shown: str) -> int:
    made = False
    with suppress(FileExistsError):
        try:
            os.mkdir(component, MODE, dir_fd=parent)
            made = True
        except FileExistsError:
            raise
        except OSError as error:
            raise Refused(f"the mount's folder {shown} cannot be made: {error.strerror}.") from None
    try:
        descriptor = os.open(component, _FOLDER, dir_fd=parent)
    except OSError as error:
        raise Refused(f"the mount's folder {shown} is no folder, or reached by a link: {error.strerror}.") from None
    if made:
        os.fchmod(descriptor, MODE)  # whatever the umask
    return descriptor
