"""``gc``: old model files and run folders are removed; their records stay.

Both go only when they are old *and* beyond the newest few of their kind. Never a model that is served,
that a rollback would serve next, that was promoted, or that an inference named within ``older_than``; never
a run folder whose step is running, or that a file was written into within ``older_than``. The removal is
recorded first, under the registry's lock and after a second look, and the files are deleted afterwards:
whatever a crash leaves is recorded as removed, ``verify`` says so, and the next gc deletes it. What cannot be
deleted is passed over, and told at the end.

What no file tells: a run that waits between two steps for longer than ``older_than`` looks like one that
has ended, so choose that longer than any run may wait. An inference that is running needs no protection
of its own: it gets what is served, or was until just now, and has read a model whole once it uses it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

from bulkhead import clock
from bulkhead.errors import Refused, one_line
from bulkhead.files import sync_folder
from bulkhead.maintenance import run_folders, tree_removal
from bulkhead.maintenance.tree_removal import Left
from bulkhead.maintenance.verify import model_files
from bulkhead.maintenance.verify.inference_journal import LastUses
from bulkhead.maintenance.verify.training_journal import RegistryHistory
from bulkhead.model_name import named
from bulkhead.registry import journal
from bulkhead.registry.records import Removal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bulkhead.maintenance.run_folders import RunFolder
    from bulkhead.registry.decisions import DecisionContext
    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.serving import ModelVersion
    from bulkhead.registry.store import Registry

BATCH = 500
"""Paths in one record: a line of about 50 kB."""

LOCK = ".gc.lock"
"""In ``models/``: held by the gc that is at work."""


class RetentionRule(msgspec.Struct, frozen=True):
    """What is kept.

    Raises:
        Refused: not even the newest one is to be kept, or no time at all.
    """

    keep: int
    """The newest of each model in each environment, and of each DAG."""
    older_than: timedelta

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise Refused(f"to keep {self.keep} of each kind is to keep nothing. Give 1 or more.")
        if self.older_than < timedelta(hours=1):
            raise Refused(f"what is {self.older_than} old may be still in the making. Give 1h or more.")


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that goes."""

    kind: Literal["model", "run"]
    path: str
    """Relative to the project."""
    size_bytes: int
    age_seconds: float
    why: str
    recorded: bool = False
    """An earlier gc has recorded its removal, and was cut off."""


