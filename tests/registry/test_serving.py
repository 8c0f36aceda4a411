"""What is served: the log read from its beginning and from its end say the same, and decisions move it as they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.project import publish, records_of

from bulkhead.errors import NoModel, NotVerified, OutOfService, Overtaken, Refused
from bulkhead.queries.status import version_statuses
from bulkhead.registry import decisions, serving
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.records import ModelRecord, Record, Revocation, Rollback, TrainingFailure
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from bulkhead.registry.store import Registry

WHY = DecisionContext("ada", "because")
NAMES = ("a", "b", "c", "d")


def model(name: str, environment: str) -> ModelRecord:
    return ModelRecord(model_hash=name, model_filename=name, training_timestamp="t", environment=environment)


def revocation(name: str) -> Revocation:
    return Revocation(revocation_time="t", model_filename=name, model_hash=name, by="b", reason="r")


environments = st.sampled_from(["dev", "prd"])
events = st.one_of(
    st.builds(model, st.sampled_from(NAMES), environments),
    st.builds(
        lambda environment, withdrawn: Rollback(
            rollback_time="t", environment=environment, model_filename="x", withdrawn=withdrawn, by="b", reason="r"
        ),
        environments,
        st.lists(st.sampled_from(NAMES), max_size=4),
    ),
    st.builds(revocation, st.sampled_from(NAMES)),
    st.builds(TrainingFailure, error_timestamp=st.just("t"), detail=st.just("d")),
)


@given(history=st.lists(events, max_size=30))
def test_a_log_read_from_its_end_names_the_same_served_model_as_one_read_whole(history: list[Record]) -> None:
    # Nothing publishes a revoked model again: decisions.promote looks under the log's lock.
    revoked: set[str] = set()
    possible = []
    for event in history:
        if isinstance(event, Revocation):
            revoked.add(event.model_filename)
        if not (isinstance(event, ModelRecord) and event.model_filename in revoked):
            possible.append(event)
    state = RegistryState(possible)
    for environment in ("dev", "prd"):
        assert serving.served(reversed(possible), environment) is state.served(environment)


@given(history=st.lists(events, max_size=30))
def test_each_environment_serves_at_most_one_model_and_its_first_state_says_so(history: list[Record]) -> None:
    state = RegistryState(history)
    told = version_statuses(state, Path("nowhere"))
    assert [s.record for s in told] == [record for record in history if isinstance(record, ModelRecord)]
    for environment in ("dev", "prd"):
        served = [s for s in told if s.served and s.record.environment == environment]
        assert [s.record for s in served] == state.serving_order(environment)[:1]
        assert [s for s in told if s.states[0] == "served" and s.record.environment == environment] == served


def rolled_back(registry: Registry, to: str | None = None) -> str:
    decisions.roll_back(registry, "prd", WHY, to)
    return registry.latest("prd").model_filename


def three_models(registry: Registry) -> list[str]:
    return [publish(registry, "prd", model=number).model_filename for number in range(3)]


def test_each_rollback_goes_one_further_back_until_there_is_nothing_left(empty_registry: Registry) -> None:
    first, second, third = three_models(empty_registry)
    assert empty_registry.latest("prd").model_filename == third
    assert rolled_back(empty_registry) == second
    assert rolled_back(empty_registry) == first
    before = empty_registry.training_journal.read_bytes()
    with pytest.raises(Refused, match="no earlier good model"):
        rolled_back(empty_registry)
    assert empty_registry.training_journal.read_bytes() == before


def test_a_model_published_after_a_rollback_is_served_and_rolls_back_to_where_it_was(empty_registry: Registry) -> None:
    first, second, _third = three_models(empty_registry)
    assert rolled_back(empty_registry) == second
    fourth = publish(empty_registry, "prd").model_filename
    assert empty_registry.latest("prd").model_filename == fourth
    assert rolled_back(empty_registry) == second, "the withdrawn third is never come back to"
    assert rolled_back(empty_registry) == first


def test_a_rollback_to_a_named_model_withdraws_everything_above_it(empty_registry: Registry) -> None:
    first, second, third = three_models(empty_registry)
    assert rolled_back(empty_registry, to=first) == first
    record = records_of(empty_registry.training_journal)[-1]
    assert record.withdrawn == [third, second]
    with pytest.raises(Refused, match="not below what prd serves"):
        rolled_back(empty_registry, to=third)


def test_a_rollback_passes_over_revoked_missing_and_altered_models(empty_registry: Registry) -> None:
    good, altered, missing, revoked, _served = [
        publish(empty_registry, "prd", model=number).model_filename for number in range(5)
    ]
    (empty_registry.folder / altered).chmod(0o644)
    (empty_registry.folder / altered).write_bytes(b"another")
    (empty_registry.folder / missing).unlink()
    decisions.revoke(empty_registry, revoked, WHY)
    assert rolled_back(empty_registry) == good
    assert records_of(empty_registry.training_journal)[-1].withdrawn == [_served, missing, altered]


@pytest.mark.parametrize("trouble", ["missing", "altered", "revoked"])
def test_a_rollback_to_a_named_model_that_is_not_good_is_refused_by_its_reason(
    trouble: str, empty_registry: Registry
) -> None:
    _first, second, _third = three_models(empty_registry)
    match trouble:
        case "missing":
            (empty_registry.folder / second).unlink()
        case "altered":
            (empty_registry.folder / second).chmod(0o644)
            (empty_registry.folder / second).write_bytes(b"another")
        case _:
            decisions.revoke(empty_registry, second, WHY)
    before = empty_registry.training_journal.read_bytes()
    with pytest.raises(Refused, match={"altered": "not the file"}.get(trouble, trouble)):
        rolled_back(empty_registry, to=second)
    assert empty_registry.training_journal.read_bytes() == before


def test_a_revoked_model_leaves_its_predecessor_serving_in_every_environment(empty_registry: Registry) -> None:
    first_dev, first_prd = (publish(empty_registry, env).model_filename for env in ("dev", "prd"))
    bad = publish(empty_registry, "dev", model="bad").model_filename
    decisions.promote(empty_registry, bad, WHY, lambda *_: {})
    assert empty_registry.latest("prd").model_filename == bad
    decisions.revoke(empty_registry, bad, WHY)
    assert empty_registry.latest("prd").model_filename == first_prd
    assert empty_registry.latest("dev").model_filename == first_dev
    with pytest.raises(OutOfService, match=r"revoked by ada on .*: because"):
        empty_registry.find(bad)
    with pytest.raises(OutOfService, match="revoked by ada"):
        decisions.promote(empty_registry, bad, WHY, lambda *_: {})
    with pytest.raises(OutOfService, match="nothing to do"):
        decisions.revoke(empty_registry, bad, WHY)


def test_the_only_model_revoked_leaves_nothing_served(registry_with_a_model: Registry) -> None:
    decisions.revoke(registry_with_a_model, registry_with_a_model.latest("prd").model_filename, WHY)
    with pytest.raises(NoModel, match="every model of the environment prd was revoked, rolled back or"):
        registry_with_a_model.latest("prd")


def test_a_promotion_is_the_same_file_with_a_record_that_says_where_from_who_and_why(
    registry_with_two_models: Registry,
) -> None:
    prd, dev = (registry_with_two_models.latest(env) for env in ("prd", "dev"))
    promoted = decisions.promote(
        registry_with_two_models, dev.model_filename, WHY, lambda *_: {"numpy": "2.5"}, replacing=prd.model_filename
    )
    assert registry_with_two_models.latest("prd") == promoted
    assert promoted.sha256 == dev.sha256
    assert (promoted.run_id, promoted.data, promoted.metrics) == (dev.run_id, dev.data, dev.metrics)
    promotion = promoted.promotion
    assert promotion is not None
    assert (promotion.origin, promotion.replaces, promotion.by, promotion.reason) == (
        *("dev", prd.model_filename),
        *("ada", "because"),
    )
    assert promotion.libraries == {"numpy": "2.5"}
    assert registry_with_two_models.latest("dev") == dev


def test_a_promotion_that_its_check_refuses_changes_nothing(registry_with_two_models: Registry) -> None:
    def check(*_: object) -> dict[str, str]:
        raise NotVerified("the file is another one. Train a new model.")

    before = registry_with_two_models.training_journal.read_bytes()
    with pytest.raises(NotVerified):
        decisions.promote(registry_with_two_models, registry_with_two_models.latest("dev").model_filename, WHY, check)
    assert registry_with_two_models.training_journal.read_bytes() == before


def test_a_promotion_during_which_another_model_is_published_is_overtaken(registry_with_two_models: Registry) -> None:
    def check(*_: object) -> dict[str, str]:
        publish(registry_with_two_models, "prd", model="newer")
        return {}

    dev = registry_with_two_models.latest("dev").model_filename
    with pytest.raises(Overtaken, match="another decision or training came first"):
        decisions.promote(registry_with_two_models, dev, WHY, check)
    assert registry_with_two_models.latest("prd").promotion is None
    assert len(records_of(registry_with_two_models.training_journal)) == 3


def test_a_promotion_during_which_its_model_is_revoked_is_refused(registry_with_two_models: Registry) -> None:
    dev = registry_with_two_models.latest("dev").model_filename

    def check(*_: object) -> dict[str, str]:
        decisions.revoke(registry_with_two_models, dev, WHY)
        return {}

    with pytest.raises(OutOfService, match="revoked"):
        decisions.promote(registry_with_two_models, dev, WHY, check)


def test_a_promotion_of_a_prd_model_or_of_what_is_served_already_is_refused(registry_with_two_models: Registry) -> None:
    prd, dev = (registry_with_two_models.latest(env).model_filename for env in ("prd", "dev"))
    with pytest.raises(Refused, match=r"serves .* already"):
        decisions.promote(registry_with_two_models, prd, WHY, lambda *_: {})
    decisions.promote(registry_with_two_models, dev, WHY, lambda *_: {})
    with pytest.raises(NoModel, match="is a prd model, and dev was asked for"):
        decisions.promote(registry_with_two_models, prd, WHY, lambda *_: {})
