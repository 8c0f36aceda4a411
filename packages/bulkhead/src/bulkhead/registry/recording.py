"""From a step's proposal to its outcome: the one function that does it, for the registrar and by hand.

Who the step is, and for which environment, comes from whoever calls; of the proposal nothing is believed that can be
looked at. Models are copied and hashed, never unpickled.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import clock, untrusted
from bulkhead.errors import NotGoodEnough, NotVerified, Refused
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.registry import believable, bounded, decisions, drift, lock, publishing, quality_gate
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.proposals import (
    InferenceProposal,
    ModelProposal,
    PromotionProposal,
    RevocationProposal,
    RollbackProposal,
)
from bulkhead.registry.records import ModelRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bulkhead.identity import Identity
    from bulkhead.registry.lineage import Lineage
    from bulkhead.registry.proposals import SuccessProposal
    from bulkhead.registry.records import InferenceRecord, Revocation, Rollback, Success
    from bulkhead.registry.store import Registry


@dataclass(frozen=True, kw_only=True)
class Author:
    """Whose outcome it is, as whoever records it knows."""

    identity: Identity
    environment: str
    model_name: str = DEFAULT_NAME
    first_try: str | None = None
    """The key of the outcome; None: by hand, where each run has an outcome of its own."""
    by: str | None = None
    """Who decides; None: what the proposal says, which is right by hand alone."""
    requested_by: str | None = None
    approval: str | None = None
    """Which of Airflow's requests for approval was answered; None: by hand."""


@dataclass(frozen=True)
class Recorded:
    """The outcome of a logical task."""

    record: Success
    is_new: bool
    """Whether it is this proposal's; otherwise an earlier one's, and nothing of this one is published."""
    warning: str | None = None
    """What whoever published or promoted should know."""


def record(  # what the registrar says, and by hand has defaults
    registry: Registry,
    proposal: SuccessProposal,
    author: Author,
    run_folder: Path,
    existing: Callable[[], Success | None] = lambda: None,
    holding: Callable[[], AbstractContextManager[None]] | None = None,
) -> Recorded:
    """Make ``proposal`` the outcome of ``author``'s logical task, unless that has one.

    Args:
        registry: where; its key signs.
        proposal: what the step has left.
        author: whose it is.
        run_folder: where the step's files are.
        existing: the outcome of the logical task; asked with the registry's lock held.
        holding: holds the registry's lock; the lock alone, if not given.

    Raises:
        NotGoodEnough: the model does not pass the gate.
        Drifted: the inference's input is too far from training's.
        LockHeld: somebody has held the registry's lock for too long; nothing was recorded.
        Refused: the proposal is not what it should be, or what it asks for cannot be.
        OSError: the registry cannot be written; nothing was recorded.
    """
    with (
        _prepared(registry, proposal, author, run_folder) as make,
        (holding or partial(lock.locked, registry.folder))(),
    ):
        if (found := existing()) is not None:
            return Recorded(found, is_new=False)
        made = make()
    return Recorded(made, is_new=True, warning=_warning(registry, made))


def _warning(registry: Registry, made: Success) -> str | None:
    if isinstance(made, ModelRecord):
        with suppress(Refused, OSError):  # it is recorded, whatever else cannot be read
            return decisions.revoked_twin(registry, made)
    return None


@contextmanager
def _prepared(
    registry: Registry, proposal: SuccessProposal, author: Author, run_folder: Path
) -> Iterator[Callable[[], Success]]:
    """What records ``proposal``, once all is done that takes long with a large file: nobody waits for that."""
    match proposal:
        case ModelProposal():
            lineage = believable.lineage(proposal.lineage)
            model_hash = believable.model_hash(proposal.model_hash)
            digest = believable.sha256("sha256", proposal.sha256)
            lineage = msgspec.structs.replace(lineage, model_name=author.model_name, **_identity(author))
            gate_sha256 = _pass_gate(registry, proposal, lineage, author)
            with publishing.copied(
                registry.folder,
                run_folder,
                proposal.path,
                model_hash=model_hash,
                sha256=digest,
                size_bytes=proposal.size_bytes,
            ) as copy:
                yield partial(
                    publishing.publish,
                    registry,
                    copy,
                    model_hash=model_hash,
                    environment=author.environment,
                    lineage=lineage,
                    gate_sha256=gate_sha256,
                    serve=None if proposal.serve else False,
                    first_try=author.first_try,
                )
        case InferenceProposal():
            made = _predicted(proposal, author, run_folder)
            seen = registry.journal_size("training")
            model = _check_model(registry, made)  # it may be far from the end of the log, or not in it
            made = _judged(registry, made, model, author)
            believable.size(made)
            yield partial(_infer, registry, made, seen)
        case PromotionProposal():
            yield partial(_promote, registry, proposal, author)
        case RollbackProposal():
            yield partial(_roll_back, registry, proposal, author)
        case RevocationProposal():
            yield partial(_revoke, registry, proposal, author)


