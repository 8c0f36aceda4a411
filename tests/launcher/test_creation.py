"""What the launcher makes of a request to create a container: a sealed step, or nothing."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.launcher.support import MINE, TRY, Host, labelled, requested

from engine.step_request import REQUEST_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVIL = {
    "Image": "alpine",
    "Cmd": ["sh"],
    "Entrypoint": ["/bin/sh"],
    "User": "0:0",
    "Env": ["LD_PRELOAD=/x"],
    "Volumes": {"/x": {}},
    "HostConfig": {
        "Privileged": True,
        "Binds": ["/:/host"],
        "Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}],
        "NetworkMode": "host",
        "PidMode": "host",
        "CapAdd": ["ALL"],
        "Devices": [{"PathOnHost": "/dev/sda"}],
        "SecurityOpt": ["seccomp=unconfined"],
        "Runtime": "other",
    },
    "NetworkingConfig": {"EndpointsConfig": {"x": {}}},
}


def created(host: Host) -> dict[str, Any]:
    """The one body that reached the engine."""
    ((method, path, query, body),) = host.engine.changes
    assert (method, path) == ("POST", "/containers/create")
    assert query == {"name": "ours.d.manual__1.train_model"}
    return dict(body)


def test_the_body_that_reaches_the_engine_is_the_seal_and_nothing_that_was_sent(host: Host) -> None:
    assert host.create() == (201, {"Id": "d" * 64, "Warnings": []})
    plain = created(host)
    host.engine.asked.clear()
    sent = {**labelled(), **EVIL}
    assert host.ask("POST", "/containers/create", sent)[0] == 201
    assert created(host) == plain
    assert plain["Image"] == "sha256:1"
    assert plain["Cmd"] == ["train_model", "--seed=1"]
    assert plain["User"] == "1234:0"
    assert set(plain) == {"Image", "Cmd", "User", "Env", "Labels", "HostConfig"}
    assert plain["HostConfig"]["NetworkMode"] == "none"
    assert plain["HostConfig"]["Memory"] == 400 << 20
    assert [(one["Source"], one["ReadOnly"]) for one in plain["HostConfig"]["Mounts"]] == [
        ("/project/shared/runs/d/manual__1", False),
        ("/project/shared/inputs", True),
        ("/project/models", True),
    ]


def test_labels_say_who_it_is_and_what_is_to_be_recorded_of_it(host: Host) -> None:
    host.create(approval_task="approve")
    labels = created(host)["Labels"]
    assert {name.removeprefix("io.bulkhead."): value for name, value in labels.items() if "bulkhead" in name} == {
        "project": "ours",
        "dag": "d",
        "run": "manual__1",
        "task": "train_model",
        "map-index": "-1",
        "try": "1",
        "image": "bulkhead/trainer:latest@sha256:1",
        "try-id": TRY,
        "first-try": TRY,
        "environment": "dev",
        "model-name": "model",
        "journal": "training",
        "approval-task": "approve",
        "seconds": "3600.0",
    }


def test_a_steps_model_is_its_label_and_its_variable_whatever_its_command_says(host: Host) -> None:
    host.create(model_name="churn", command=["train_model", "--name=other"])
    body = created(host)
    assert body["Labels"]["io.bulkhead.model-name"] == "churn"
    assert "BULKHEAD_MODEL_NAME=churn" in body["Env"]


def test_a_request_of_before_models_had_names_is_for_the_one_that_comes_with_the_project(host: Host) -> None:
    host.create()
    body = created(host)
    assert body["Labels"]["io.bulkhead.model-name"] == "model"
    assert "BULKHEAD_MODEL_NAME=model" in body["Env"]


def test_a_steps_own_limits_are_its_own_and_those_of_this_host_win_where_they_name_it(host: Host) -> None:
    host.create(memory="1g", cpus=0.5)
    limits = created(host)["HostConfig"]
    assert (limits["Memory"], limits["NanoCpus"]) == (1 << 30, 500_000_000)
    host.engine.asked.clear()
    host.variables["BULKHEAD_STEP_MEMORY_TRAIN_MODEL"] = "300m"
    host.create(memory="1g")
    assert created(host)["HostConfig"]["Memory"] == 300 << 20


def twice(text: str) -> bytes:
    """A body with a key twice: a filter may believe the first, and an engine the second."""
    return f'{{"Labels": {{"x": "y"}}, "Labels": {{"{REQUEST_LABEL}": {json.dumps(text)}}}}}'.encode()


GOOD = json.dumps(requested())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"Labels": null}',
        b'{"Labels": []}',
        b'{"Labels": {}}',
        json.dumps(EVIL).encode(),
        json.dumps({"Labels": {REQUEST_LABEL: 1}}).encode(),
        json.dumps({"Labels": {REQUEST_LABEL: "{}"}}).encode(),
        json.dumps({"Labels": {REQUEST_LABEL: GOOD * 2}}).encode(),
        json.dumps({"Labels": {REQUEST_LABEL: "[" * 100_000}}).encode(),
        json.dumps({"Labels": {REQUEST_LABEL: GOOD}}).encode().replace(b"{", b"[" * 5000 + b"{", 1),
        b"[" * 9000,
        b'{"Labels": ' + b'{"a": ' * 40 + b"1" + b"}" * 41,
        b'{"Memory": ' + b"9" * 5000 + b"}",
        twice(GOOD),
        b"\xff\xfe",
    ],
    ids=[
        *("empty", "a list", "null", "torn", "no labels", "labels as a list", "no label", "Docker's own words"),
        *("a number", "an empty request", "two requests", "deep in the label", "deep", "deep and torn"),
        *("deeper than Docker's", "a huge number", "a key twice", "no UTF-8"),
    ],
)
def test_a_body_without_a_request_starts_nothing(host: Host, body: bytes) -> None:
    status, said = host.ask("POST", "/containers/create", body)
    assert status == 400
    assert isinstance(said, str)
    assert host.engine.changes == []


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "../registrar"},
        {"image": "trainer@sha256:1"},
        {"image": "other/trainer"},
        {"image": ""},
        {"command": []},
        {"command": "train_model"},
        {"command": ["x\0y"]},
        {"command": ["x" * 10_000]},
        {"command": ["x"] * 1000},
        {"environment": "staging"},
        {"environment": "dev\n"},
        {"model_name": ""},
        {"model_name": None},
        {"model_name": "Churn"},
        {"model_name": "churn\n"},
        {"model_name": "../churn"},
        {"model_name": "churn,io.bulkhead.project=x"},
        {"model_name": "x" * 41},
        {"model_name": "parameters"},
        {"model_name": "churn_parameters"},
        {"model_name": ["churn"]},
        {"journal": "log.txt"},
        {"identity": {"task_id": "a/b"}},
        {"identity": {"dag_id": ""}},
        {"identity": {"dag_id": "x" * 300}},
        {"identity": {"run_id": "x\0"}},
        {"identity": {"try_number": -5}},
        {"identity": {"try_number": 2**70}},
        {"identity": {"more": 1}},
        {"try_id": "'; DROP TABLE"},
        {"memory": "much"},
        {"memory": "1g " * 100},
        {"memory": "9" * 28 + "p"},
        {"cpus": -1},
        {"cpus": 1e300},
        {"privileged": True},
        {"mounts": ["/"]},
    ],
    ids=str,
)
def test_a_request_that_is_not_as_it_should_be_starts_nothing(host: Host, changes: dict[str, Any]) -> None:
    status, said = host.create(**changes)
    assert status == 400, said
    assert host.engine.changes == []


def test_only_images_of_steps_are_started(host: Host) -> None:
    assert host.create(image="registrar")[0] == 403
    status, said = host.create(image="none")
    assert (status, said) == (404, "No such image: bulkhead/none:latest")
    assert host.engine.changes == []


def test_a_name_that_is_taken_is_told_before_anything_is_touched(host: Host) -> None:
    folder = host.folder / "shared/runs/d/manual__1"
    folder.mkdir(parents=True)
    (folder / "train_model.json").write_text("the result of the one that has the name")
    host.engine.containers["ours.d.manual__1.train_model"] = {"Id": MINE, "Config": {}}
    assert host.create()[0] == 409
    assert (folder / "train_model.json").exists()
    assert host.engine.changes == []


def test_a_text_may_hold_any_number_of_brackets(host: Host) -> None:
    assert host.create(command=["train_model", "--why=" + '["{' * 100 + '\\\\"'])[0] == 201


def test_of_two_tries_at_once_one_creates_and_the_others_result_is_not_touched(host: Host) -> None:
    """Between the look at the name and the create, the other try's step may begin and end."""
    created, go_on = threading.Event(), threading.Event()
    result = host.folder / "shared/runs/d/manual__1/train_model.json"

    def create() -> None:
        created.set()
        assert go_on.wait(10)
        host.engine.containers["ours.d.manual__1.train_model"] = {"Id": MINE, "Config": {}}
        result.write_text("the result of the one that has the name")

    host.engine.on_create = create
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(host.create)
        assert created.wait(10)
        second = pool.submit(host.create)
        time.sleep(0.3)
        go_on.set()
        assert (first.result(10)[0], second.result(10)[0]) == (201, 409)
    assert result.exists()


