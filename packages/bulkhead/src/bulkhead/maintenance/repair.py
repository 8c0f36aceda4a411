"""``repair``: what no reader should stumble over is put aside. Nothing is deleted, nothing is rewritten.

A bad line stays where it is: a copy of its bytes is put into ``models/quarantine/``, then a
:class:`~bulkhead.registry.records.Quarantine` at the end of the same journal names it, and ``verify`` knows it
from then on. A file is recorded first and moved afterwards. So wherever this is cut off, the bytes are still in
their place or in the quarantine, and ``verify`` still reports what is not done; the next repair does the
rest and repeats nothing.

The chain stays whole: nothing but records at the end of a journal is written.

Beside live writers this is safe: each thing is looked at again under the registry's lock, when nobody is
between a model's file and its record, or in the middle of a line. Records that contradict each other are
not fixed: a person must find out which is true.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock, untrusted
from bulkhead.errors import Refused, one_line
from bulkhead.files import naming, sync_folder, temporary_beside
from bulkhead.maintenance.verify.journal_lines import end_of, kinds_in, line_at, pieces_at
from bulkhead.maintenance.verify.model_files import QUARANTINE, is_like_a_model
from bulkhead.maintenance.verify.training_journal import QuarantinedBytes, RegistryHistory
from bulkhead.paths import slug
from bulkhead.registry import journal
from bulkhead.registry.records import Quarantine

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.maintenance.verify.findings import Finding
    from bulkhead.maintenance.verify.journal_lines import WholeLine
    from bulkhead.registry.appender import Appender
    from bulkhead.registry.decisions import DecisionContext
    from bulkhead.registry.store import Registry

_MODE = 0o444  # evidence does not change
_WRITABLE = 0o600
_FOLDER_MODE = 0o775


class Repair:
    """Repairs of one registry; make it before the check whose findings it fixes."""

    def __init__(self, registry: Registry, context: DecisionContext) -> None:
        self._registry = registry
        self._context = context
        self._folder = registry.folder / QUARANTINE
        self._since: dict[Path, int] = {}
        for path in (registry.training_journal, registry.inference_journal):
            self._since[path] = end_of(path)
        self._history = RegistryHistory(registry)

    def fix(self, found: Finding) -> Quarantine | None:
        """Quarantine what ``found`` is about.

        Returns:
            Its record; None: there is nothing to do any more, for a writer or another repair was there since.

        Raises:
            Refused: ``models/quarantine`` is not a folder, or something is a link, no plain file, or sparse.
            OSError: something cannot be written; what is not recorded is where it was.
        """
        name = found.path.removeprefix("models/")
        # Before any lock: reading a long journal must keep nobody waiting.
        for _ in self._history.catch_up():
            pass  # what contradicts itself is for verify to say
        if found.offset is not None:
            return self._quarantine_line(self._registry.folder / name, found.offset)
        return self._quarantine_file(name) if is_like_a_model(name) else None

    def _quarantine_line(self, path: Path, offset: int) -> Quarantine | None:
        with journal.locked(path) as appender:
            line = line_at(path, offset)
            if not self._is_bad(path, line, offset):
                return None
            target, is_there = self._target(f"{path.name}.{offset}", line.sha256)
            if not is_there:
                self._copy(path, offset, target)
            record = self._record(f"models/{path.name}", target, line.size, line.sha256, offset)
            appender.append(record)
            return record

    def _copy(self, path: Path, offset: int, target: Path) -> None:
        # In pieces: a line that is longer than a line may be is quarantined for just that.
        with temporary_beside(target, b"", _WRITABLE) as copy:
            with naming(target), copy.open("wb") as file:
                for piece in pieces_at(path, offset):
                    file.write(piece)
                file.flush()
                os.fchmod(file.fileno(), _MODE)
                os.fsync(file.fileno())
            os.link(copy, target)
        sync_folder(self._folder)

    def _is_bad(self, path: Path, line: WholeLine, offset: int) -> bool:
        """Whether ``line`` is no record of the journal at ``path``, and no other repair was here since."""
        if isinstance(line.decoded(offset), kinds_in(path)):
            return False
        since = (r for r in journal.read(path, self._since[path]) if isinstance(r, Quarantine))
        return all((record.path, record.offset) != (f"models/{path.name}", offset) for record in since)

    def _quarantine_file(self, name: str) -> Quarantine | None:
        path = self._registry.folder / name
        try:
            before = path.lstat()
            found = untrusted.hash_of(self._registry.folder, name, called=f"models/{name}")
            with journal.locked(self._registry.training_journal) as appender:
                for _ in self._history.read(self._registry.journal_size("training")):
                    pass
                model = self._history.state.models.get(name)
                now = path.lstat()
                if (now.st_ino, now.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
                    return None  # somebody is at work on it: the next repair sees what became of it
                if model is not None and model.record.sha256 in (None, found):
                    return None  # published, or restored, since
                return self._move(appender, path, now.st_size, found)
        except FileNotFoundError:  # moved by another repair
            return None

    def _move(self, appender: Appender, path: Path, size: int, digest: str) -> Quarantine:
        target, is_there = self._target(slug(path.name), digest)
        record = self._record(f"models/{path.name}", target, size, digest)
        # A repair that was killed after its record is finished without another one.
        if QuarantinedBytes(record.path, record.moved_to, digest) not in self._history.moved:
            appender.append(record)
        if is_there:
            path.unlink()
        else:
            path.rename(target)  # nobody else puts files there without this lock, so none is overwritten
            sync_folder(self._folder)
        sync_folder(path.parent)
        return record

    def _target(self, name: str, digest: str) -> tuple[Path, bool]:
        """Where bytes of this hash go, and whether they are there already."""
        if not os.path.lexists(self._folder):
            self._folder.mkdir()
            self._folder.chmod(_FOLDER_MODE)  # whatever the umask
            sync_folder(self._registry.folder)
        if not self._folder.is_dir() or self._folder.is_symlink():
            raise Refused(f"models/{QUARANTINE} is not a folder. Move it elsewhere, then run this again.")
        for number in itertools.count():
            target = self._folder / f"{name}.{digest[:16]}{f'.{number}' if number else ''}"
            if not os.path.lexists(target):
                return target, False
            if self._holds(target, digest):
                return target, True
        raise AssertionError  # count() does not end

    def _holds(self, target: Path, digest: str) -> bool:
        try:
            return untrusted.hash_of(self._folder, target.name) == digest
        except (OSError, untrusted.Untrusted):  # whatever it is, it is not what was put there
            return False

    def _record(self, path: str, target: Path, size: int, digest: str, offset: int | None = None) -> Quarantine:
        return Quarantine(
            **msgspec.structs.asdict(self._context.identity),
            quarantine_time=clock.in_record(clock.now()),
            path=path,
            offset=offset,
            size_bytes=size,
            sha256=digest,
            moved_to=f"models/{QUARANTINE}/{target.name}",
            by=one_line(self._context.by),
            reason=one_line(self._context.reason),
        )