def _pass_gate(registry: Registry, proposal: ModelProposal, lineage: Lineage, author: Author) -> str | None:
    """The hash of the gate that ``lineage`` passes."""
    gate, gate_sha256 = quality_gate.read_hashed(registry.folder, author.environment, author.model_name)
    served = registry.served(author.environment, author.model_name)
    failing = quality_gate.failing(gate, proposal, lineage, served, author.environment)
    if failing is not None:
        raise NotGoodEnough(failing, {**(lineage.metrics or {}), "gate": lineage.gate})
    return gate_sha256


def _predicted(proposal: InferenceProposal, author: Author, run_folder: Path) -> InferenceRecord:
    """The record of an inference, whose predictions are what the step says that it wrote."""
    given = believable.inference(proposal.record)
    path = f"{author.identity.run_path}/{proposal.path}"
    try:
        with untrusted.open_file(run_folder, proposal.path, called=path) as file:
            untrusted.check_whole(file.fileno(), path)
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise Refused(f"{path} is missing, and no inference is recorded without it. Run the step again.") from None
    except OSError as error:
        if untrusted.is_steps_fault(error):
            raise Refused(f"{path} cannot be read ({error.strerror}). Nothing is recorded.") from None
        raise
    if found != given.output_sha256:
        raise Refused(f"{path} is not what the step says it has written. Nothing is recorded. Run the step again.")
    return msgspec.structs.replace(
        given,
        inference_time=clock.in_record(clock.now()),  # when it is recorded; the step could say any
        environment=author.environment,
        model_name=author.model_name,
        predictions_path=path,
        first_try=author.first_try,
        **_identity(author),
    )


def _infer(registry: Registry, made: InferenceRecord, seen: int) -> InferenceRecord:
    if registry.journal_size("training") != seen:  # something was recorded meanwhile: the model may be revoked
        _check_model(registry, made)
    registry.record_inference(made)
    return made


def _judged(registry: Registry, made: InferenceRecord, model: ModelRecord, author: Author) -> InferenceRecord:
    """``made`` with its drift judged by the gate of now: the figures are the step's, what they mean is not."""
    gate = quality_gate.read(registry.folder, author.environment, author.model_name).drift
    if made.drift is None:
        if gate.refuse is not None and model.profile is not None:
            raise Refused(
                f"the step does not say how far its input is from training's, and drift.refuse is {gate.refuse:g} in"
                f" {quality_gate.SHOWN}. Nothing is recorded. Run generate_inf_data and the steps after it again."
            )
        return made
    if model.profile is None:
        raise Refused(
            f"the step says how far its input is from a profile that {model.model_filename} does not have. Nothing is"
            " recorded. Run the step again."
        )
    bounded.drift(made.drift, model.profile)
    found = drift.judged(made.drift, model.profile, gate)
    where = quality_gate.where(author.environment, author.model_name)
    drift.refuse(found, model.profile, gate, where, quality_gate.SHOWN)
    return msgspec.structs.replace(made, drift=found)


def _check_model(registry: Registry, made: InferenceRecord) -> ModelRecord:
    model = registry.find(made.model_used, made.environment)
    if model.name != made.model_name:
        raise Refused(
            f"{made.model_used} is a version of the model {model.name}, and this run is for {made.model_name}."
            " Nothing is recorded. Name a version of that one."
        )
    if model.sha256 is None:
        raise NotVerified(
            f"{made.model_used}: its record in models/log.txt has no sha256 (a legacy record), so nothing can have"
            " been predicted with it. Nothing is recorded. Train a new model, and use that."
        )
    if (made.model_hash, made.model_sha256) != (model.model_hash, model.sha256):
        raise NotVerified(
            f"{made.model_used}: the step says that it predicted with a file of other hashes than the one that"
            " models/log.txt records. Nothing is recorded. Run the step again."
        )
    believable.predictions(made.predictions or [], model.classes)
    return model


def _promote(registry: Registry, proposal: PromotionProposal, author: Author) -> ModelRecord:
    return decisions.promote(
        registry,
        proposal.model_filename,
        _context(proposal.by, proposal.reason, author),
        lambda *_: proposal.libraries or {},
        environment=author.environment,
        replacing=proposal.replacing,
    )


def _roll_back(registry: Registry, proposal: RollbackProposal, author: Author) -> Rollback:
    context = _context(proposal.by, proposal.reason, author)
    return decisions.roll_back(registry, author.environment, context, proposal.to, name=author.model_name)


def _revoke(registry: Registry, proposal: RevocationProposal, author: Author) -> Revocation:
    context = _context(proposal.by, proposal.reason, author)
    return decisions.revoke(registry, proposal.model_filename, context)


def _context(by: str | None, reason: str, author: Author) -> DecisionContext:
    return DecisionContext(
        by=author.by or by or "",
        reason=reason,
        identity=author.identity,
        requested_by=author.requested_by,
        first_try=author.first_try,
        approval=author.approval,
    )


def _identity(author: Author) -> dict[str, Any]:
    return msgspec.structs.asdict(author.identity)
