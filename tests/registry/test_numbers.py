"""Which number a version has: in its record, by its place where that says none, and whatever a hand has written."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.generated import model
from tests.support.project import CHURN, LEGACY_TRAININGS, lines_of, publish, training_failure

from bulkhead import model_name
from bulkhead.errors import NoModel, Refused
from bulkhead.index.state_reader import StateReader
from bulkhead.queries import references
from bulkhead.queries.references import Ambiguous, filename_of, resolve_model
from bulkhead.registry import decisions, journal, numbering, record_lines
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry

WHY = DecisionContext("ada", "why")


def state_of(registry: Registry) -> RegistryState:
    return RegistryState(journal.read(registry.training_journal))


def numbers(registry: Registry) -> list[str]:
    return [known.short_name for known in state_of(registry).models.values()]


def by_hand(registry: Registry, record: ModelRecord, **changes: Any) -> None:
    """Append ``record``, changed as a hand can change a line."""
    content = json.loads(record_lines.encode(record)) | changes
    with registry.training_journal.open("ab") as log:
        log.write(json.dumps(content).encode() + b"\n")


def test_each_name_is_counted_by_itself_over_all_environments(empty_registry: Registry) -> None:
    publish(empty_registry, "dev", "a")
    publish(empty_registry, "prd", "b", **CHURN)
    publish(empty_registry, "prd", "c")
    empty_registry.record_failure("training", training_failure())
    publish(empty_registry, "dev", "d", **CHURN)
    assert [line.get("version") for line in lines_of(empty_registry.training_journal)] == [1, 1, 2, None, 2]
    assert numbers(empty_registry) == ["model #1", "churn #1", "model #2", "churn #2"]


def test_a_promotion_and_a_revocation_keep_the_number_and_give_none(empty_registry: Registry) -> None:
    first = publish(empty_registry, "dev", "a")
    promoted = decisions.promote(empty_registry, first.model_filename, WHY, lambda *_: {})
    decisions.revoke(empty_registry, first.model_filename, WHY)
    assert (promoted.version, promoted.short_name) == (1, "model #1")
    assert publish(empty_registry, "dev", "b").version == 2


def test_records_of_before_are_counted_and_the_next_one_goes_on(registry_of_legacy_records: Registry) -> None:
    assert numbers(registry_of_legacy_records) == ["model #1", "model #2"]
    assert publish(registry_of_legacy_records, "dev", "new").version == 3
    assert publish(registry_of_legacy_records, "prd", "churn", **CHURN).version == 1
    assert publish(registry_of_legacy_records, "dev", "newer").version == 4
    assert numbers(registry_of_legacy_records) == ["model #1", "model #2", "model #3", "churn #1", "model #4"]


@pytest.mark.parametrize("nonsense", [0, -1, 10**12, 10**30])
def test_a_number_that_is_none_is_passed_over(empty_registry: Registry, nonsense: int) -> None:
    publish(empty_registry, "dev", "a")
    by_hand(empty_registry, model("model_x.joblib", "dev"), version=nonsense)
    assert publish(empty_registry, "dev", "b").version == 3
    assert numbers(empty_registry) == ["model #1", "model #2", "model #3"]
    assert empty_registry.find("model_x.joblib").short_name is None


def test_what_a_number_is_the_state_and_the_publication_say_alike(empty_registry: Registry) -> None:
    """Whatever mixture a hand has made: the next number is the one that the state would give it."""
    for number, version in enumerate([None, 7, None, 0, 7, None, 10**30, 3, None]):
        by_hand(empty_registry, model(f"model_{number}.joblib", "dev"), version=version)
        state = state_of(empty_registry)
        following = model("next.joblib", "dev")
        assert numbering.next_number(empty_registry.training_journal, "model") == state.next_number(following)
        reader = StateReader(empty_registry.folder)
        reader.wait()
        with reader.reading() as read:
            assert read is not None
            assert [one.version for one in read.summaries] == [known.number for known in state.models.values()]
        reader.close()


def test_a_doubled_number_is_told_with_its_candidates_and_breaks_nothing(empty_registry: Registry) -> None:
    first = publish(empty_registry, "dev", "a", **CHURN)
    by_hand(empty_registry, model("model_double.joblib", "dev", model_name="churn"), version=1)
    with pytest.raises(Ambiguous) as told:
        resolve_model(state_of(empty_registry), "churn #1")
    sentence = str(told.value)
    assert sentence.startswith("'churn #1' is the short name of 2 models: churn #1 (model_double.joblib), churn #1 (")
    assert first.model_filename in sentence
    assert resolve_model(state_of(empty_registry), first.model_filename).record.model_filename == first.model_filename
    assert empty_registry.latest("dev", "churn").model_filename == "model_double.joblib"


@pytest.fixture
def two_names(empty_registry: Registry) -> Registry:
    for number in range(3):
        publish(empty_registry, "dev", f"plain {number}")
    for number in range(2):
        publish(empty_registry, "prd", f"churn {number}", **CHURN)
    return empty_registry


@pytest.mark.parametrize("name", ["churn #2", "churn#2", "  churn  # 2 ", "churn #2\n"])
def test_a_short_name_is_taken_with_blanks_and_without(two_names: Registry, name: str) -> None:
    newest = two_names.latest("prd", "churn").model_filename
    assert filename_of(two_names, name) == newest
    assert resolve_model(state_of(two_names), name).record.model_filename == newest


def test_a_number_alone_means_the_one_model_that_has_so_many_versions(two_names: Registry) -> None:
    assert filename_of(two_names, "#3") == two_names.latest("dev").model_filename
    with pytest.raises(Ambiguous, match="Name the model before the number, or its file"):
        filename_of(two_names, "#2")
    assert filename_of(two_names, "#2", "churn") == two_names.latest("prd", "churn").model_filename


def test_a_hash_prefix_and_a_file_name_are_taken(two_names: Registry) -> None:
    record = two_names.latest("prd", "churn")
    for name in (record.model_hash[:6], record.model_filename, f"models/{record.model_filename}"):
        assert filename_of(two_names, name) == record.model_filename


@pytest.mark.parametrize(
    "name",
    ["churn #3", "churn #0", "churn #-1", "churn #02", "churn #1.0", "Churn #1", "nobody #1", "#", "churn #", "#9",
     "churn #99999999999999999999", "churn #\u0661", "chürn #1", "churn #1 #2", "", " ", "\x00", "abc", "../log.txt"],
)  # fmt: skip
def test_what_means_no_model_is_told_with_some_that_there_are(two_names: Registry, name: str) -> None:
    with pytest.raises(NoModel) as told:
        filename_of(two_names, name)
    assert "churn #2 (model_" in str(told.value), "the newest there is, or the newest of that model"
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["model", "model #9", "model #x"])
def test_whoever_names_a_model_alone_is_told_its_versions(two_names: Registry, name: str) -> None:
    with pytest.raises(NoModel) as told:
        filename_of(two_names, name)
    assert str(told.value).count("model #") == 3 + ("#" in name)
    assert "churn #1 (" not in str(told.value)


def test_in_an_empty_registry_a_short_name_says_what_to_do(empty_registry: Registry) -> None:
    with pytest.raises(NoModel, match="no model yet, so not 'churn #1' either"):
        filename_of(empty_registry, "churn #1")


def test_a_file_name_is_resolved_without_reading_the_log(two_names: Registry) -> None:
    name = two_names.latest("dev").model_filename
    two_names.training_journal.unlink()
    two_names.training_journal.symlink_to("/dev/null")
    assert filename_of(two_names, name) == name
    with pytest.raises(Refused):
        filename_of(two_names, "churn #1")


def test_ten_thousand_versions_are_numbered_and_named_quickly(empty_registry: Registry) -> None:
    coefficients = {f"column {number}": float(number) for number in range(60)}
    with empty_registry.training_journal.open("wb") as log:
        for number in range(10_000):
            made = model(f"model_{number}.joblib", "dev", coefficients=coefficients, version=number + 1)
            log.write(record_lines.encode(made))
    begun = time.perf_counter()
    state = state_of(empty_registry)
    whole = time.perf_counter() - begun
    begun = time.perf_counter()
    assert numbering.next_number(empty_registry.training_journal, "model") == 10_001
    assert (time.perf_counter() - begun) * 5 < whole, "it reads more than the end"
    begun = time.perf_counter()
    assert resolve_model(state, "model #5000").record.model_filename == "model_4999.joblib"
    assert (time.perf_counter() - begun) * 5 < whole
    assert numbering.next_number(empty_registry.training_journal, "churn") == 1
    assert references.filename_of(empty_registry, "model #1") == "model_0.joblib"


def test_the_model_of_another_version_is_known_as_revoked(empty_registry: Registry) -> None:
    bad, again, other = (publish(empty_registry, "dev", content) for content in ("same", "same", "other"))
    assert state_of(empty_registry).revoked_twin(again.model_filename) is None
    assert decisions.revoked_twin(empty_registry, again) is None
    decisions.revoke(empty_registry, bad.model_filename, WHY)
    state = state_of(empty_registry)
    twins = [state.revoked_twin(one.model_filename) for one in (bad, again, other)]
    assert [twin and twin.record.model_filename for twin in twins] == [None, bad.model_filename, None]
    said = decisions.revoked_twin(empty_registry, again)
    assert said is not None
    assert f"model #2 ({again.model_filename}) holds the same model as {bad.model_filename}, and it was revoked" in said
    assert (decisions.revoked_twin(empty_registry, bad), decisions.revoked_twin(empty_registry, other)) == (None, None)


def test_a_model_name_in_words() -> None:
    assert model_name.short_name("churn", 12) == "churn #12"
    assert [model_name.is_number(one) for one in (0, 1, 10**9, 10**9 + 1, -5)] == [False, True, True, False, False]
    assert LEGACY_TRAININGS
