"""From a proposal to an outcome: one for each task, and nothing of a step's word that can be looked at is believed."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.registry.support import AUTHOR, RING, WHO, inference_in, model_in
from tests.support.project import lineage, publish

from bulkhead.errors import NoModel, NotGoodEnough, NotVerified, OutOfService, Overtaken, Refused
from bulkhead.files import sha256
from bulkhead.identity import Identity
from bulkhead.registry import chain, decisions, recording
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.proposals import PromotionProposal, RollbackProposal
from bulkhead.registry.recording import Author
from bulkhead.registry.records import InferenceRecord, ModelRecord
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry that signs."""
    (tmp_path / "models").mkdir()
    return Registry(tmp_path / "models", RING)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def size_of(registry: Registry) -> tuple[int, int, list[str]]:
    """What changes whenever anything is recorded or published."""
    names = sorted(path.name for path in registry.folder.iterdir() if path.name != ".lock")
    return registry.journal_size("training"), registry.journal_size("inference"), names


def test_a_models_identity_environment_and_image_are_the_authors(registry: Registry, run: Path) -> None:
    liar = lineage(dag_id="liar", run_id="liar", task_id="liar", try_number=9, image="liar", git_commit="liar")
    made = recording.record(registry, model_in(run, lineage=liar), AUTHOR, run)
    assert made.is_new
    record = made.record
    assert isinstance(record, ModelRecord)
    assert {key: getattr(record, key) for key in Identity.__struct_fields__} == msgspec.structs.asdict(WHO)
    assert (record.environment, record.first_try, record.gate_sha256) == ("prd", "the first try", None)
    assert registry.latest("prd") == record
    assert registry.load(record) == {"weights": [1.0]}


def test_what_the_registrar_records_is_signed(registry: Registry, run: Path) -> None:
    recording.record(registry, model_in(run), AUTHOR, run)
    (line,) = registry.training_journal.read_bytes().splitlines()
    assert chain.is_signed(line, RING) is True


class _Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._path,)


def test_a_model_file_is_never_unpickled(registry: Registry, run: Path, tmp_path: Path) -> None:
    content = pickle.dumps(_Trap(str(tmp_path / "sprung")))
    proposal = model_in(run)
    (run / "model.joblib").write_bytes(content)
    trapped = msgspec.structs.replace(proposal, sha256=sha256(content), size_bytes=len(content))
    recording.record(registry, trapped, AUTHOR, run)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("changes", "error", "fragment"),
    [
        ({"sha256": "0" * 64}, NotVerified, "Nothing is published"),
        ({"sha256": "no hash"}, Refused, "SHA-256 in hex"),
        ({"model_hash": "../../evil"}, Refused, "model_hash"),
        ({"model_hash": "A" * 200}, Refused, "model_hash"),
        ({"path": "../secret"}, Refused, "is not a path below its folder"),
        ({"path": "/etc/passwd"}, Refused, "is not a path below its folder"),
        ({"path": "gone.joblib"}, NotVerified, "missing from the run folder"),
        ({"lineage": lineage(target="y" * 5000)}, Refused, "text of at most"),
        ({"lineage": lineage(target="a\0b")}, Refused, "text of at most"),
        ({"lineage": lineage(parameters={"a": [[[[[[[[[1]]]]]]]]]})}, Refused, "deep"),
        ({"lineage": lineage(features=[f"{i}{'x' * 4000}" for i in range(300)])}, Refused, "are kept at most"),
        ({"lineage": lineage(metrics={"r2": "0.9"})}, Refused, "no number"),
        ({"lineage": lineage(metrics={"r2": True})}, Refused, "no number"),
    ],
)
def test_a_model_that_is_not_what_the_step_says_leaves_nothing(
    changes: dict[str, Any], error: type[Refused], fragment: str, registry: Registry, run: Path
) -> None:
    before = size_of(registry)
    with pytest.raises(error, match=fragment):
        recording.record(registry, model_in(run, **changes), AUTHOR, run)
    assert size_of(registry)[2] in ([], ["log.txt"])
    assert size_of(registry)[:2] == before[:2]


