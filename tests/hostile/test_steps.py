"""What a hostile step tries from inside its seal, and what it leaves for those who read its run folder."""

from __future__ import annotations

import time

import pytest
from tests.faults.support import wait_until
from tests.hostile.support import INFER, PROMOTE, SWAP, TRAIN, TRANSFORM, Attacked

pytestmark = [pytest.mark.system, pytest.mark.fault]

SEAL = [
    *("log", "inferences", "model file", "new model", "gate", "link in models", "lock", "modes of models"),
    *("inputs", "hard link", "device", "root file system", "mount", "user namespace", "root", "kernel"),
    *("network", "sockets", "other runs", "secrets", "file handle", "other processes"),
]
"""What it tries to reach; all of it must be out of reach."""

LEAVES = {
    "fifo": "no_result",
    "link": "no_result",
    "link outside": "no_result",
    "folder": "no_result",
    "socket": "no_result",
    "sparse": "disk_full|no_result",  # what a file says it has counts too, where that is seen in time
    "sparse small": "no_result",
    "two mebibytes": "no_result",
    "150 MiB": "no_result",
    "deep": "no_result",
    "no UTF-8": "no_result",
    "huge number": "no_result",
    "nothing": "no_result",
    "empty": "no_result",
    "another container's": "no_result",
    "no container's": "no_result",
    "another version": "wrong_protocol",
    "chmod 000": "no_result|success",  # the owner of the files is who reads them
    "folder chmod 000": "no_result|success",
    "no proposal": "refused",
    "unknown kind": "no_result",
    "promotion": "refused",
    "rollback": "refused",
    "inference": "refused",
    "failure": "refused",
    "another hash": "refused",
    "no hash": "refused",
    "name in the hash": "refused",
    "path up": "refused",
    "path of another run": "refused",
    "absolute path": "refused",
    "no path": "refused",
    "model link": "refused",
    "model FIFO": "refused",
    "model folder": "refused",
    "model missing": "refused",
    "model sparse": "refused|disk_full",
    "no number": "refused",
    "endless text": "refused",
    "data elsewhere": "refused",
    "other environment": "refused",
    "other name": "refused",
    "unasked": "refused",
    "odd goal": "refused",
    "identifier that is a feature": "refused",
    "two proposals": "refused",
}
"""By what is left in place of a result, the cause that is recorded."""
INFERS = dict.fromkeys(
    [
        *("foreign model", "another file", "other predictions", "predictions elsewhere", "more numbers than rows"),
        *("no numbers", "input elsewhere"),
    ],
    "refused",
)
RESOURCES = {
    "fork bomb": "crashed",
    "flood": "timed_out",
    "memory": "out_of_memory",
    "large file": "disk_full",
    "many large files": "disk_full",
    "deep folders": "disk_full",
    "deaf": "timed_out",
    "fifo while it runs": "timed_out",
    "hold the log": "timed_out",
    "long names": "crashed",
}
HARMLESS = ("identity", "many files", "setuid")
"""They end as a success, whose record is true."""


@pytest.fixture(scope="module", autouse=True)
def ended(attacked: Attacked) -> Attacked:
    """Every attack was made, all at once."""
    attacks = {**dict.fromkeys([*SEAL, *LEAVES, *RESOURCES, *HARMLESS], TRAIN), **dict.fromkeys(INFERS, INFER)}
    attacked.attack({**attacks, "unapproved": PROMOTE, "bait": SWAP, "transformation": TRANSFORM})
    return attacked


@pytest.mark.parametrize("attack", SEAL)
def test_the_seal_holds(attacked: Attacked, attack: str) -> None:
    (record,) = attacked.records_of(attack)
    said = record["detail"] + " ".join(record["evidence"]["last_lines"])
    assert "BREACH" not in said
    assert f"held: {attack}" in said, said
    assert (attacked.states[attack], record["cause"]) == ("failed", "crashed")


@pytest.mark.parametrize("attack", [*LEAVES, *INFERS])
def test_what_is_left_for_a_reader_is_refused_and_publishes_nothing(attacked: Attacked, attack: str) -> None:
    expected = {**LEAVES, **INFERS}[attack].split("|")
    (record,) = attacked.records_of(attack)
    if attacked.states[attack] == "success":
        assert "success" in expected
        assert record["sha256"] == attacked.sha256(record["model_filename"])
        return
    assert record.get("cause") in expected, record
    assert "model_filename" not in record
    assert "predictions_path" not in record
    assert "root:" not in str(record)
    assert "nobody has read this" not in str(record)


@pytest.mark.parametrize("attack", RESOURCES)
def test_what_takes_all_it_can_ends_at_its_limits(attacked: Attacked, attack: str) -> None:
    (record,) = attacked.records_of(attack)
    assert (attacked.states[attack], record["cause"]) == ("failed", RESOURCES[attack]), record
    assert len(str(record)) < 60_000
    assert "held: False" not in str(record)


