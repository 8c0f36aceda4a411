"""What is mounted into a step: made where it is missing, and made sure to be folders of this project, by no link.

The engine follows links in a bind mount's source, so no component of one may be a link. A step can write its own run
folder and nothing above it; what is looked at here is not its to change.
"""

from __future__ import annotations

import itertools
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from bulkhead import untrusted
from bulkhead.hosts_protocol import PROBES
from bulkhead.unix_http import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from engine.attempt import Attempt
    from engine.settings import Settings

_MODE = 0o775
_PROBE_MODE = 0o640
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def prepare(settings: Settings, attempt: Attempt, *, is_anew: bool = False) -> None:
    """Make the run folder, and take the result of an earlier try out of it: that is not this one's proof.

    Args:
        settings: where it is.
        attempt: whose it is.
        is_anew: whether a container of a lost host may still write into the one that is there: that is left to it under
            another name, and what the run's earlier steps have made is taken along.

    Raises:
        Refusal: something is no folder of ours, or cannot be made; its sentence says "mount".
    """
    task = str(attempt.identity.task_id)
    try:
        for folder in ("models", "shared/inputs"):
            os.close(untrusted.open_folder(settings.folder, folder))
        if is_anew:
            _leave_to_the_lost(settings.folder, attempt.identity.run_path, f"{task}.json")
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


def write_probe(settings: Settings, token: str) -> None:
    """Write what the registrar has told this host, for it to read: one ``shared/`` for both.

    Raises:
        Refusal: it cannot be written.
    """
    try:
        folder = _made(settings.folder, PROBES.split("/"))
        try:
            written = f".{settings.host}.tmp"
            descriptor = os.open(written, _NEW_FILE, _PROBE_MODE, dir_fd=folder)
            try:
                os.write(descriptor, token.encode())
            finally:
                os.close(descriptor)
            os.rename(written, settings.host, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Refusal(400, f"invalid mount: {PROBES}: {error.strerror}") from error


def _leave_to_the_lost(root: Path, run_path: str, result: str) -> None:
    """Give the run folder another name, and make a new one with the same files, but for the task's result.

    Whatever writes into the old one by a descriptor or a mount, as the step on a lost host does, goes on there. The
    files are links: steps put new ones in place of old ones, never write into them, and say which bytes they have read.
    """
    *above, name = run_path.split("/")
    parent = _made(root, above)
    try:
        aside = next(found for number in itertools.count(1) if not _is_there(found := f"{name}.lost-{number}", parent))
        try:
            os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
        except FileNotFoundError:
            return
        old = os.open(aside, _FLAGS, dir_fd=parent)
        new = _made(root, [*above, name])
        try:
            for entry in os.listdir(old):  # noqa: PTH208  # of a descriptor
                if entry == result or entry.startswith("."):  # what is half written has a dot before its name
                    continue
                if stat.S_ISREG(os.lstat(entry, dir_fd=old).st_mode):
                    os.link(entry, entry, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
        finally:
            os.close(old)
            os.close(new)
    finally:
        os.close(parent)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


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