@pytest.mark.parametrize("kind", ["link", "fifo", "sparse"])
def test_a_model_that_is_no_plain_file_is_refused(kind: str, registry: Registry, run: Path, tmp_path: Path) -> None:
    proposal = model_in(run)
    path = run / "model.joblib"
    (tmp_path / "secret").write_bytes(path.read_bytes())
    path.unlink()
    match kind:
        case "link":
            path.symlink_to(tmp_path / "secret")
        case "fifo":
            os.mkfifo(path)
        case _:
            with path.open("wb") as file:
                file.truncate(1 << 40)
    with pytest.raises(Refused, match=r"link|FIFO|sparse"):
        recording.record(registry, proposal, AUTHOR, run)
    assert [name for name in size_of(registry)[2] if name.startswith("model_")] == []


def test_the_gate_judges_again_and_its_hash_is_recorded(registry: Registry, run: Path) -> None:
    settings = registry.folder / "gate.toml"
    settings.write_text("[prd]\nmin_r2 = 0.6\n")
    with pytest.raises(NotGoodEnough, match=r"the limit for prd in models/gate.toml is 0.6") as caught:
        recording.record(registry, model_in(run, lineage=lineage(metrics={"r2": 0.5})), AUTHOR, run)
    assert caught.value.metrics["r2"] == 0.5
    made = recording.record(registry, model_in(run, lineage=lineage(metrics={"r2": 0.7})), AUTHOR, run).record
    assert isinstance(made, ModelRecord)
    assert made.gate_sha256 == sha256(settings.read_bytes())


@pytest.mark.parametrize("kind", ["model", "inference", "promotion", "rollback"])
def test_a_task_that_has_an_outcome_gets_no_other(kind: str, registry: Registry, run: Path) -> None:
    model = publish(registry)
    proposals: dict[str, Callable[[], Any]] = {
        "model": lambda: model_in(run),
        "inference": lambda: inference_in(run, model),
        "promotion": lambda: PromotionProposal(model_filename="whatever", reason="r"),
        "rollback": lambda: RollbackProposal(reason="r"),
    }
    before = size_of(registry)
    made = recording.record(registry, proposals[kind](), AUTHOR, run, existing=lambda: model)
    assert (made.record, made.is_new) == (model, False)
    assert size_of(registry) == before


def test_the_outcome_is_looked_for_with_the_lock_held(registry: Registry, run: Path) -> None:
    import threading

    from bulkhead.registry import lock

    got: list[bool] = []

    def look() -> None:
        def other() -> None:
            try:
                with lock.locked(registry.folder, seconds=0.05):
                    got.append(True)
            except Refused:
                got.append(False)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)

    recording.record(registry, model_in(run), AUTHOR, run, existing=look)
    assert got == [False]


def test_an_inference_is_the_authors_and_its_file_is_where_the_run_is(registry: Registry, run: Path) -> None:
    model = publish(registry)
    given = inference_in(run, model, environment="dev", dag_id="liar", first_try="liar", predictions_path="/liar")
    made = recording.record(registry, given, AUTHOR, run).record
    assert isinstance(made, InferenceRecord)
    assert {key: getattr(made, key) for key in Identity.__struct_fields__} == msgspec.structs.asdict(WHO)
    assert (made.environment, made.first_try) == ("prd", "the first try")
    assert made.predictions_path == f"{WHO.run_path}/predictions.parquet"


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"model_sha256": "0" * 64}, "other hashes"),
        ({"model_hash": "0" * 32}, "other hashes"),
        ({"output_sha256": "0" * 64}, "not what the step says it has written"),
        ({"rows": 3}, "one prediction for each of 3 rows"),
        ({"rows": None}, "how many rows"),
        ({"rows": -1}, "how many rows"),
        ({"predictions": ["1.0", "2.0"]}, "a finite number each"),
        ({"predictions": [True, 1.0]}, "a finite number each"),
        ({"predictions": {"a": 1}}, "a short list of predictions"),
        ({"predictions": [1.0] * 100_000, "rows": 100_000}, "a short list of predictions"),
        ({"inference_data": "/etc/passwd"}, "a path in the project"),
        ({"inference_data": "shared/../../x"}, "a path in the project"),
        ({"model_used": "nobody.joblib"}, "no record of a model file"),
    ],
)
def test_an_inference_that_cannot_be_believed_is_not_recorded(
    changes: dict[str, Any], fragment: str, registry: Registry, run: Path
) -> None:
    model = publish(registry)
    before = size_of(registry)
    with pytest.raises(Refused, match=fragment):
        recording.record(registry, inference_in(run, model, **changes), AUTHOR, run)
    assert size_of(registry) == before


