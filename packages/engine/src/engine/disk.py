"""How much disk a run takes: its folder, looked at now and then while its step runs.

The folder is the step's to write, so nothing in it is opened: names and sizes are read by descriptors, no link is
followed, and a folder with too many files or too deep is over every limit instead of being counted for ever.
What a step has unlinked and still holds open is not seen here; the seal bounds the size of a single file.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MOST_ENTRIES = 200_000
_DEEPEST = 32
_EVERY_SECONDS = 5.0
_SHARE = 20
"""A look that takes long is repeated seldom: at most one part in so many of the time is spent on it."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Uncountable(Exception):
    """What is in the folder cannot be counted; the message says why, as the end of a sentence."""


class Watch:
    """Looks at a run's folder now and then.

    Args:
        folder: the run folder; none where nothing has made it yet.
        limit: bytes that it and the step's output may take together.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._next = 0.0

    def excess(self, output_bytes: int) -> str | None:
        """What is too much, as a piece of a sentence; None: nothing is, or it is not yet time to look again."""
        began = time.monotonic()
        if began < self._next:
            return None
        try:
            taken = usage(self._folder) + output_bytes
            found = None if taken <= self._limit else f"{taken / 1e9:.1f} GB in the run folder and the output"
        except Uncountable as error:
            found = str(error)
        except OSError:  # not there, or not to be reached: that is no step's doing
            found = None
        ended = time.monotonic()
        self._next = ended + max(_EVERY_SECONDS, _SHARE * (ended - began))
        return found


def usage(folder: Path) -> int:
    """Bytes that ``folder`` takes on the disk: blocks, so that a sparse file counts as what it is.

    Raises:
        Uncountable: there are more than 200,000 files, folders nested deeper than 32, or one that may not be read.
        OSError: ``folder`` itself cannot be read.
    """
    descriptor = os.open(folder, _FOLDER)
    try:
        return _Count().below(descriptor, 1)
    finally:
        os.close(descriptor)


class _Count:
    def __init__(self) -> None:
        self._entries = 0
        self._linked: set[tuple[int, int]] = set()

    def below(self, descriptor: int, depth: int) -> int:
        if depth > _DEEPEST:
            raise Uncountable(f"folders nested deeper than {_DEEPEST} in the run folder")
        total = 0
        with os.scandir(descriptor) as found:
            for entry in found:
                self._entries += 1
                if self._entries > _MOST_ENTRIES:
                    raise Uncountable(f"more than {_MOST_ENTRIES} files in the run folder")
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    total += self._own(status)
                    if stat.S_ISDIR(status.st_mode):
                        total += self._inside(entry.name, descriptor, depth)
        return total

    def _own(self, status: os.stat_result) -> int:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            key = status.st_dev, status.st_ino
            if key in self._linked:
                return 0
            self._linked.add(key)
        return status.st_blocks * 512

    def _inside(self, name: str, parent: int, depth: int) -> int:
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=parent)
        except PermissionError:
            raise Uncountable("a folder in the run folder that may not be read") from None
        except OSError:  # no folder any more, since it was seen
            return 0
        try:
            return self.below(descriptor, depth + 1)
        finally:
            os.close(descriptor)
