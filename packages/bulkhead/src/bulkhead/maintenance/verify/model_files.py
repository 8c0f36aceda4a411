"""The files in ``models/`` against their records."""

from __future__ import annotations

import os
import re
import stat
import time
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock, untrusted
from bulkhead.errors import one_line, short
from bulkhead.hosts_protocol import PROBE
from bulkhead.maintenance.verify.findings import finding, unreadable
from bulkhead.registry.quality_gate import SETTINGS
from bulkhead.registry.store import INFERENCES, TRAININGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bulkhead.maintenance.verify.findings import Finding, Kind
    from bulkhead.maintenance.verify.journal_lines import Progress
    from bulkhead.maintenance.verify.training_journal import RegistryHistory
    from bulkhead.registry.serving import ModelVersion

QUARANTINE = "quarantine"
KNOWN = frozenset({TRAININGS, INFERENCES, ".gitkeep", SETTINGS, QUARANTINE, "lost+found", ".lock", ".gc.lock", PROBE})
"""What is at home in ``models/`` beside model files; the last, where ``models/`` is a disk of its own."""

LEFTOVER = re.compile(r"\.[^/]*\.tmp")
FRESH_SECONDS = 3600
"""A temporary file that is younger may belong to a writer that is still at work."""

_LIKE_A_MODEL = re.compile(r"model_[\w:.+-]+\.(joblib|pkl)", re.ASCII)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A name in ``models/``, as it was at one moment."""

    is_file: bool
    """A regular file: no link, no folder."""
    size: int
    modified: float
    changed: float
    """When it was last given a name, or a mode."""


def entries(folder: Path) -> dict[str, Entry]:
    """Every name in ``folder``."""
    found = {}
    with os.scandir(folder) as names:
        for entry in names:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # a temporary file whose writer is done
                continue
            found[entry.name] = _entry_of(status)
    return found


def check(
    folder: Path, listing: Mapping[str, Entry], history: RegistryHistory, progress: Progress
) -> Iterator[Finding]:
    """Compare every model's file with its record, then look for files that have none.

    Args:
        folder: ``models/``.
        listing: what was in it before ``history`` ended.
        history: what was recorded until then.
        progress: told the size of each file.
    """
    served = history.served_in()
    # A copy: what is missing may make the history read on, and grow.
    for name, model in list(history.state.models.items()):
        yield from _check_model(folder, listing.get(name), model, served.get(name, []), history)
        progress(listing[name].size if name in listing else 0)
    for name, entry in listing.items():
        if name not in history.state.models and name not in KNOWN and not _is_published(folder, name, entry, history):
            yield from _check_other(name, entry)


def _is_published(folder: Path, name: str, entry: Entry, history: RegistryHistory) -> bool:
    """Whether a file that no record named at the first look has one now, or is gone: it was in the making."""
    if not (entry.is_file and is_like_a_model(name)):
        return False
    return history.settled(entry.changed, lambda: name in history.state.models or not _is_there(folder / name))


def _entry(folder: Path, name: str) -> Entry | None:
    if "/" in name or name in ("", ".", ".."):
        return None
    try:
        status = (folder / name).lstat()
    except (OSError, ValueError):  # a name that no file can have
        return None
    return _entry_of(status)


def _entry_of(status: os.stat_result) -> Entry:
    return Entry(stat.S_ISREG(status.st_mode), status.st_size, status.st_mtime, status.st_ctime)


def _gone_since(model: ModelVersion) -> float:
    """When the removal or quarantine of ``model`` was recorded; long ago where its record does not tell."""
    times = [
        *([model.removal.removal_time] if model.removal else []),
        *([model.quarantine.quarantine_time] if model.quarantine else []),
    ]
    try:
        return max(clock.parse(time).timestamp() for time in times)
    except ValueError:
        return 0.0


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _check_model(
    folder: Path, entry: Entry | None, model: ModelVersion, environments: list[str], history: RegistryHistory
) -> Iterator[Finding]:
    name = model.record.model_filename
    path = f"models/{name}"
    found = None
    if entry is None and model.removal is None and model.quarantine is None:
        entry = _entry(folder, name)  # it may have been published since the look
    if entry is not None and (model.removal or model.quarantine) is not None:
        # Recorded first, and moved or deleted afterwards: perhaps right now.
        entry = None if history.settled(_gone_since(model), lambda: not _is_there(folder / name)) else entry
    if entry is not None and entry.is_file and model.record.sha256 is not None:
        try:
            found = untrusted.hash_of(folder, name, called=path)
        except FileNotFoundError:  # it was listed, and is gone since: was that recorded?
            entry = None
        except (OSError, untrusted.Untrusted) as error:
            why = unreadable(path, error) if isinstance(error, OSError) else str(error)
            yield finding("unreadable_file", path, why)
            return
    if entry is None:
        yield from history.catch_up()
    gone = model.removal or model.quarantine
    state = None if entry is None else _state_of_file(entry, model, found)
    if entry is None and gone is None:
        place = f"line {history.places[name]} of models/log.txt"
        state = "missing_model", f"is recorded in {place} and missing. Restore it from a backup, or train a new model."
    if environments and gone is not None:
        yield finding(
            "served_model_gone",
            path,
            f"models/{one_line(name, 200)}: {' and '.join(environments)} serves it, and {model.out_of_service}. Run"
            " 'just registry rollback', or promote or train another model.",
        )
    if state is not None:
        kind, what = state
        served = f" (served in {' and '.join(environments)})" if environments else ""
        yield finding(kind, path, f"models/{one_line(name, 200)}{served} {what}")


def _state_of_file(entry: Entry, model: ModelVersion, found: str | None) -> tuple[Kind, str] | None:
    """What is to be said of a model's file that is there, and whose sha256 is ``found``."""
    record = model.record
    if model.removal is not None:
        return "removal_unfinished", "is recorded as removed, and still there. Run 'just registry gc'."
    if not entry.is_file or not is_like_a_model(record.model_filename):
        return "foreign_file", (
            "is recorded as a model, and is no regular file with a model's name. No reader takes it. Move it elsewhere."
        )
    if record.sha256 is None:
        return "unverifiable_model", (
            "cannot be verified: its record is a legacy record, which has no hash. Train a new model."
        )
    if found != record.sha256:
        return "altered_model", (
            f"is not the file that was published: sha256 {found}, {entry.size} bytes; recorded is {record.sha256},"
            f" {record.size_bytes} bytes. Restore it from a backup, or run 'just registry repair'."
        )
    if record.size_bytes not in (None, entry.size):
        return "contradictory_record", (
            f"has the recorded sha256 and {entry.size} bytes, and its record says {record.size_bytes}: the record was"
            " edited. Restore models/log.txt from a backup."
        )
    if model.quarantine is not None:
        return "restored_model", "was quarantined, and is there again as it was published. It stays out of service."
    return None


def _check_other(name: str, entry: Entry) -> Iterator[Finding]:
    path = f"models/{name}"
    shown = f"models/{one_line(name, 200)}"
    if LEFTOVER.fullmatch(name):
        if time.time() - entry.modified > FRESH_SECONDS:
            yield finding(
                "leftover", path, f"{shown} was left by a writer that was killed. No reader looks at it; it can go."
            )
    elif entry.is_file and is_like_a_model(name):
        yield finding(
            "orphan_model",
            path,
            f"{shown} is in no record, so it was never published: a training was killed, or somebody put it there."
            " Run 'just registry repair'.",
        )
    else:
        yield finding("foreign_file", path, f"models/: {short(name, 200)} does not belong here. Move it elsewhere.")


def is_like_a_model(name: str) -> bool:
    """Whether a file of this name would pass for a model."""
    return _LIKE_A_MODEL.fullmatch(name) is not None
