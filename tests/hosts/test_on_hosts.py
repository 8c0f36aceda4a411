"""On every host as on the first: output, evidence, kills, limits, deferral, placement; and who may not join."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import journal_of, mark_failed, task
from tests.faults.shell import docker
from tests.faults.support import INFER, TRAIN, verify, wait_until
from tests.system.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hosts.machine import Machine
    from tests.hosts.support import Cluster

SETTINGS = {"BULKHEAD_DEFER_AFTER": "5", "BULKHEAD_STEP_RETRIES": "0"}
QUEUES = {"two": "default,gpu"}
PLACED = "placed_dag"
DAG = """
from airflow.sdk import DAG

from bulkhead_airflow import StepOperator

with DAG("placed_dag", schedule=None):
    StepOperator(
        task_id="preprocessing",
        image="trainer",
        journal="training",
        environment="dev",
        flags={"source": "sample"},
        queue="gpu",
    )
"""


def make_project(folder: Path) -> Path:
    """The project as it comes, with a DAG and a step that have queues."""
    made = folder / "project"
    shutil.copytree(ROOT / "tests/box/project", made)
    (made / "dags/placed.py").write_text(DAG)
    (made / "steps.toml").write_text('[steps.generate_inf_data]\nqueue = "gpu"\n')
    return made


def test_both_pipelines_run_on_another_host_and_say_so(cluster: Cluster) -> None:
    with cluster.only(cluster.machines["two"]):
        run_id = cluster.airflow.trigger(TRAIN)
        cluster.machines["two"].wait_for_step(run_id)
        cluster.go(run_id)
        *_, (state, _) = cluster.airflow.states(TRAIN, run_id, 120)
        assert state == "success"
        inference, state = cluster.run(INFER)
        assert state == "success"
    assert [one["host"] for one in cluster.published(run_id)] == ["two"]
    assert [one["host"] for one in cluster.inferences(inference)] == ["two"]
    assert task(cluster, run_id)["hostname"] == "two"
    log = journal_of(cluster, run_id, 1)
    assert log.count("published model") == 1  # pushed once
    verify(cluster)


def test_a_refused_step_is_recorded_with_its_host_and_its_log_says_where_to_look(cluster: Cluster) -> None:
    (cluster.inputs / "bad.csv").write_text("a,target\n1,2\nx,3\n")
    with cluster.only(cluster.machines["two"]):
        run_id, state = cluster.run(TRAIN, {"source": "bad.csv"})
    assert state == "failed"
    (failure,) = cluster.failures(run_id)
    assert (failure["cause"], failure["host"]) == ("refused", "two")
    two = cluster.machines["two"]
    (kept,) = (one for one in two.step_containers() if one["Config"]["Labels"]["io.bulkhead.run"] == run_id)
    log = journal_of(cluster, run_id, 1, "preprocessing")
    assert f"it is kept on the host two: docker logs {kept['Id'][:12]}" in log
    said = subprocess.run(["docker", *two.host, "logs", kept["Id"]], capture_output=True, text=True, check=True)
    assert "refused" in said.stderr


def test_a_person_who_fails_a_task_stops_its_step_on_its_host(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    with cluster.only(one):
        run_id = cluster.airflow.trigger(TRAIN)
        one.wait_for_step(run_id)
    mark_failed(cluster, run_id)
    wait_until(lambda: cluster.running_on(run_id) == [], 30, "it runs on")
    wait_until(lambda: cluster.failures(run_id), 30, "nothing is recorded")
    (failure,) = cluster.failures(run_id)
    assert (failure["cause"], failure["host"]) == ("killed", "one")


def test_a_deferred_step_comes_back_to_its_host(cluster: Cluster) -> None:
    """Though that host is drained meanwhile, and the other one is free."""
    one = cluster.machines["one"]
    with cluster.only(one):
        run_id = cluster.airflow.trigger(TRAIN)
        one.wait_for_step(run_id)
        wait_until(lambda: task(cluster, run_id)["state"] == "deferred", 60, "it is not deferred")
    cluster.manage("drain", "one")
    try:
        cluster.go(run_id)
        *_, (state, _) = cluster.airflow.states(TRAIN, run_id, 120)
        assert state == "success"
    finally:
        cluster.manage("drain", "one", "--undo")
    assert [model["host"] for model in cluster.published(run_id)] == ["one"]
    assert "was waited for" in journal_of(cluster, run_id, 1)
    assert cluster.failures(run_id) == []


def test_a_deferred_step_whose_worker_dies_goes_on(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    with cluster.only(one):
        run_id = cluster.airflow.trigger(TRAIN)
        one.wait_for_step(run_id)
        wait_until(lambda: task(cluster, run_id)["state"] == "deferred", 60, "it is not deferred")
    one.kill_worker()
    cluster.go(run_id)
    *_, (state, _) = cluster.airflow.states(TRAIN, run_id, 120)
    assert state == "success"
    assert len(cluster.published(run_id)) == 1


def test_a_draining_host_takes_nothing_new_and_is_not_removed_while_a_step_runs(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    with cluster.only(one):
        run_id = cluster.airflow.trigger(TRAIN)
        one.wait_for_step(run_id)
    cluster.manage("drain", "one")
    try:
        cluster.settle()
        refused = cluster.try_to_manage("remove", "one")
        assert refused.returncode == 1
        assert "1 steps run there" in refused.stderr
        other = cluster.airflow.trigger(TRAIN)
        cluster.machines["two"].wait_for_step(other)
        for each in (run_id, other):
            cluster.go(each)
            *_, (state, _) = cluster.airflow.states(TRAIN, each, 120)
            assert state == "success"
    finally:
        cluster.manage("drain", "one", "--undo")


def test_the_hosts_are_listed_in_the_terminal_and_on_the_page(cluster: Cluster) -> None:
    for name in ("one", "two"):
        cluster.wait_for_state(name, "ready", 30)
    lines = cluster.manage("list").splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["name", "main", "one", "two"]
    assert [line.split()[1] for line in lines[1:4]] == ["draining", "ready", "ready"]
    found = cluster.airflow.request("GET", "/bulkhead/api/v1/hosts")["hosts"]
    assert [(one["name"], one["state"]) for one in found] == [("main", "draining"), ("one", "ready"), ("two", "ready")]


def test_a_step_with_a_queue_runs_on_the_host_that_serves_it(cluster: Cluster) -> None:
    """Both hosts are free; the DAG's queue is the second one's alone."""
    for _ in range(3):
        run_id, state = cluster.run(PLACED)
        assert state == "success"
        assert task(cluster, run_id, "preprocessing", PLACED)["hostname"] == "two"
    run_id, state = cluster.run(INFER)
    assert state == "success"
    assert task(cluster, run_id, "generate_inf_data", INFER)["hostname"] == "two"


def test_a_shared_folder_that_goes_under_a_step_is_told_and_its_host_takes_no_work(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    with cluster.only(one):
        run_id = cluster.airflow.trigger(TRAIN)
        one.wait_for_step(run_id)
    one.unmount()
    for name in ("models", "shared/inputs", "shared/runs"):  # what was below the mount
        (one.tree / name).mkdir(parents=True)
        (one.tree / name).chmod(0o777)
    for service in ("launcher", "worker"):  # those that run have the folder still
        docker(*one.host, "restart", one.service(service))
    try:
        wait_until(lambda: cluster.hosts()["one"]["problems"], 120, "nobody sees that its folders are others")
        assert any("first host's" in problem for problem in cluster.hosts()["one"]["problems"])
        other = cluster.airflow.trigger(TRAIN)
        cluster.machines["two"].wait_for_step(other)
        cluster.go(other)
    finally:
        shutil.rmtree(one.tree)
        one.mount()
        one.join_again()
    cluster.wait_for_state("one", "ready", 120)
    cluster.go(run_id)
    *_, (state, _) = cluster.airflow.states(TRAIN, run_id, 180)
    assert state == "success"
    assert len(cluster.published(run_id)) == 1


# Who may not join.


def problems_of(cluster: Cluster, machine: Machine) -> list[str]:
    found: list[str] = wait_until(lambda: cluster.hosts()[machine.name]["problems"], 60, "nothing is wrong with it")
    return found


def test_a_host_with_an_old_image_takes_no_work_and_says_why(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    tag = f"bulkhead/inference:{cluster.project}"
    docker(*one.host, "build", "--quiet", "--tag", tag, "-", stdin=f"FROM {tag}\nLABEL old=1\nRUN touch /tmp/old\n")
    try:
        (problem,) = problems_of(cluster, one)
        assert "bulkhead/inference is another one" in problem
        run_id = cluster.airflow.trigger(TRAIN)
        cluster.machines["two"].wait_for_step(run_id)
        cluster.go(run_id)
        *_, (state, _) = cluster.airflow.states(TRAIN, run_id, 120)
        assert state == "success"
    finally:
        one.load(tag, tag)
    cluster.wait_for_state("one", "ready", 60)


def test_a_host_with_another_project_takes_no_work_and_says_why(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    other = one.folder / "another"
    subprocess.run(["cp", "-r", str(ROOT / "tests/box/project"), str(other)], check=True)
    (other / "parameters.py").write_text((other / "parameters.py").read_text() + "\n# another\n")
    command = [str(ROOT / "scripts/host.sh"), "join"]
    environment = {**one.environment, "BULKHEAD_PROJECT_FOLDER": str(other)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        assert done.returncode == 1
        assert "its project/ is another one than the first host's" in done.stderr
    finally:
        one.join_again()
    cluster.wait_for_state("one", "ready", 60)


def test_a_wrong_secret_is_refused_and_says_so(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    code = one.code()  # a new secret: the old one is none from now on
    cluster.settle()
    wrong = code.replace(code[4:12], "00000000" if code[4:12] != "00000000" else "11111111")
    done = one.try_to_join(wrong)
    assert done.returncode == 1
    assert "refuses the secret of the host one" in done.stderr
    assert "Traceback" not in done.stderr
    assert one.try_to_join(code).returncode == 0
    cluster.wait_for_state("one", "ready", 60)


def test_a_clock_of_an_hour_ago_is_told(cluster: Cluster) -> None:
    """Said by a host for itself, over its own link."""
    one = cluster.machines["one"]
    script = (
        "import msgspec, time\n"
        "from bulkhead_airflow.host_facts import HostFacts\n"
        "from engine.registrar_client import RegistrarClient\n"
        "report = HostFacts.from_environment().report(time.time(), 1, None)\n"
        "late = msgspec.structs.replace(report, time=time.time() - 3600)\n"
        "print(msgspec.json.encode(RegistrarClient.from_environment().report(late)).decode())\n"
    )
    said = docker(*one.host, "exec", one.service("worker"), "python", "-c", script)
    answer = json.loads(said.splitlines()[-1])
    assert any("its clock is 3600" in problem and "behind" in problem for problem in answer["problems"])
    cluster.wait_for_state("one", "ready", 60)


@pytest.mark.parametrize("name", ["main", "Gpu", "a_b", "", "x" * 40])
def test_a_name_that_is_none_is_refused(cluster: Cluster, name: str) -> None:
    done = cluster.try_to_manage("add", name)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_hosts_have_no_password_and_no_key(cluster: Cluster) -> None:
    one, secrets = cluster.machines["one"], dict(_secrets(cluster))
    for service in ("worker", "launcher", "link"):
        found = json.loads(docker(*one.host, "inspect", one.service(service)))[0]["Config"]["Env"]
        for name, value in secrets.items():
            assert not any(value in one for one in found), name
    worker = docker(*one.host, "exec", one.service("worker"), "env")
    assert "BULKHEAD_HOST_CODE" not in worker


def _secrets(cluster: Cluster) -> list[tuple[str, str]]:
    lines = (cluster.folder / ".env").read_text().splitlines()
    secret = ("_PASSWORD=", "_KEY=", "_SECRET=")
    pairs = [line.partition("=")[::2] for line in lines if any(word in line for word in secret)]
    return [(name, value.strip("'")) for name, value in pairs if value.strip("'")]
