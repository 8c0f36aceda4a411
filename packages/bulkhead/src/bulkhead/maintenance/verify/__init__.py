"""Whether the registry is what its records say: every line, every model file, every predictions file.

Nothing is changed, and nobody is kept waiting: the journals' locks are taken, shared, for a moment each, to
see where the journals end and which files are there at that same moment. Whatever is appended afterwards
belongs to the next check.

Memory: what ``log.txt`` says of each model and each removed run folder. Inferences pass by one by one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bulkhead.errors import one_line
from bulkhead.files import hash_of
from bulkhead.maintenance import run_folders
from bulkhead.maintenance.verify import model_files
from bulkhead.maintenance.verify.findings import Finding, finding
from bulkhead.maintenance.verify.inference_journal import InferenceCheck, ModelUses
from bulkhead.maintenance.verify.journal_lines import end_of, nobody
from bulkhead.maintenance.verify.training_journal import RegistryHistory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bulkhead.maintenance.verify.journal_lines import Progress
    from bulkhead.maintenance.verify.model_files import Entry
    from bulkhead.registry.serving import ModelVersion
    from bulkhead.registry.store import Registry

__all__ = ["Finding", "amount", "verify"]


def amount(registry: Registry) -> int:
    """About how many bytes :func:`verify` will report as done."""
    return sum(entry.size for entry in model_files.entries(registry.folder).values() if entry.is_file)


def verify(
    registry: Registry, shared: Path, *, predictions: bool = True, progress: Progress = nobody
) -> Iterator[Finding]:
    """Everything that is not as the records say. The registry is clean when none of it is damage.

    Args:
        registry: what to check.
        shared: the project's ``shared/``.
        predictions: read and hash every predictions file, and look for leftovers in the run folders; without,
            it is only looked whether they are there.
        progress: told how many bytes were dealt with; :func:`amount` says how many there are.

    Raises:
        OSError: something cannot be read.
    """
    # First: a model that an inference used before this moment has its record in log.txt by now.
    with end_of(registry.inference_journal) as inferences_end:
        pass
    history = RegistryHistory(registry, progress)
    end, listing = _at_one_moment(registry)
    yield from history.read(end)
    yield from model_files.check(registry.folder, listing, history, progress)
    inferences = InferenceCheck(registry, shared, inferences_end, history, progress)
    expected = {name: _expected(model, listing) for name, model in history.state.models.items()}
    yield from inferences.check(expected, predictions=predictions)
    yield from _unfinished_run_removals(history, shared)
    if predictions:
        yield from _leftovers(shared)
    yield from _quarantined(registry.folder, history, listing)
    yield from history.lines.unexplained()
    yield from inferences.lines.unexplained()


def _at_one_moment(registry: Registry) -> tuple[int, dict[str, Entry]]:
    """The end of ``log.txt``, and the names in ``models/`` at that moment: nobody is between file and record."""
    while True:
        locked = registry.training_journal.exists()
        with end_of(registry.training_journal) as end:
            listing = model_files.entries(registry.folder)
        # Without a journal there was no lock to take: whoever has made one meanwhile may be publishing.
        if locked or registry.training_journal.name not in listing:
            return end, listing


def _expected(model: ModelVersion, listing: Mapping[str, Entry]) -> ModelUses:
    since = [
        *([model.revocation.revocation_time] if model.revocation else []),
        *([model.removal.removal_time] if model.removal else []),
        *([model.quarantine.quarantine_time] if model.quarantine else []),
    ]
    name = model.record.model_filename
    return ModelUses(
        environments=model.environments,
        model_hash=model.record.model_hash,
        sha256=model.record.sha256,
        file_is_lost=name not in listing and model.removal is None and model.quarantine is None,
        out_of_service_since=min(since, default=None),
    )


def _unfinished_run_removals(history: RegistryHistory, shared: Path) -> Iterator[Finding]:
    for path, removed in history.removed_runs.items():
        run = run_folders.at(path, shared)
        if run is not None and run_folders.is_left(run, removed):
            sentence = f"{path} is recorded as removed, and still there. Run 'just registry gc'."
            yield finding("unfinished_run_removal", path, sentence)


def _leftovers(shared: Path) -> Iterator[Finding]:
    for run in run_folders.runs(shared):
        for name, modified in run_folders.leftovers(run):
            if time.time() - modified > model_files.FRESH_SECONDS:
                path = f"{run.path}/{name}"
                sentence = f"{one_line(path)} was left by a step that was killed. No reader looks at it; it can go."
                yield finding("leftover", path, sentence)


def _quarantined(folder: Path, history: RegistryHistory, listing: Mapping[str, Entry]) -> Iterator[Finding]:
    for moved in history.moved:
        name = moved.moved_to.removeprefix(f"models/{model_files.QUARANTINE}/")
        still = moved.path.removeprefix("models/")
        unfinished = still in listing and still not in model_files.KNOWN
        is_ours = name != moved.moved_to and "/" not in name and "\0" not in name
        if not unfinished and not (is_ours and _has(folder / model_files.QUARANTINE / name, moved.sha256)):
            yield finding(
                "lost_quarantine",
                moved.moved_to,
                f"{one_line(moved.moved_to, 200)} is not, or no longer, what was put there from"
                f" {one_line(moved.path, 200)}. Nothing reads it; somebody cleared it away or changed it.",
            )


def _has(path: Path, digest: str) -> bool:
    try:
        return hash_of(path) == digest
    except OSError:  # nothing depends on it, so it is a note like any other loss there
        return False