def test_a_run_folder_is_made_for_the_group_and_an_earlier_trys_result_goes(host: Host) -> None:
    folder = host.folder / "shared/runs/d/manual__1"
    folder.mkdir(parents=True)
    (folder / "train_model.json").write_text("{}")
    (folder / ".train_model.lock").touch()
    (folder / "preprocessing.json").write_text("{}")
    assert host.create()[0] == 201
    assert sorted(path.name for path in folder.iterdir()) == [".train_model.lock", "preprocessing.json"]
    before = os.umask(0o077)
    try:
        assert host.create(identity={"run_id": "manual__2"})[0] == 201
    finally:
        os.umask(before)
    assert (host.folder / "shared/runs/d/manual__2").stat().st_mode & 0o777 == 0o775


def test_a_run_folder_is_where_its_name_says_whatever_the_name(host: Host) -> None:
    for name in ("../../../etc", "..", "/etc", "a/../../b", ".", "x" * 250):
        host.engine.asked.clear()
        assert host.create(identity={"run_id": name, "dag_id": "..x"})[0] == 201
        source = host.engine.changes[0][3]["HostConfig"]["Mounts"][0]["Source"]
        assert source.startswith("/project/shared/runs/")
        assert len(source.split("/")) == 6
        assert ".." not in source.split("/")


