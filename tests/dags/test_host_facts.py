"""What a host tells of itself: its code, its engine, what runs there, what it found in its folders."""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.dags.without_airflow import load

from bulkhead.hosts_protocol import PROBE, HostAnswer, Probe
from bulkhead.unix_http import Refusal, Request, Response, Server
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

facts_module = load("host_facts")


class Launcher:
    """What a host's launcher answers."""

    def __init__(self, path: Path) -> None:
        self.running: list[dict[str, str]] = []
        self.is_away = False
        self.probes: list[str] = []
        self.layers = ["sha256:1"]
        self.server = Server(path, self._answer)
        self.server.start()

    def _answer(self, request: Request) -> Response:
        if self.is_away:
            raise Refusal(502, "the engine does not answer")
        match request.path.split("/")[1:]:
            case ["info"]:
                return Response.of({"ID": "E", "NCPU": 4, "MemTotal": 9 << 30, "ServerVersion": "26"})
            case ["images", "bulkhead", name, "json"] if name.startswith("trainer"):
                return Response.of({"Id": "x", "Config": {"Labels": {}}, "RootFS": {"Layers": self.layers}})
            case ["containers", "json"]:
                return Response.of([{"Id": "c", "Labels": one} for one in self.running])
            case ["probe"]:
                self.probes.append(request.query["token"])
                return Response(204)
        raise Refusal(404, "no such image")


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    made = Launcher(tmp_path / "l.sock")
    yield made
    made.server.stop()


@pytest.fixture
def facts(tmp_path: Path, launcher: Launcher) -> Any:
    del launcher
    for name in ("models", "dags", "project"):
        (tmp_path / name).mkdir()
    settings = Settings(host_folder="/p", folder=tmp_path, host="gpu1")
    folders = {name: tmp_path / name for name in ("dags", "project")}
    return facts_module.HostFacts("gpu1", settings, tmp_path / "l.sock", folders)


def test_a_report_has_what_the_registrar_judges(facts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_GIT_COMMIT", "abc")
    monkeypatch.delenv("BULKHEAD_STEP_SLOTS", raising=False)
    (tmp_path / "dags/a.py").write_text("a")
    report = facts.report(1.0, 3, None)
    assert (report.engine, report.engine_version, report.commit, report.began) == ("E", "26", "abc", 1.0)
    assert (report.cpus, report.memory, report.slots, report.free) == (4, 9 << 30, 4, 3)
    assert set(report.images) == {"trainer"}
    assert report.code["dags"] != report.code["project"]
    assert report.probed is None


def test_an_image_of_other_layers_has_another_digest(facts: Any, launcher: Launcher) -> None:
    before = facts.report(1.0, 1, None).images
    launcher.layers = ["sha256:2"]
    assert facts.report(1.0, 1, None).images != before


def test_an_engine_that_is_away_is_told(facts: Any, launcher: Launcher) -> None:
    launcher.is_away = True
    report = facts.report(1.0, 1, None)
    assert (report.engine, report.images, report.slots) == (None, {}, 1)
    assert facts.occupied({("d", "r", "t", -1)}) == {("d", "r", "t", -1)}


def test_what_runs_is_counted_by_its_task(facts: Any, launcher: Launcher) -> None:
    one = {"io.bulkhead.dag": "d", "io.bulkhead.run": "r", "io.bulkhead.task": "t"}
    launcher.running = [{**one, "io.bulkhead.map-index": "-1"}, {**one, "io.bulkhead.map-index": "3"}, {"x": "y"}]
    assert facts.occupied(set()) == {("d", "r", "t", -1), ("d", "r", "t", 3)}


def test_what_was_asked_for_is_looked_for(facts: Any, launcher: Launcher, tmp_path: Path) -> None:
    answer = HostAnswer(problems=[], queues=[], probe=Probe(models="m" * 32, shared="a" * 32))
    assert facts.report(1.0, 1, answer).probed.models is None
    assert launcher.probes == ["a" * 32]
    path = tmp_path / "models" / PROBE
    path.write_text("m" * 32)
    assert not facts.report(1.0, 1, answer).probed.is_locked
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        probed = facts.report(1.0, 1, answer).probed
    assert (probed.models, probed.is_locked) == ("m" * 32, True)


def test_any_edit_of_a_file_or_its_name_changes_a_folders_digest(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    assert facts_module.digest_of(folder) == ""
    folder.mkdir()
    seen = {facts_module.digest_of(folder)}
    for change in (
        lambda: (folder / "a.py").write_text("1"),
        lambda: (folder / "a.py").write_text("2"),
        lambda: (folder / "a.py").rename(folder / "b.py"),
        lambda: (folder / "c.py").write_text(""),
    ):
        change()
        seen.add(facts_module.digest_of(folder))
    assert len(seen) == 5
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/x.pyc").write_bytes(b"x")
    assert facts_module.digest_of(folder) in seen


def test_a_digest_is_plain_json(facts: Any) -> None:
    import msgspec

    assert json.loads(msgspec.json.encode(facts.report(1.0, 1, None)))["engine"] == "E"
