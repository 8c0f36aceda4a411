"""What people decide about published models: promote, roll back, revoke.

Each decision is one appended line of ``log.txt``, written under the registry's lock after a second look at
what is served. Of many decisions taken on the same view of an environment one is written, and every
other is told what came in between.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock, environments
from bulkhead.errors import NoModel, OutOfService, Overtaken, Refused, one_line
from bulkhead.identity import Identity
from bulkhead.model_name import DEFAULT_NAME, named
from bulkhead.registry import journal, metrics, quality_gate, record_lines, serving
from bulkhead.registry.records import Promotion, Revocation, Rollback
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhead.registry.records import ModelRecord, Rejection
    from bulkhead.registry.store import Registry

    Check = Callable[[Registry, ModelRecord], dict[str, str]]
    """Raises what would make serving the model fail; returns the library versions that it checked with."""

LONGEST_REASON = 500


class DecisionContext(msgspec.Struct, frozen=True):
    """Who decides, why, and in which task of Airflow.

    Raises:
        Refused: ``by`` or ``reason`` is empty or too long.
    """

    by: str
    reason: str
    identity: Identity = Identity()
    requested_by: str | None = None
    """Who asked for a promotion, as Airflow says; None: nobody but who decides."""
    first_try: str | None = None
    """The key of the outcome, where the task of Airflow has one."""
    approval: str | None = None
    """Which of Airflow's requests for approval was answered; None: by hand."""

    def __post_init__(self) -> None:
        for what, text in (("who decides", self.by), ("the reason", self.reason)):
            if not text.strip():
                raise Refused(f"{what} is empty; the record keeps it. Name it.")
            if len(text) > LONGEST_REASON:
                raise Refused(f"{what} has {len(text)} characters, and {LONGEST_REASON} are kept. Give fewer.")


def promotable(registry: Registry, filename: str, environment: str) -> ModelRecord:
    """The record of the model ``filename`` in the environment that ``environment`` promotes from.

    ``environment`` does not serve it, and its gate lets it pass.

    What its record says is judged; the served model is not measured beside it, since the rows are gone.

    Raises:
        Refused: why not.
    """
    origin = environments.origin_of(environment)
    # Of whatever environment: that it is served already is said of one that was trained there too.
    if _served(registry, environment, registry.find(filename).name) == filename:
        raise Refused(f"{environment} serves {filename} already. There is nothing to do.")
    record = registry.find(filename, origin)
    _pass_gate(registry, record, environment)
    return record


def _pass_gate(registry: Registry, record: ModelRecord, environment: str) -> str | None:
    """Refuse what the gate of ``environment`` does not let pass; returns the hash of the settings that judged."""
    gate, gate_sha256 = quality_gate.read_hashed(registry.folder, environment, record.name)
    place = quality_gate.where(environment, record.name)
    try:
        failing = gate.failing(place, record.metrics or {}, metrics.goals_of(record))
    except Refused as error:
        failing = str(error)
    if failing is not None:
        raise Refused(f"{record.model_filename}: {failing}")
    return gate_sha256


def promote(
    registry: Registry,
    filename: str,
    context: DecisionContext,
    check: Check,
    *,
    environment: str = environments.LAST,
    replacing: str | None = None,
) -> ModelRecord:
    """Serve a model in the next environment of the promotion path too: the same file, a new record.

    Args:
        registry: where.
        filename: the model file, of the environment that ``environment`` promotes from.
        context: who and why.
        check: refuses what serving the model would; returns the library versions that it ran with.
        environment: where it is promoted to.
        replacing: the file that ``environment`` must be serving now (``none``: nothing); None: whatever it serves.

    Returns:
        The record in ``environment``.

    Raises:
        Refused: there is no such model, it cannot be served, or ``environment`` serves it already.
        Overtaken: what ``environment`` serves is not, or no longer, what this decision was taken on.
        OSError: the journal cannot be written; it is as it was.
    """
    origin = environments.origin_of(environment)
    name = registry.find(filename).name
    seen = _served(registry, environment, name)
    if replacing is not None and (seen or "none") != replacing:
        raise Overtaken(f"{environment} serves {seen or 'nothing'}, not {replacing}. Look at it, then decide again.")
    record = promotable(registry, filename, environment)
    libraries = check(registry, record)
    with registry.locked("training") as trainings:
        now = _served(registry, environment, name)
        if now != seen:
            raise Overtaken(
                f"{environment} served {seen or 'nothing'} when this promotion began, and serves {now or 'nothing'}"
                " now: another decision or training came first. Look at it, then promote again."
            )
        registry.find(filename, origin)  # revoked or removed meanwhile?
        gate_sha256 = _pass_gate(registry, record, environment)  # the check took its time: the settings may be others
        promotion = Promotion(
            **msgspec.structs.asdict(context.identity),
            promotion_time=clock.in_record(clock.now()),
            origin=origin,
            replaces=seen,
            by=one_line(context.by),
            reason=one_line(context.reason),
            libraries=libraries,
            requested_by=context.requested_by,
            gate_sha256=gate_sha256,
            first_try=context.first_try,
            approval=context.approval,
        )
        promoted = msgspec.structs.replace(record, environment=environment, promotion=promotion)
        trainings.append(promoted)
    return promoted


