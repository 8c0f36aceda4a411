"""A registry of legacy records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.support.project import publish

from bulkhead import clock
from bulkhead.errors import NotVerified
from bulkhead.registry import journal
from bulkhead.registry.records import InferenceFailure, InferenceRecord, ModelRecord, TrainingFailure

if TYPE_CHECKING:
    from bulkhead.registry.store import Registry


def test_every_legacy_record_is_read(registry_of_legacy_records: Registry) -> None:
    trainings = list(journal.read(registry_of_legacy_records.training_journal))
    inferences = list(journal.read(registry_of_legacy_records.inference_journal))
    assert [type(record) for record in trainings] == [ModelRecord, TrainingFailure, ModelRecord]
    assert [type(record) for record in inferences] == [InferenceRecord, InferenceFailure]


def test_what_an_original_line_lacks_is_none(registry_of_legacy_records: Registry) -> None:
    model, failure, _ = journal.read(registry_of_legacy_records.training_journal)
    assert isinstance(model, ModelRecord)
    assert isinstance(failure, TrainingFailure)
    assert (model.sha256, model.features, model.metrics, model.run_id) == (None, None, None, None)
    assert (failure.detail, failure.environment, failure.cause) == ("division by zero", None, None)
    assert clock.parse(model.training_timestamp) == datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC)


def test_original_predictions_are_kept_as_they_are(registry_of_legacy_records: Registry) -> None:
    inference, failure = journal.read(registry_of_legacy_records.inference_journal)
    assert isinstance(inference, InferenceRecord)
    assert isinstance(failure, InferenceFailure)
    assert inference.predictions == [40.0, 41.0]
    assert inference.rows is None
    assert failure.error_message == "no model"


@pytest.mark.parametrize(("environment", "model_hash"), [("prd", "3f2a"), ("dev", "77aa")])
def test_the_latest_original_model_of_each_environment_is_found(
    environment: str, model_hash: str, registry_of_legacy_records: Registry
) -> None:
    assert registry_of_legacy_records.latest(environment).model_hash == model_hash


def test_an_original_model_is_refused_with_a_sentence(registry_of_legacy_records: Registry) -> None:
    record = registry_of_legacy_records.latest("prd")
    assert (registry_of_legacy_records.folder / record.model_filename).exists()
    with pytest.raises(NotVerified, match=r"has no sha256 .*Train a new model, and use that\.$"):
        registry_of_legacy_records.load(record)


def test_a_new_model_beside_original_ones_serves(registry_of_legacy_records: Registry) -> None:
    record = publish(registry_of_legacy_records, "prd")
    assert registry_of_legacy_records.latest("prd") == record
    assert registry_of_legacy_records.load(record) == {"weights": [1.0, 2.0]}
    assert registry_of_legacy_records.latest("dev").model_hash == "77aa"