@pytest.mark.parametrize("attack", HARMLESS)
def test_a_success_is_recorded_for_whom_it_is(attacked: Attacked, attack: str) -> None:
    (record,) = attacked.records_of(attack)
    dag_id, run_id = attacked.attacks[attack]
    assert attacked.states[attack] == "success"
    found = tuple(record[name] for name in ("environment", "dag_id", "run_id", "task_id", "try_number"))
    assert found == ("dev", dag_id, run_id, "train_model", 1)
    assert record["hmac"]
    assert record["sha256"] == attacked.sha256(record["model_filename"])
    assert (attacked.models / record["model_filename"]).stat().st_mode & 0o7777 == 0o444


def test_a_model_that_is_rewritten_while_it_is_copied_is_published_as_it_was_proposed_or_not_at_all(
    attacked: Attacked,
) -> None:
    (record,) = [record for record in attacked.records_of("bait") if record["task_id"] == "train_model"]
    if "cause" in record:
        assert (record["cause"], attacked.states["bait"]) == ("refused", "failed")
        assert "model_filename" not in record
    else:
        assert record["sha256"] == attacked.sha256(record["model_filename"])


def test_a_transformation_reaches_nothing_and_speaks_for_no_other_step(attacked: Attacked) -> None:
    """Inside the real step, with all that the step may do; the training after it is honest, and so is its record."""
    dag_id, run_id = attacked.attacks["transformation"]
    said = attacked.task_log(dag_id, run_id, "preprocessing")
    # Five attempts, each of the five times that preprocessing asks: the rows, and whole and parts of them to compare.
    assert said.count("transformation: held: ") == 5 * 5, said
    assert "BREACH" not in said
    (record,) = attacked.records_of("transformation")
    assert (attacked.states["transformation"], record["environment"]) == ("success", "dev")
    assert (record["task_id"], record["promotion"]) == ("train_model", None)
    assert record["sha256"] == attacked.sha256(record["model_filename"])


def test_a_step_that_says_it_has_succeeded_when_a_person_ends_it_has_not(attacked: Attacked) -> None:
    run_id = attacked.airflow.trigger(TRAIN, {"attack": "polite"})
    container = attacked.wait_for_step("train_model", 120)
    assert container["Config"]["Labels"]["io.bulkhead.run"] == run_id
    path = f"/api/v2/dags/{TRAIN}/dagRuns/{run_id}/taskInstances/train_model"
    wait_until(lambda: attacked.airflow.request("GET", path)["state"] == "running", 60, "not running")
    time.sleep(2)
    attacked.airflow.request("PATCH", path, {"new_state": "failed"})
    (record,) = wait_until(lambda: attacked.trainings(run_id), 60, "no record")
    assert record["cause"] == "killed"
    time.sleep(10)  # a round of the registrar's sweep, which records what ended well while nobody could ask
    assert attacked.trainings(run_id) == [record]


def test_a_promotion_that_nobody_was_asked_about_is_none(attacked: Attacked) -> None:
    (record,) = attacked.records_of("unapproved")
    assert record["cause"] == "refused"
    assert "nobody was asked" in record["detail"]


def test_the_registry_has_lost_nothing_and_says_nothing_that_is_not_true(attacked: Attacked) -> None:
    after = attacked.registry()
    for name, content in attacked.before.items():
        if name.startswith("log"):
            assert after[name].startswith(content)
        else:
            assert after[name] == content
    published = {record["model_filename"] for record in attacked.trainings() if "model_filename" in record}
    assert {name for name in after if name.startswith("model_")} == published
    assert attacked.secret.read_text() == "nobody has read this"
    attacked.verify()


def test_everything_is_as_well_as_before(attacked: Attacked) -> None:
    assert attacked.unhealthy() == []
    assert attacked.running_steps() == []
    for page in ("models", "inferences", "failures"):
        assert attacked.airflow.request("GET", f"/bulkhead/api/v1/{page}")
    run_id, state = attacked.run("dev_train_model_dag")
    assert state == "success", attacked.trainings(run_id)
    _, state = attacked.run("dev_inference_pipe_dag")
    assert state == "success"


def test_a_pickle_that_is_a_program_does_no_harm_where_it_is_loaded(attacked: Attacked) -> None:
    """It is published, since nobody unpickled it; the next training measures itself beside it, in a seal."""
    attacked.attack({"bomb": TRAIN})
    (record,) = attacked.records_of("bomb")
    assert record["environment"] == "dev"
    before = attacked.registry()
    run_id, state = attacked.run("dev_inference_pipe_dag")  # which serves it
    assert state == "failed"
    (failure,) = attacked.inferences(run_id)
    assert (failure["task_id"], failure["cause"]) == ("generate_inf_data", "refused"), failure
    run_id, state = attacked.run("dev_train_model_dag")
    assert state == "success"
    (after,) = attacked.trainings(run_id)
    assert after["gate"]["not_compared"]
    assert attacked.registry()["gate.toml"] == before["gate.toml"]
    assert b"evil\n" not in attacked.registry()["log.txt"]
    _, state = attacked.run("promote_model_dag", {"model": record["model_filename"], "reason": "evil"})
    assert state == "failed"
    attacked.verify()
