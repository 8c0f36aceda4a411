"""What ``verify`` can find, how bad each is, and who fixes it."""

from __future__ import annotations

from typing import Literal

import msgspec

from bulkhead.errors import one_line, short

Severity = Literal["damage", "note"]
"""A registry with damage is not clean; a note is told and changes nothing."""

Fixer = Literal["repair", "gc", "person"]

Kind = Literal[
    "torn_line",
    "foreign_line",
    "missing_model",
    "altered_model",
    "orphan_model",
    "foreign_file",
    "unreadable_file",
    "served_model_gone",
    "removal_unfinished",
    "published_twice",
    "version_twice",
    "attempt_twice",
    "inferred_twice",
    "contradictory_record",
    "unfounded_promotion",
    "unfounded_rollback",
    "unfounded_revocation",
    "unfounded_removal",
    "unfounded_quarantine",
    "unfounded_note",
    "unknown_model",
    "other_model",
    "other_environment",
    "other_name",
    "model_file_gone",
    "missing_predictions",
    "altered_predictions",
    "foreign_path",
    "unverifiable_model",
    "restored_model",
    "lost_quarantine",
    "late_inference",
    "out_of_order",
    "unfinished_run_removal",
    "leftover",
    "edited_line",
    "missing_lines",
    "inserted_line",
    "moved_line",
    "unchained_line",
    "bad_signature",
    "cut_log",
    "two_outcomes",
    "edited_predictions",
    "by_hand",
    "unknown_key",
    "old_key",
    "head_unknown",
    "gate_changed",
    "predictions_not_compared",
]

_NOTES: frozenset[Kind] = frozenset(
    {
        "attempt_twice",
        "unverifiable_model",
        "restored_model",
        "lost_quarantine",
        "late_inference",
        "out_of_order",
        "unfinished_run_removal",
        "leftover",
        "by_hand",
        "unknown_key",
        "old_key",
        "head_unknown",
        "gate_changed",
        "predictions_not_compared",
    }
)
_FIXED_BY: dict[Kind, Fixer] = {
    "torn_line": "repair",
    "foreign_line": "repair",
    "altered_model": "repair",
    "orphan_model": "repair",
    "removal_unfinished": "gc",
    "unfinished_run_removal": "gc",
}

LONGEST_PATH = 300


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as the records say, or that is worth knowing."""

    kind: Kind
    severity: Severity
    path: str
    """The file, relative to the project; in one printable line, whatever its name holds."""
    offset: int | None = None
    """In a journal, the line's first byte."""
    line: int | None = None
    """In a journal, counted from 1."""
    sentence: str
    """What is wrong, where, and what to do next."""
    mended_by: Fixer | None = None
    """Who can fix it; None: it is a note, and needs no fixing."""

    @property
    def is_damage(self) -> bool:
        """Whether the registry is not clean because of it."""
        return self.severity == "damage"


def finding(kind: Kind, path: str, sentence: str, *, offset: int | None = None, line: int | None = None) -> Finding:
    """The finding ``kind`` at ``path``; ``sentence`` is made one line."""
    severity: Severity = "note" if kind in _NOTES else "damage"
    return Finding(
        kind=kind,
        severity=severity,
        path=one_line(path, LONGEST_PATH),
        offset=offset,
        line=line,
        sentence=one_line(sentence),
        mended_by=_FIXED_BY.get(kind, "person" if severity == "damage" else None),
    )


def unreadable(path: str, error: OSError) -> str:
    """The sentence about a file that is there and cannot be read."""
    return f"{short(path, 200)} cannot be read: {error.strerror}. Fix its mode, its owner or the disk."
