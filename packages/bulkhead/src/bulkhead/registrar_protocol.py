"""What the registrar is asked, and what it answers: JSON over its socket.

Each request may be repeated: what is recorded is recorded once. Status 503 says that the registrar cannot answer now
(Postgres is away, or the logs have to be looked at by a person); whoever asks waits, and asks again.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bulkhead.identity import Identity
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.paths import JournalName
from bulkhead.registry.records import Evidence

SOCKET_VARIABLE = "BULKHEAD_REGISTRAR_SOCKET"
DEFAULT_SOCKET = "/run/bulkhead/registrar/registrar.sock"

LONGEST_RESULT = 48 << 10
"""Bytes of a result as the registrar hands it on: it ends in Airflow's database."""

Verdict = Literal["recorded", "adopted", "superseded", "none", "refused"]
"""``recorded``: this container's proposal is the outcome. ``adopted``: the outcome was there, and it is the task's.
``superseded``: the task was ended, or given to another try; nothing that this container made counts. ``none``: the step
leaves files alone. ``refused``: the proposal cannot be recorded; ``failed`` says why."""


class LookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /look``: what is known of a try's logical task."""

    try_id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


class FailedOutcome(msgspec.Struct, frozen=True):
    """Why a proposal was refused."""

    cause: str
    detail: str
    retry: bool


class Concluded(msgspec.Struct, frozen=True):
    """What has come of a container that ended well, or of a logical task."""

    verdict: Verdict
    facts: dict[str, Any] = {}
    """As in a result file, of what was recorded."""
    result: dict[str, Any] | None = None
    """The result as plain values, without its proposal; of bounded size."""
    sentence: str = ""
    """One line for the task's log."""
    failed: FailedOutcome | None = None


class Looked(msgspec.Struct, frozen=True):
    """What is known of a try's logical task."""

    first_try: str
    """The key of its outcome."""
    outcome: Concluded | None = None
    ended: str | None = None
    """How it has ended in Airflow by now: ``failed``, ``success``, ``cleared``, ``deleted``, ...; None: it has not."""
    elsewhere: str | None = None
    """Another host than the one that asks, which has a container of it; None: none is known."""


class ConcludeRequest(msgspec.Struct, frozen=True):
    """``POST /conclude``: have the proposal of a container that ended well recorded."""

    container: str


class FailedReport(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed."""

    cause: str
    detail: str
    retry: bool = False
    evidence: Evidence = Evidence()
    metrics: dict[str, Any] | None = None


class FailRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /fail``: have a failed attempt recorded, once for each try."""

    container: str | None
    """Its labels say whose attempt it was; None, or one that has gone: what follows does."""
    identity: Identity
    try_id: str
    environment: str
    model_name: str = DEFAULT_NAME
    journal: JournalName
    failed: FailedReport


class UnapprovedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /unapproved``: have a promotion recorded that nobody approved; asked by the approval's own task."""

    identity: Identity
    try_id: str


class Answered(msgspec.Struct, frozen=True):
    """The answer to ``/fail`` and ``/unapproved``."""

    sentence: str
    is_new: bool = True


class SeenHead(msgspec.Struct, frozen=True):
    """The last line of a journal, as the registrar saw it last. ``GET /chain`` gives one for each journal, or null."""

    seq: int
    hash: str
    seen_at: str