def roll_back(
    registry: Registry, environment: str, context: DecisionContext, to: str | None = None, *, name: str | None = None
) -> Rollback:
    """Serve in ``environment`` the good version before the one that it serves now, or the earlier one named ``to``.

    Good is a model whose file is there and is the one that was published.

    Args:
        registry: where.
        environment: whose served version changes.
        context: who and why.
        to: an earlier version's file; None: the good one before the served one.
        name: of which model; None: of the one that ``to`` is a version of, else of the project's first.

    Returns:
        The record.

    Raises:
        Refused: there is no such earlier model, or ``to`` is not good.
        Overtaken: another decision or training came first.
        OSError: the journal cannot be written; it is as it was.
    """
    if to is not None:
        found = registry.find(to, environment).name  # its own sentence where it is unknown or out of service
        if name is not None and name != found:
            raise Refused(f"{to} is a version of the model {found}, not of {name}. 'just registry list' shows them.")
        name = found
    name = name or DEFAULT_NAME
    versions = RegistryState(journal.read(registry.training_journal)).serving_order(environment, name)
    if not versions:
        raise NoModel(
            f"{environment} serves no {named('model', name)}, so there is nothing to roll back from."
            " Train or promote one."
        )
    below = versions[1:]
    if to is not None:
        below = [record for record in below if record.model_filename == to]
        if not below:
            raise Refused(f"{to} is not below what {environment} serves. 'just registry list' shows the order.")
    target, trouble = None, ""
    for record in below:
        try:
            registry.check_file(record)
        except Refused as error:
            trouble = f" {error}"
            continue
        target = record
        break
    if target is None:
        raise Refused(
            f"{environment} has no earlier good model than {versions[0].model_filename}.{trouble} Train or promote one."
        )
    above = itertools.takewhile(lambda record: record is not target, versions)
    withdrawn = [record.model_filename for record in above]
    with registry.locked("training") as trainings:
        # All that is taken off, not its top alone: a rollback and a promotion may have put the same model there.
        now = [
            record.model_filename
            for record in RegistryState(journal.read(registry.training_journal)).serving_order(environment, name)
        ]
        if now[: len(withdrawn) + 1] != [*withdrawn, target.model_filename]:
            raise Overtaken(
                f"{environment} served {versions[0].model_filename} when this rollback began, and serves"
                f" {now[0] if now else 'nothing'} now, or another model below it: another decision or training came"
                " first. Look at it, then decide again."
            )
        registry.find(target.model_filename, environment)  # revoked or removed meanwhile?
        rollback = Rollback(
            **msgspec.structs.asdict(context.identity),
            rollback_time=clock.in_record(clock.now()),
            environment=environment,
            model_filename=target.model_filename,
            withdrawn=withdrawn,
            by=one_line(context.by),
            reason=one_line(context.reason),
            model_name=name,
            first_try=context.first_try,
        )
        trainings.append(rollback)
    return rollback


def revoke(registry: Registry, filename: str, context: DecisionContext) -> Revocation:
    """Take the model ``filename`` out of service for ever, in every environment.

    Returns:
        The record.

    Raises:
        NoModel: there is no such model.
        OutOfService: it was revoked before.
        OSError: the journal cannot be written; it is as it was.
    """
    with registry.locked("training") as trainings:
        model = RegistryState(journal.read(registry.training_journal)).models.get(filename)
        if model is None:
            raise NoModel(f"models/log.txt: no record of a model file {filename!r}. 'just models' lists them.")
        if model.revocation is not None:
            raise OutOfService(f"{filename}: {serving.revoked(model.revocation)}. There is nothing to do.")
        revocation = Revocation(
            **msgspec.structs.asdict(context.identity),
            revocation_time=clock.in_record(clock.now()),
            model_filename=filename,
            model_hash=model.record.model_hash,
            by=one_line(context.by),
            reason=one_line(context.reason),
            first_try=context.first_try,
        )
        trainings.append(revocation)
    return revocation


def revoked_twin(registry: Registry, record: ModelRecord) -> str | None:
    """That the model of ``record`` was revoked before, in another version of it; None: it was not.

    It is told to whoever publishes or promotes, and nobody is refused for it: the reason may not hold any more.
    """
    for offset, line in journal.lines_newest_first(registry.training_journal):
        if b'"revocation_time"' not in line:
            continue
        found = record_lines.decode(line, offset)
        if (
            isinstance(found, Revocation)
            and found.model_hash == record.model_hash
            and found.model_filename != record.model_filename
        ):
            return (
                f"{record.called} holds the same model as {found.model_filename}, and {serving.revoked(found)}."
                " Revoke this one too, or note why not."
            )
    return None


def reject(registry: Registry, rejection: Rejection) -> None:
    """Record that a promotion was not approved.

    Raises:
        OSError: the journal cannot be written; it is as it was.
    """
    with registry.locked("training") as trainings:
        trainings.append(rejection)


def _served(registry: Registry, environment: str, name: str) -> str | None:
    record = registry.served(environment, name)
    return record.model_filename if record else None
