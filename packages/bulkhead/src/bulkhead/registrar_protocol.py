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
from bulkhead.registry.notes import Note, Tag
from bulkhead.registry.records import Evidence

SOCKET_VARIABLE = "BULKHEAD_REGISTRAR_SOCKET"
DEFAULT_SOCKET = "/run/bulkhead/registrar/registrar.sock"

PAGE_SOCKET_VARIABLE = "BULKHEAD_PAGE_SOCKET"
DEFAULT_PAGE_SOCKET = "/run/bulkhead/page/page.sock"
"""A socket of its own, in a volume that nobody but the registrar and the API server has: what is asked there is in the
name of a person whom the API server knows."""

NOTES_ROLE = "registrar_notes"
"""The registrar's role in Airflow's database that writes the notes of runs, and nothing else."""

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


class AnnotateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /annotate``, on the page's socket alone: have a note or a tag of a model recorded."""

    kind: Literal["note", "tag"]
    model_filename: str
    by: str
    """The person's login."""
    text: str | None = None
    """Of a note."""
    key: str | None = None
    """Of a tag."""
    value: str | None = None
    """Of a tag; None: it is taken away."""


class Annotated(msgspec.Struct, frozen=True):
    """What was recorded, or had been before."""

    note: Note | None = None
    tag: Tag | None = None


class Answered(msgspec.Struct, frozen=True):
    """The answer to ``/fail`` and ``/unapproved``."""

    sentence: str
    is_new: bool = True


class RegistrarHealth(msgspec.Struct, frozen=True):
    """``GET /health``: that it answers, and what it waits for."""

    state: str
    """``ready``, or ``waiting``."""
    trouble: str | None = None
    """What it waits for."""
    broken: str | None = None
    """Why a person has to look: the journals are not those that it saw last; None: they are."""


class SeenHead(msgspec.Struct, frozen=True):
    """The last line of a journal, as the registrar saw it last. ``GET /chain`` gives one for each journal, or null."""

    seq: int
    hash: str
    seen_at: str