class GarbageCollector:
    """One gc of one project.

    Raises:
        Refused: a journal has lines that nobody can read, and one of them may be what protects a model.
    """

    def __init__(self, registry: Registry, shared: Path, rule: RetentionRule) -> None:
        self._registry = registry
        self._shared = shared
        self._rule = rule
        self._now = clock.now()
        # What takes long is read before any lock, and read on under it.
        self._history = RegistryHistory(registry)
        _drain(self._history.catch_up())
        self._uses = LastUses(registry)
        for lines in (self._history.lines, self._uses.lines):
            for found in lines.unexplained():
                raise Refused(
                    f"{found.sentence} Until then nothing is removed: the line may have said that a model is needed."
                )
        self._good: dict[str, bool] = {}
        self.left: list[Left] = []
        """What :meth:`collect` could not remove."""

    def plan(self) -> list[Expired]:
        """What :meth:`collect` would remove: models first, in the order of their records."""
        return [*self._old_models(), *self._old_runs()]

    def collect(self, context: DecisionContext) -> Iterator[Expired]:
        """Remove what is old; yields each thing once it is gone.

        Raises:
            Refused: another gc is at work.
            OSError: a record cannot be written. What is recorded and still there, the next gc deletes.
        """
        with _alone(self._registry.folder, self._shared):
            yield from self._remove_models(context)
            for batch in _batches(self._old_runs()):
                yield from self._remove_runs(batch, context)

    def _remove_models(self, context: DecisionContext) -> Iterator[Expired]:
        # Also hashes what a rollback would serve, before anybody has to wait.
        if not self._old_models():
            return
        gone: list[Expired] = []
        try:
            # Recorded and deleted at one moment, as verify sees it.
            with journal.locked(self._registry.training_journal) as trainings:
                _drain(self._history.read(self._registry.journal_size("training")))
                self._uses.catch_up()
                old = self._old_models()
                for batch in _batches([item for item in old if not item.recorded]):
                    trainings.append(_removal(batch, context))
                for item in old:
                    try:
                        (self._registry.folder / item.path.removeprefix("models/")).unlink(missing_ok=True)
                    except OSError as error:
                        self.left.append(Left(item.path, str(error.strerror)))
                    else:
                        gone.append(item)
                sync_folder(self._registry.folder)
        finally:
            # Told without the lock, whoever reads it and however slowly; and what is gone, even where the next is not.
            yield from gone

    def _old_models(self) -> list[Expired]:
        protected = self._protected()
        listing = model_files.entries(self._registry.folder)
        old = []
        for name, model in self._history.state.models.items():
            entry = listing.get(name)
            # By its name too: a record that somebody wrote could call the journal its model.
            if name in protected or entry is None or not entry.is_file or not model_files.is_like_a_model(name):
                continue
            age = self._now - _newest_time(model)
            if model.removal is None and age <= self._rule.older_than:
                continue
            if model.removal is None:
                of_it = named(" and ".join(model.environments), one_line(model.name, 60))
                why = f"beyond the newest {self._rule.keep} of {of_it}"
            else:
                why = f"recorded as removed on {model.removal.removal_time[:19]}"
            old.append(
                Expired(
                    kind="model",
                    path=f"models/{name}",
                    size_bytes=entry.size,
                    age_seconds=max(0.0, age.total_seconds()),
                    why=why,
                    recorded=model.removal is not None,
                )
            )
        return old

    def _protected(self) -> set[str]:
        """The models that stay, however old."""
        state = self._history.state
        protected: set[str] = set()
        for environment, called in state.places:
            serving_order = state.serving_order(environment, called)
            protected.update(record.model_filename for record in serving_order[:1])
            # What a rollback would choose: the next that is good. Those before it stay for a person to look at.
            for record in serving_order[1:]:
                protected.add(record.model_filename)
                if self._is_good(record):
                    break
            usable = (
                name
                for name, model in reversed(state.models.items())
                if model.name == called and environment in model.environments and model.out_of_service is None
            )
            protected.update(name for name, _ in zip(usable, range(self._rule.keep), strict=False))
        protected.update(name for name, model in state.models.items() if model.promotions)
        in_use_since = self._now - self._rule.older_than
        protected.update(name for name, moment in self._uses.last.items() if moment >= in_use_since)
        return protected

    def _is_good(self, record: ModelRecord) -> bool:
        name = record.model_filename
        if name not in self._good:
            try:
                self._registry.check_file(record)
                self._good[name] = True
            except Refused:
                self._good[name] = False
        return self._good[name]

    def _old_runs(self) -> list[Expired]:
        by_dag: dict[str, list[RunFolder]] = {}
        old = []
        for run in run_folders.runs(self._shared):
            removed = self._history.removed_runs.get(run.path)
            if removed is not None and run_folders.is_left(run, removed):
                old.append(self._old_run(run, f"recorded as removed on {removed[:19]}", recorded=True))
            else:
                by_dag.setdefault(run.dag, []).append(run)
        for dag, found in by_dag.items():
            found.sort(key=lambda run: run.newest, reverse=True)
            why = f"beyond the newest {self._rule.keep} of {dag or 'the runs by hand'}"
            old += [self._old_run(run, why) for run in found[self._rule.keep :] if self._has_ended(run)]
        return old

    def _old_run(self, run: RunFolder, why: str, *, recorded: bool = False) -> Expired:
        age = max(0.0, self._now.timestamp() - run.newest)
        return Expired(kind="run", path=run.path, size_bytes=run.size, age_seconds=age, why=why, recorded=recorded)

    def _has_ended(self, run: RunFolder) -> bool:
        return not run.held and self._now.timestamp() - run.newest > self._rule.older_than.total_seconds()

    def _remove_runs(self, batch: Sequence[Expired], context: DecisionContext) -> Iterator[Expired]:
        # A step may have begun since the first look.
        still = [item for item in batch if self._still_old(item)]
        new = [item for item in still if not item.recorded]
        if new:
            with journal.locked(self._registry.training_journal) as trainings:
                trainings.append(_removal(new, context))
        for item in still:
            # And one may have begun, or even ended, while others were deleted.
            run = self._still_old(item)
            if run is None:
                continue
            left = tree_removal.remove(self._shared, run.below_shared, run.path)
            self.left += left
            if not left:
                yield item

    def _still_old(self, item: Expired) -> RunFolder | None:
        run = run_folders.at(item.path, self._shared)
        if run is None:
            return None
        left = item.recorded and run_folders.is_left(run, self._history.removed_runs[item.path])
        return run if left or self._has_ended(run) else None


def _newest_time(model: ModelVersion) -> datetime:
    """When the model was last published or promoted; the end of time where its records do not tell."""
    times = [model.record.training_timestamp, *(p.promotion.promotion_time for p in model.promotions if p.promotion)]
    try:
        return max(map(clock.parse, times))
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)


def _removal(batch: Sequence[Expired], context: DecisionContext) -> Removal:
    return Removal(
        **msgspec.structs.asdict(context.identity),
        removal_time=clock.in_record(clock.now()),
        paths=[item.path for item in batch],
        size_bytes=sum(item.size_bytes for item in batch),
        by=one_line(context.by),
        reason=one_line(context.reason),
    )


def _batches(items: Sequence[Expired]) -> Iterator[Sequence[Expired]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _drain(findings: Iterator[object]) -> None:
    for _ in findings:
        pass  # what contradicts itself is for verify to say


@contextmanager
def _alone(models: Path, shared: Path) -> Iterator[None]:
    """No other gc of this registry works meanwhile."""
    if not (shared / "runs").is_dir():
        raise Refused("there is no folder shared/runs. Make it, or name the project's with --shared.")
    # As the journals' own lock: to open it needs the right to write.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(models / LOCK, flags, 0o220)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Refused("another gc is at work here. Wait for its end, then run this again.") from None
    finally:
        os.close(descriptor)
