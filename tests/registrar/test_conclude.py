"""From a container that ended well to the one outcome of its logical task."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.registrar.support import DAG, RING, RUN, Service, try_id
from tests.support.project import inferred, lineage, lines_of, publish

from bulkhead.registry import chain
from bulkhead.registry.proposals import (
    FailureProposal,
    InferenceProposal,
    PromotionProposal,
    RollbackProposal,
)
from bulkhead.registry.records import InferenceRecord, ModelRecord
from bulkhead.unix_http import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable


def conclude(service: Service, container: str) -> Any:
    return service.ask("/conclude", {"container": container})


def models(service: Service) -> list[dict[str, Any]]:
    return [line for line in lines_of(service.registry.training_journal) if "model_filename" in line]


def files(service: Service) -> list[str]:
    return sorted(path.name for path in service.registry.folder.glob("model_*"))


def test_a_model_is_published_for_whom_the_labels_name(service: Service) -> None:
    service.tries("running")
    said = conclude(service, service.trained())
    assert said["verdict"] == "recorded"
    (line,) = models(service)
    who = {"dag_id": DAG, "run_id": RUN, "task_id": "train_model", "try_number": 1, "map_index": -1}
    assert who.items() <= line.items()
    assert (line["environment"], line["image"], line["git_commit"]) == ("dev", "bulkhead/trainer@sha256:1", "c0ffee")
    assert line["first_try"] == try_id(1)
    assert chain.is_signed(service.registry.training_journal.read_bytes().splitlines()[-1], RING)
    assert files(service) == [line["model_filename"]] == [said["facts"]["model_filename"]]
    assert said["result"]["facts"]["model_filename"] == line["model_filename"]
    assert said["result"]["proposal"] is None


def test_the_same_container_again_is_adopted(service: Service) -> None:
    service.tries("running")
    container = service.trained()
    first = conclude(service, container)
    again = conclude(service, container)
    assert (again["verdict"], again["facts"]["model_filename"]) == ("adopted", first["facts"]["model_filename"])
    assert len(models(service)) == 1


def test_fifty_askers_at_once_have_one_record(service: Service) -> None:
    service.tries("running")
    container = service.trained()
    said: list[str] = []
    ready = threading.Barrier(50)

    def ask() -> None:
        ready.wait()
        said.append(conclude(service, container)["verdict"])

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(said) == ["adopted"] * 49 + ["recorded"]
    assert len(models(service)) == len(files(service)) == 1


def test_the_next_try_is_told_what_an_earlier_one_has_made(service: Service) -> None:
    service.tries("running")
    made = conclude(service, service.trained())["facts"]["model_filename"]
    service.tries("failed", "running")  # its report was refused
    looked = service.ask("/look", {"try_id": try_id(2), "dag_id": DAG, "run_id": RUN, "task_id": "train_model"})
    assert looked["first_try"] == try_id(1)
    assert looked["outcome"]["facts"]["model_filename"] == made
    assert looked["ended"] is None


def test_a_container_that_was_overtaken_publishes_nothing(service: Service) -> None:
    service.tries("failed", "running")
    old, new = service.container(1), service.trained(2)
    assert conclude(service, new)["verdict"] == "recorded"
    service.leave(old, service.model(b"another model"))
    said = conclude(service, old)
    assert said["verdict"] == "superseded"
    assert "by try 2" in said["sentence"]
    assert len(models(service)) == len(files(service)) == 1


def test_two_containers_of_one_task_at_once_have_one_outcome(service: Service) -> None:
    for _ in range(10):
        fresh = len(models(service))
        service.tries(*["success"] * fresh, "failed", "running")
        containers = (service.trained(fresh + 1), service.container(fresh + 2))
        said: list[str] = []
        threads = [threading.Thread(target=_verdict, args=(service, one, said)) for one in containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(models(service)) == fresh + 1
        assert said.count("recorded") == 1


def _verdict(service: Service, container: str, said: list[str]) -> None:
    # Two containers share the run folder, so each leaves its result just before it is asked about.
    with service.lock:
        service.leave(container, service.model())
        said.append(str(conclude(service, container)["verdict"]))


def test_a_clear_after_an_accepted_success_begins_a_new_outcome(service: Service) -> None:
    service.tries("running")
    conclude(service, service.trained())
    service.tries("success", "running")
    assert conclude(service, service.trained(2, b"another model"))["verdict"] == "recorded"
    assert [line["first_try"] for line in models(service)] == [try_id(1), try_id(2)]


@pytest.mark.parametrize("states", [("failed",), ("failed", "restarting"), ("removed",), ("skipped",), ()])
def test_what_a_person_has_ended_publishes_nothing_though_it_ended_well(
    service: Service, states: tuple[str, ...]
) -> None:
    service.tries(*states)
    said = conclude(service, service.trained())
    assert said["verdict"] == "superseded"
    assert (models(service), files(service)) == ([], [])


@pytest.mark.parametrize(
    ("state", "status"),
    [({"Status": "running", "Running": True}, 409), ({"ExitCode": 1}, 409), ({"Status": "created"}, 409)],
)
def test_what_has_not_ended_well_is_not_concluded(service: Service, state: dict[str, Any], status: int) -> None:
    service.tries("running")
    container = service.container(state=state)
    with pytest.raises(Refusal) as caught:
        conclude(service, container)
    assert caught.value.status == status


def test_what_ended_while_its_engine_was_away_is_proven_by_its_result_alone(service: Service) -> None:
    service.tries("running")
    container = service.container(state={"ExitCode": 255})
    assert conclude(service, container)["failed"]["cause"] == "no_result"
    service.leave(container, service.model())
    assert conclude(service, container)["verdict"] == "recorded"


@pytest.mark.parametrize("container", ["f" * 64, "../../x", "", "x/json?a=1"])
def test_a_container_that_is_not_there_is_told(service: Service, container: str) -> None:
    with pytest.raises(Refusal) as caught:
        conclude(service, container)
    assert caught.value.status in {404, 409}


@pytest.mark.parametrize("label", ["project", "environment", "journal", "try-id", "try"])
def test_a_container_without_the_labels_of_a_step_is_nobodys(service: Service, label: str) -> None:
    service.tries("running")
    container = service.trained()
    labels = service.launcher.containers[container]["Config"]["Labels"]
    labels[f"io.bulkhead.{label}"] = "x/../y"
    with pytest.raises(Refusal):
        conclude(service, container)
    assert models(service) == []


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 12 << 30)


def large(path: Path) -> None:
    path.write_bytes(b" " * (2 << 20))


def deep(path: Path) -> None:
    path.write_bytes(b"[" * 900_000)


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("put", [fifo, link, Path.mkdir, sparse, large, deep, missing], ids=lambda put: put.__name__)
def test_a_hostile_result_file_is_none(service: Service, put: Callable[[Path], None]) -> None:
    service.tries("running")
    container = service.container()
    put(service.run_folder() / "train_model.json")
    said = conclude(service, container)
    assert (said["verdict"], said["failed"]["cause"]) == ("refused", "no_result")
    assert "root:" not in str(said)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [({"container": "0123456789ab"}, "no_result"), ({"container": ""}, "no_result"), ({"protocol": 1}, "refused")],
)
def test_a_result_of_another_is_none(service: Service, changes: dict[str, Any], cause: str) -> None:
    service.tries("running")
    container = service.container()
    service.leave(container, service.model(), **changes)
    assert conclude(service, container)["failed"]["cause"] == cause
    assert models(service) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "0" * 64},
        {"sha256": "x"},
        {"model_hash": "../x"},
        {"path": "../../../../models/log.txt"},
        {"path": "/etc/passwd"},
        {"path": ""},
        {"path": "none"},
        {"path": "link"},
        {"path": "fifo"},
        {"path": "."},
        {"lineage": lineage(metrics={"r2": "high"})},
        {"lineage": lineage(target="x" * 10_000)},
        {"lineage": lineage(metrics={"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}})},
    ],
    ids=str,
)
def test_a_proposal_that_is_not_to_be_believed_is_refused(service: Service, changes: dict[str, Any]) -> None:
    service.tries("running")
    container = service.container()
    folder = service.run_folder()
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "fifo")
    service.leave(container, service.model(**changes))
    said = conclude(service, container)
    assert (said["verdict"], said["failed"]["cause"], said["failed"]["retry"]) == ("refused", "refused", False)
    assert (models(service), files(service)) == ([], [])
    assert [path for path in service.registry.folder.iterdir() if path.suffix == ".tmp"] == []


@pytest.mark.parametrize(
    "proposal",
    [
        PromotionProposal(model_filename="m", reason="r", by="admin"),
        RollbackProposal(reason="r", by="admin"),
        FailureProposal(cause="refused", detail="no"),
        None,
    ],
    ids=lambda proposal: type(proposal).__name__,
)
def test_a_training_may_propose_a_model_and_nothing_else(service: Service, proposal: Any) -> None:
    service.tries("running")
    container = service.container()
    service.leave(container, proposal)
    assert conclude(service, container)["verdict"] == "refused"
    assert lines_of(service.registry.training_journal) == []


def test_a_step_without_an_outcome_may_propose_none(service: Service) -> None:
    service.tries("running", task_id="preprocessing")
    container = service.container(task_id="preprocessing")
    service.leave(container, None, "preprocessing")
    assert conclude(service, container)["verdict"] == "none"
    service.leave(container, service.model(), "preprocessing")
    assert conclude(service, container)["verdict"] == "refused"
    assert models(service) == []


def test_the_gate_is_asked_again(service: Service) -> None:
    (service.registry.folder / "gate.toml").write_text("[dev]\nmin_r2 = 0.9\n")
    service.tries("running")
    container = service.container()
    service.leave(container, service.model())
    said = conclude(service, container)
    assert said["verdict"] == "refused"
    assert "the limit for dev in models/gate.toml is 0.9" in said["failed"]["detail"]
    service.leave(container, service.model(lineage=lineage(metrics={"r2": 0.95})))
    assert conclude(service, container)["verdict"] == "recorded"
    assert models(service)[0]["gate_sha256"]


def inference_of(service: Service, model: ModelRecord, **changes: Any) -> InferenceProposal:
    folder = service.run_folder("dev_inference_pipe_dag")
    (folder / "p.parquet").write_bytes(b"predictions")
    path = changes.pop("path", "p.parquet")
    import hashlib

    record = InferenceRecord(
        inference_time="2026-01-01T00:00:00+00:00",
        environment="prd",
        inference_data="shared/inputs/t.csv",
        model_used=model.model_filename,
        predictions=[1.0, 2.0],
        rows=2,
        model_hash=model.model_hash,
        model_sha256=model.sha256,
        output_sha256=hashlib.sha256(b"predictions").hexdigest(),
    )
    return InferenceProposal(record=msgspec.structs.replace(record, **changes), path=path)


def infer(service: Service, proposal: InferenceProposal) -> Any:
    dag = "dev_inference_pipe_dag"
    service.tries("running", task_id="model_inference", dag_id=dag)
    container = service.container(task_id="model_inference", dag_id=dag, journal="inference")
    service.leave(container, proposal, "model_inference", dag_id=dag)
    return conclude(service, container)


def test_an_inference_is_recorded_with_the_runs_own_path(service: Service) -> None:
    model = publish(service.registry, "dev")
    said = infer(service, inference_of(service, model))
    assert said["verdict"] == "recorded"
    (line,) = lines_of(service.registry.inference_journal)
    assert line["predictions_path"] == f"shared/runs/dev_inference_pipe_dag/{RUN}/p.parquet"
    assert (line["environment"], line["task_id"], line["first_try"]) == ("dev", "model_inference", try_id(1))


@pytest.mark.parametrize(
    "changes",
    [
        {"model_used": "model_20990101T000000000000Z_abc.joblib"},
        {"model_sha256": "1" * 64},
        {"model_hash": "abc123"},
        {"output_sha256": "1" * 64},
        {"path": "../../../../models/log.txt"},
        {"path": "none"},
        {"predictions": [1.0]},
        {"predictions": ["x", "y"]},
        {"predictions": [1.0] * 5000, "rows": 5000},
        {"rows": -1, "predictions": None},
        {"inference_data": "/etc/passwd"},
        {"inference_data": "../../x"},
    ],
    ids=str,
)
def test_an_inference_that_is_not_to_be_believed_is_refused(service: Service, changes: dict[str, Any]) -> None:
    model = publish(service.registry, "dev")
    assert infer(service, inference_of(service, model, **changes))["verdict"] == "refused"
    assert lines_of(service.registry.inference_journal) == []


def test_an_inference_with_a_model_of_another_environment_is_refused(service: Service) -> None:
    model = publish(service.registry, "prd")
    assert infer(service, inference_of(service, model))["verdict"] == "refused"


def test_a_result_is_handed_on_in_little(service: Service) -> None:
    service.tries("running", task_id="preprocessing")
    container = service.container(task_id="preprocessing")
    service.leave(container, None, "preprocessing", facts={"x": "y" * 900_000})
    said = conclude(service, container)
    assert len(msgspec.json.encode(said["result"])) < 49_000


def test_what_was_made_by_hand_is_nobodys_outcome(service: Service) -> None:
    publish(service.registry, "dev", dag_id=DAG, run_id=RUN)
    inferred(service.registry, publish(service.registry, "dev"))
    service.tries("running")
    assert conclude(service, service.trained())["verdict"] == "recorded"
