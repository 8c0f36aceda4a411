"""What a step proposes: the outcome that it would like to have recorded.

A proposal is a part of the result file. It says what the step has made, and nothing of who the step is: that is known
better elsewhere. Whoever records it (:mod:`bulkhead.registry.recording`) believes none of it that can be looked at.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bulkhead.registry.lineage import Lineage
from bulkhead.registry.records import InferenceRecord


class ModelProposal(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="model"):
    """Publish a model."""

    lineage: Lineage
    """Its own identity counts for nothing."""
    path: str
    """The model's file, relative to the run folder."""
    sha256: str
    size_bytes: int
    model_hash: str
    """``joblib.hash`` of the fitted model."""
    serve: bool = True
    """Whether its environment is to serve it from then on."""
    allow_unmeasured: bool = False
    """Whether it may pass the gate unmeasured in this run, whatever the gate's settings."""
    allow_signature_change: bool = False
    """Whether it may follow a served model of another signature in this run, whatever the gate's settings."""


class InferenceProposal(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="inference"):
    """Record an inference."""

    record: InferenceRecord
    """Its identity and environment count for nothing."""
    path: str
    """The predictions file, relative to the run folder."""


class PromotionProposal(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="promotion"):
    """Serve a model in the step's environment too."""

    model_filename: str
    reason: str
    replacing: str | None = None
    """The file that the environment must be serving (``none``: nothing); None: whatever it serves."""
    by: str | None = None
    """Who decides, as the step was told; counts only by hand."""
    libraries: dict[str, str] | None = None
    """Versions that the smoke prediction ran with."""


class RollbackProposal(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="rollback"):
    """Serve an earlier model of the step's environment again."""

    reason: str
    to: str | None = None
    """An earlier model file; None: the good one before the one now served."""
    by: str | None = None
    """As in :class:`PromotionProposal`."""


class RevocationProposal(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="revocation"):
    """Take a model out of service for ever, in every environment."""

    model_filename: str
    reason: str
    by: str | None = None
    """As in :class:`PromotionProposal`."""


class FailureProposal(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="failure"):
    """Record why the step failed."""

    cause: str
    detail: str
    metrics: dict[str, Any] | None = None
    """Of a model that was measured, and then not published."""
    source: str | None = None
    """The table, as it was asked for."""


SuccessProposal = ModelProposal | InferenceProposal | PromotionProposal | RollbackProposal | RevocationProposal
Proposal = SuccessProposal | FailureProposal

EXPECTED: dict[str, type[SuccessProposal]] = {
    "train_model": ModelProposal,
    "model_inference": InferenceProposal,
    "promote_model": PromotionProposal,
    "rollback_model": RollbackProposal,
    "revoke_model": RevocationProposal,
}
"""By the step's command, the one kind of outcome that it may propose; any other step may propose none."""
