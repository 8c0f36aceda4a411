"""The calls that the launcher answers, and all others that it does not."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from docker import APIClient
from docker.errors import APIError, NotFound
from tests.launcher.support import MINE, OTHERS, SERVICE, Host

from bulkhead.unix_http import Client, Request, Server
from launcher.routes import Routes
from launcher.upstream import Engine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/containers/{MINE}/exec"),
        ("POST", f"/containers/{MINE}/attach"),
        ("GET", f"/containers/{MINE}/archive"),
        ("PUT", f"/containers/{MINE}/archive"),
        ("POST", f"/containers/{MINE}/update"),
        ("POST", f"/containers/{MINE}/restart"),
        ("GET", f"/containers/{MINE}/export"),
        ("POST", "/containers/prune"),
        ("POST", "/build"),
        ("POST", "/v1.47/build"),
        ("POST", "/commit"),
        ("POST", "/images/create"),
        ("GET", "/images/json"),
        ("DELETE", "/images/bulkhead/trainer"),
        ("GET", "/images/alpine/json"),
        ("GET", "/images/bulkhead/a/b/json"),
        ("POST", "/networks/create"),
        ("GET", "/networks"),
        ("POST", "/volumes/create"),
        ("POST", "/plugins/pull"),
        ("POST", "/swarm/init"),
        ("GET", "/secrets"),
        ("GET", "/events"),
        ("POST", "/session"),
        ("POST", "/grpc"),
        ("GET", "/"),
        ("GET", "/v1.47/v1.47/info"),
        ("PATCH", f"/containers/{MINE}/json"),
        ("POST", f"/containers/{MINE}/json"),
        ("GET", f"/containers/{MINE}/start"),
        ("DELETE", f"/containers/{MINE}/json"),
    ],
)
def test_any_other_call_is_refused_and_does_not_reach_the_engine(host: Host, method: str, path: str) -> None:
    status, said = host.ask(method, path)
    assert status == 403
    assert "no call that a step needs" in said
    assert host.engine.changes == []


@pytest.mark.parametrize(
    "path",
    [
        f"/containers/{MINE}/../../build",
        f"/containers/{MINE}%2f..%2f..%2fbuild",
        "/containers/..%2fimages/json",
        f"//containers/{MINE}/json",
        f"/containers/{MINE}/json%00",
        "/images/bulkhead/../alpine/json",
        "/images/bulkhead/..%2falpine/json",
        "containers/json",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(host: Host, path: str) -> None:
    assert host.ask("GET", path)[0] in {400, 403}
    assert host.engine.asked == []


@pytest.mark.parametrize("container", [OTHERS, SERVICE, "none"])
@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("GET", "/json"),
        ("GET", "/logs"),
        ("GET", "/stats"),
        ("POST", "/start"),
        ("POST", "/stop"),
        ("POST", "/kill"),
        ("POST", "/wait"),
        ("POST", "/rename"),
        ("DELETE", ""),
    ],
)
def test_containers_of_others_and_of_services_are_not_there(host: Host, container: str, method: str, call: str) -> None:
    status, said = host.ask(method, f"/containers/{container}{call}")
    assert (status, said) == (404, f"No such container: {container}")
    assert host.engine.changes == []


def test_parameters_are_checked_and_written_anew(host: Host) -> None:
    host.engine.containers[MINE]["State"]["Status"] = "created"
    host.ask("POST", f"/containers/{MINE}/start", {"Binds": ["/:/x"]}, detachKeys="x")
    host.ask("POST", f"/containers/{MINE}/stop", t="3", signal="SIGSTOP")
    host.ask("POST", f"/containers/{MINE}/wait", condition="removed")
    host.ask("DELETE", f"/containers/{MINE}", force="1", link="1")
    assert [(method, path.rpartition("/")[2], query, body) for method, path, query, body in host.engine.changes] == [
        ("POST", "start", {}, None),
        ("POST", "stop", {"t": "3"}, None),
        ("POST", "wait", {"condition": "not-running"}, None),
        ("DELETE", MINE, {"force": "0", "v": "1"}, None),
    ]


@pytest.mark.parametrize(
    ("method", "call", "query"),
    [
        ("POST", "/stop", {"t": "-1"}),
        ("POST", "/stop", {"t": "9999"}),
        ("POST", "/kill", {"signal": "SIGSTOP"}),
        ("GET", "/logs", {"since": "x"}),
        ("GET", "/logs", {"tail": "-1"}),
    ],
)
def test_a_parameter_that_is_none_is_refused(host: Host, method: str, call: str, query: dict[str, str]) -> None:
    assert host.ask(method, f"/containers/{MINE}{call}", **query)[0] == 400
    assert host.engine.changes == []


@pytest.mark.parametrize("status", ["running", "exited", "dead"])
def test_what_has_run_is_not_run_again(host: Host, status: str) -> None:
    """Two tries may start one container; the second may come when it has ended already."""
    host.engine.containers[MINE]["State"]["Status"] = status
    assert host.ask("POST", f"/containers/{MINE}/start")[0] == 304
    assert host.engine.changes == []


def test_a_container_is_renamed_only_out_of_the_next_trys_way(host: Host) -> None:
    for name in ("", "x", "ours.d.train_model", f"ours.d.train_model.failed-{OTHERS[:12]}", "bulkhead-scheduler-1"):
        assert host.ask("POST", f"/containers/{MINE}/rename", name=name)[0] == 403
    aside = f"ours.d.train_model.failed-{MINE[:12]}"
    assert host.ask("POST", f"/containers/{MINE}/rename", name=aside)[0] == 204
    assert [query for _, _, query, _ in host.engine.changes] == [{"name": aside}]


@pytest.mark.parametrize("status", ["running", "paused", "restarting"])
def test_what_has_not_ended_is_not_removed(host: Host, status: str) -> None:
    host.engine.containers[MINE]["State"]["Status"] = status
    assert host.ask("DELETE", f"/containers/{MINE}", force="1")[0] == 409
    assert host.engine.changes == []


def test_a_list_is_of_this_projects_steps_whatever_was_asked(host: Host) -> None:
    host.ask("GET", "/containers/json", all="1", filters='{"label": ["x"]}')
    ((_, _, query, _),) = host.engine.asked
    assert json.loads(query["filters"]) == {"label": ["io.bulkhead.project=ours", "io.bulkhead.dag"]}


def test_of_the_engine_itself_little_is_told(host: Host) -> None:
    assert host.ask("GET", "/info")[1] == {
        "ID": "E1",
        "Name": "host",
        "NCPU": 2,
        "MemTotal": 64 << 30,
        "ServerVersion": None,
    }


def test_an_engine_that_does_not_answer_is_told_as_such(host: Host, tmp_path: Path) -> None:
    host.routes = Routes(Engine(tmp_path / "none.sock", 1), "ours", host.said.append, host.variables)
    for method, path in (("GET", "/_ping"), ("GET", f"/containers/{MINE}/json")):
        status, said = host.ask(method, path)
        assert status == 502
        assert "the engine does not answer" in said


def test_dockers_own_client_speaks_with_the_launcher(host: Host, tmp_path: Path) -> None:
    server = Server(tmp_path / "launcher.sock", host.routes.answer, body_limit=1 << 20)
    server.start()
    client = APIClient(base_url=f"unix://{tmp_path / 'launcher.sock'}", version="auto", timeout=10)
    try:
        assert client.info()["ID"] == "E1"
        assert client.inspect_container(MINE)["Id"] == MINE
        with pytest.raises(NotFound):
            client.inspect_container(OTHERS)
        with pytest.raises(APIError, match="no call that a step needs"):
            client.exec_create(MINE, "sh")
        assert client.wait(MINE)["StatusCode"] == 0
        assert client.stats(MINE, stream=False, one_shot=True)["memory_stats"] == {"usage": 1}
        client.start(MINE)
        client.stop(MINE, timeout=3)
        client.remove_container(MINE)
    finally:
        client.close()
        server.stop()


def test_a_follower_that_goes_ends_what_it_followed(host: Host, tmp_path: Path) -> None:
    server = Server(tmp_path / "launcher.sock", host.routes.answer)
    server.start()
    # What follows an output in packages/engine asks so too; docker-py's types do not have it.
    client: Any = APIClient(base_url=f"unix://{tmp_path / 'launcher.sock'}", version="1.41", timeout=10)
    try:
        url = client._url("/containers/{0}/logs", MINE)
        with client._get(url, params={"stdout": 1, "follow": 1}, stream=True) as response:
            assert response.raw.read(5) == b"line\n"
            assert not host.engine.ended.is_set()
            begun = time.monotonic()
        client.close()
        assert host.engine.ended.wait(15)
        assert time.monotonic() - begun < 15
    finally:
        server.stop()


def test_who_waits_no_longer_for_a_hung_engine_gives_its_place_back(host: Host, tmp_path: Path) -> None:
    server = Server(tmp_path / "launcher.sock", host.routes.answer, most=1)
    server.start()
    host.engine.hangs = True
    try:
        with pytest.raises(OSError, match="timed out"):
            Client(tmp_path / "launcher.sock", 0.5).request("POST", f"/containers/{MINE}/wait")
        assert host.engine.ended.wait(15)
        deadline = time.monotonic() + 15
        while Client(tmp_path / "launcher.sock", 5).request("GET", "/_ping")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        server.stop()


def test_a_request_is_answered_in_the_words_of_the_engine(host: Host) -> None:
    host.engine.containers[MINE]["State"]["Status"] = "running"
    response = host.routes.answer(Request("GET", f"/v1.47/containers/{MINE}/json"))
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["Config"]["Labels"]["io.bulkhead.task"] == "train_model"
