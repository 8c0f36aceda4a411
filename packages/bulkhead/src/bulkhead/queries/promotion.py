"""What a promotion would change: what the person who asks, and the one who approves, have to look at first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from bulkhead import formatting
from bulkhead.errors import Refused
from bulkhead.registry import drift, journal, metrics, quality_gate, record_lines
from bulkhead.registry.lineage import Lineage
from bulkhead.registry.records import InferenceRecord

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.store import Registry

_FAR = 4 << 20
"""Bytes of the journal's end."""


class Change(msgspec.Struct, frozen=True):
    """One thing that the candidate and the served model have, as text."""

    what: str
    candidate: str
    served: str
    verdict: Literal["better", "worse"] | None = None
    """Of a metric: whether the candidate is; None: the same, or nobody can tell."""
    goal: str | None = None
    """Of a metric, which way it is better, in words."""

    @property
    def is_same(self) -> bool:
        """Nothing changes in it."""
        return self.candidate == self.served


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate beside what the environment serves."""

    signature: list[str]
    """What differs between the columns and targets, in words."""
    changes: list[Change]
    """Data, code and what else; those that differ first."""
    metrics: list[Change]
    """The candidate's leading one first."""
    gate: str | None
    """Why the environment's gate does not let it pass; None: it does."""


def outlook(models: Path, candidate: Lineage, served: Lineage | None, environment: str) -> Outlook:
    """What would change if ``environment`` served ``candidate`` instead of ``served`` (None: it serves nothing).

    Args:
        models: the registry's folder, in which the gate's settings are.
        candidate: the record of the model that is to be promoted.
        served: that of the one which is served.
        environment: where it is promoted to.
    """
    other = served or Lineage()
    facts = [
        Change(what, _text(mine), _text(theirs) if served is not None else "nothing")
        for what, mine, theirs in (
            ("data", candidate.data and candidate.data.source, other.data and other.data.source),
            ("data's sha256", candidate.data and candidate.data.sha256[:12], other.data and other.data.sha256[:12]),
            ("rows", candidate.data and candidate.data.rows, other.data and other.data.rows),
            ("problem", candidate.problem or "regression", other.problem or "regression"),
            ("target", candidate.target, other.target),
            ("transformation", (candidate.transformation or "")[:12], (other.transformation or "")[:12]),
            ("estimator", _estimator(candidate), _estimator(other)),
        )
    ]
    return Outlook(
        signature=quality_gate.signature_change(candidate, served) if served is not None else [],
        changes=sorted(facts, key=lambda change: change.is_same),
        metrics=_metrics(candidate, served),
        gate=_gate(models, candidate, environment),
    )


def drift_in_words(registry: Registry, filename: str) -> str | None:
    """How far the newest inference with the model ``filename`` was from its training; None: nobody knows.

    Looked for in the last 4 MB of the journal alone: a person waits for it.
    """
    read = 0
    try:
        for offset, line in journal.lines_newest_first(registry.inference_journal):
            read += len(line)
            if filename.encode() in line:
                record = record_lines.decode_slim(line, offset)
                if isinstance(record, InferenceRecord) and record.model_used == filename and record.drift is not None:
                    return drift.sentence(record.drift) or f"no drift, {formatting.number(record.drift.rows)} rows"
            if read > _FAR:
                break
    except (OSError, Refused):
        return None
    return None


def _metrics(candidate: Lineage, served: Lineage | None) -> list[Change]:
    goals = dict(metrics.goals_of(candidate))
    for name, goal in metrics.goals_of(served).items() if served is not None else ():
        goals.setdefault(name, goal)
    found = []
    for name, goal in list(goals.items())[: metrics.MOST_SHOWN]:
        mine, theirs = (metrics.finite((one.metrics or {}).get(name)) if one else None for one in (candidate, served))
        better = metrics.better(candidate, served, name) if served is not None else None
        verdict: Literal["better", "worse"] | None = (
            None if better is None else "better" if better == "left" else "worse"
        )
        words = {"maximize": "more is better", "minimize": "less is better"}.get(goal)
        found.append(Change(name, formatting.number(mine), formatting.number(theirs), verdict, words))
    return found


def _gate(models: Path, candidate: Lineage, environment: str) -> str | None:
    try:
        gate = quality_gate.read(models, environment, candidate.name)
        where = quality_gate.where(environment, candidate.name)
        return gate.failing(where, candidate.metrics or {}, metrics.goals_of(candidate))
    except (Refused, OSError) as error:
        return str(error)


def _estimator(record: Lineage) -> str | None:
    return (record.parameters or {}).get("estimator")


def _text(value: object) -> str:
    return formatting.number(value) if isinstance(value, int) else str(value or formatting.UNKNOWN)