def linked_dag(folder: Path) -> None:
    (folder / "shared/runs/d").symlink_to(folder / "models")


def linked_run(folder: Path) -> None:
    (folder / "shared/runs/d").mkdir()
    (folder / "shared/runs/d/manual__1").symlink_to("/etc")


def linked_inputs(folder: Path) -> None:
    (folder / "shared/inputs").rmdir()
    (folder / "shared/inputs").symlink_to("/")


def linked_models(folder: Path) -> None:
    (folder / "models").rmdir()
    (folder / "models").symlink_to("/")


def missing_inputs(folder: Path) -> None:
    (folder / "shared/inputs").rmdir()


def a_file(folder: Path) -> None:
    (folder / "shared/runs/d").write_text("")


@pytest.mark.parametrize(
    "spoil",
    [linked_dag, linked_run, linked_inputs, linked_models, missing_inputs, a_file],
    ids=lambda spoil: spoil.__name__,
)
def test_what_is_reached_by_a_link_or_is_no_folder_is_not_mounted(host: Host, spoil: Callable[[Path], None]) -> None:
    spoil(host.folder)
    status, said = host.create()
    assert status == 400
    assert said.startswith("invalid mount: ")
    assert host.engine.changes == []
    assert MINE not in str(said)


def test_a_body_of_escapes_without_end_is_refused_at_once(host: Host) -> None:
    begun = time.monotonic()
    assert host.ask("POST", "/containers/create", b'{"Labels": "' + b'\\"' * 500_000)[0] == 400
    assert time.monotonic() - begun < 5
