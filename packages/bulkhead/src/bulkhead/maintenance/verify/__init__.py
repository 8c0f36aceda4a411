"""Whether the registry is what its records say: every line, every model file, every predictions file.

Nothing is changed, and nobody is kept waiting: no lock is taken, which would need the right to write. The files are
looked at first and the journals' ends afterwards; what lies between, and what is in the making, is looked at again
before it is called a finding. Whatever is appended afterwards belongs to the next check.

Memory: what ``log.txt`` says of each model and each removed run folder. Inferences pass by one by one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bulkhead import untrusted
from bulkhead.errors import one_line
from bulkhead.maintenance import run_folders
from bulkhead.maintenance.verify import model_files
from bulkhead.maintenance.verify.chain import ChainCheck
from bulkhead.maintenance.verify.findings import Finding, finding
from bulkhead.maintenance.verify.inference_journal import InferenceCheck, ModelUses
from bulkhead.maintenance.verify.journal_lines import end_of, nobody
from bulkhead.maintenance.verify.training_journal import RegistryHistory
from bulkhead.paths import JOURNALS
from bulkhead.registrar_protocol import SeenHead
from bulkhead.registry.quality_gate import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bulkhead.maintenance.verify.journal_lines import Progress
    from bulkhead.maintenance.verify.model_files import Entry
    from bulkhead.paths import JournalName
    from bulkhead.registry.chain import KeyRing
    from bulkhead.registry.serving import ModelVersion
    from bulkhead.registry.store import Registry

__all__ = ["Finding", "SeenHead", "amount", "verify"]


def amount(registry: Registry) -> int:
    """About how many bytes :func:`verify` will report as done."""
    return sum(entry.size for entry in model_files.entries(registry.folder).values() if entry.is_file)


def verify(  # what it may be told of
    registry: Registry,
    shared: Path,
    *,
    predictions: bool = True,
    progress: Progress = nobody,
    ring: KeyRing | None = None,
    heads: Mapping[JournalName, SeenHead] | None = None,
) -> Iterator[Finding]:
    """Everything that is not as the records say. The registry is clean when none of it is damage.

    Args:
        registry: what to check.
        shared: the project's ``shared/``.
        predictions: read and hash every predictions file, compare it with the predictions in its record, and look for
            leftovers in the run folders; without, it is only looked whether they are there.
        progress: told how many bytes were dealt with; :func:`amount` says how many there are.
        ring: the keys that sign the records; None: signatures are not checked.
        heads: what the registrar has last seen of each journal, asked before this; None: nobody could be asked.

    Raises:
        OSError: something cannot be read.
        Untrusted: a journal is a link, no plain file, or sparse.
    """
    seen = heads or {}
    chains = {name: ChainCheck(f"models/{JOURNALS[name]}", ring, seen.get(name)) for name in JOURNALS}
    # First: a model that an inference used before this moment has its record in log.txt by now.
    inferences_end = end_of(registry.inference_journal)
    history = RegistryHistory(registry, progress, chains["training"])
    listing = model_files.entries(registry.folder)
    yield from history.read(end_of(registry.training_journal))
    yield from model_files.check(registry.folder, listing, history, progress)
    inferences = InferenceCheck(registry, shared, inferences_end, history, progress, chains["inference"])
    expected = {name: _expected(model, listing) for name, model in history.state.models.items()}
    yield from inferences.check(expected, predictions=predictions)
    yield from _unfinished_run_removals(history, shared)
    if predictions:
        yield from _leftovers(shared)
    yield from _quarantined(registry.folder, history, listing)
    yield from history.late
    for lines in (history.lines, inferences.lines):
        yield from lines.ended()
        yield from lines.unexplained()
    unseen = [name for name, chain in chains.items() if chain.is_chained and name not in seen]
    if unseen and heads is None:
        yield _head_unknown("models/", "nobody could be asked what the registrar has last seen", "the stack is up")
    else:
        for name in unseen:
            path = f"models/{JOURNALS[name]}"
            yield _head_unknown(path, "the registrar has not seen it yet", "the registrar has recorded something in it")
    yield from _gate_changed(registry.folder, history)
    if inferences.not_compared:
        yield finding(
            "predictions_not_compared",
            f"models/{JOURNALS['inference']}",
            f"models/{JOURNALS['inference']}: {inferences.not_compared} of the records hold predictions that were not"
            " compared with their files, which cannot be read here. The inference image has what it takes: pyarrow.",
        )


def _head_unknown(path: str, why: str, when: str) -> Finding:
    sentence = (
        f"{path}: {why}, so nothing tells whether the logs were cut off at a line or set back to an older copy."
        f" Run 'just registry verify' when {when}."
    )
    return finding("head_unknown", path, sentence)


def _gate_changed(folder: Path, history: RegistryHistory) -> Iterator[Finding]:
    if history.newest_gate is None:
        return
    judged, line = history.newest_gate
    try:
        found = untrusted.hash_of(folder, SETTINGS, called=f"models/{SETTINGS}", limit=untrusted.SETTINGS_LIMIT)
    except (OSError, untrusted.Untrusted):
        found = ""
    if found != judged:
        sentence = (
            f"models/{SETTINGS} is not, or no longer, what judged the newest model, in line {line} of models/log.txt:"
            " it was changed since. The next one is judged by what stands there now."
        )
        yield finding("gate_changed", f"models/{SETTINGS}", sentence)


def _expected(model: ModelVersion, listing: Mapping[str, Entry]) -> ModelUses:
    since = [
        *([model.revocation.revocation_time] if model.revocation else []),
        *([model.removal.removal_time] if model.removal else []),
        *([model.quarantine.quarantine_time] if model.quarantine else []),
    ]
    name = model.record.model_filename
    return ModelUses(
        name=model.name,
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
        if not unfinished and not (is_ours and _has(folder, name, moved.sha256)):
            yield finding(
                "lost_quarantine",
                moved.moved_to,
                f"{one_line(moved.moved_to, 200)} is not, or no longer, what was put there from"
                f" {one_line(moved.path, 200)}. Nothing reads it; somebody cleared it away or changed it.",
            )


def _has(folder: Path, name: str, digest: str) -> bool:
    try:
        return untrusted.hash_of(folder, f"{model_files.QUARANTINE}/{name}") == digest
    except (OSError, untrusted.Untrusted):  # nothing depends on it, so it is a note like any other loss there
        return False