@pytest.mark.parametrize("predictions", [["yes", "maybe"], [1.0, 0.0], ["yes", 1.0], ["yes", None], ["yes", True]])
def test_a_classifiers_inference_is_recorded_if_it_holds_its_classes_alone(
    predictions: list[Any], registry: Registry, run: Path
) -> None:
    model = publish(registry, classes=["no", "yes"])
    recording.record(registry, inference_in(run, model, predictions=["no", "yes"]), AUTHOR, run)
    before = size_of(registry)
    with pytest.raises(Refused, match="a class of the model each"):
        recording.record(registry, inference_in(run, model, predictions=predictions), AUTHOR, run)
    assert size_of(registry) == before


def test_an_inference_with_a_model_of_another_environment_or_out_of_service_is_refused(
    registry: Registry, run: Path
) -> None:
    dev, prd = publish(registry, "dev"), publish(registry, "prd", {"weights": [9.0]})
    with pytest.raises(NoModel, match="is a dev model"):
        recording.record(registry, inference_in(run, dev), AUTHOR, run)
    decisions.revoke(registry, prd.model_filename, DecisionContext("a person", "a reason"))
    with pytest.raises(OutOfService, match="it was revoked"):
        recording.record(registry, inference_in(run, prd), AUTHOR, run)
    assert registry.journal_size("inference") == 0


def test_an_inference_with_a_model_that_is_revoked_while_its_file_is_read_is_refused(
    registry: Registry, run: Path
) -> None:
    prd = publish(registry, "prd")

    def meanwhile() -> None:  # asked with the lock held, after all that needs none
        decisions.revoke(registry, prd.model_filename, DecisionContext("a person", "a reason"))

    with pytest.raises(OutOfService, match="it was revoked"):
        recording.record(registry, inference_in(run, prd), AUTHOR, run, meanwhile)
    assert registry.journal_size("inference") == 0


def test_an_inference_with_a_model_that_nobody_could_have_loaded_is_refused(
    registry_of_legacy_records: Registry, run: Path
) -> None:
    model = registry_of_legacy_records.latest("prd")
    assert model.sha256 is None
    before = size_of(registry_of_legacy_records)
    with pytest.raises(NotVerified, match="a legacy record"):
        recording.record(registry_of_legacy_records, inference_in(run, model), AUTHOR, run)
    assert size_of(registry_of_legacy_records) == before


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_predictions_that_are_no_plain_file_are_refused(kind: str, registry: Registry, run: Path) -> None:
    model = publish(registry)
    proposal = inference_in(run, model, path="odd")
    (run / "odd").symlink_to("predictions.parquet") if kind == "link" else os.mkfifo(run / "odd")
    with pytest.raises(Refused, match=r"link|FIFO"):
        recording.record(registry, proposal, AUTHOR, run)
    assert registry.journal_size("inference") == 0


def test_who_decides_is_whom_the_author_names_and_not_the_step(registry: Registry, run: Path) -> None:
    model = publish(registry, "dev")
    proposal = PromotionProposal(
        model_filename=model.model_filename, reason="good", by="the step", libraries={"a": "1"}
    )
    made = recording.record(registry, proposal, AUTHOR, run).record
    assert isinstance(made, ModelRecord)
    promotion = made.promotion
    assert promotion is not None
    assert (promotion.by, promotion.requested_by, promotion.reason) == ("Airflow's person", "asker", "good")
    assert (promotion.first_try, promotion.libraries, promotion.dag_id) == ("the first try", {"a": "1"}, "real_dag")


def test_by_hand_the_proposal_says_who_decides(registry: Registry, run: Path) -> None:
    first, _ = publish(registry), publish(registry, model={"weights": [2.0]})
    by_hand = Author(identity=WHO, environment="prd")
    recording.record(registry, RollbackProposal(reason="bad", by="me"), by_hand, run)
    assert registry.latest("prd") == first
    with pytest.raises(Refused, match="who decides is empty"):
        recording.record(registry, RollbackProposal(reason="bad"), by_hand, run)


def test_a_promotion_that_was_overtaken_is_refused(registry: Registry, run: Path) -> None:
    served, model = publish(registry), publish(registry, "dev", {"weights": [2.0]})
    proposal = PromotionProposal(model_filename=model.model_filename, reason="r", replacing="none")
    with pytest.raises(Overtaken, match=f"prd serves {served.model_filename}"):
        recording.record(registry, proposal, AUTHOR, run)
    assert registry.latest("prd") == served
