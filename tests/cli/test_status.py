"""``registry status``, and the health that it and the page tell: from files, and from a registrar if there is one."""

from __future__ import annotations

import json
import shutil
import time
from collections import namedtuple
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.support.project import inferred, publish, training_failure

from bulkhead.files import sha256
from bulkhead.hosts_protocol import HostStatus
from bulkhead.index.state_reader import StateReader
from bulkhead.queries import health
from bulkhead.registrar_protocol import SOCKET_VARIABLE
from bulkhead.registry import record_lines
from bulkhead.registry.records import InferenceFailure
from bulkhead.unix_http import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Command

    from bulkhead.queries.health import Health, LastVerify
    from bulkhead.registry.store import Registry

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024  # what shutil.disk_usage returns


class Registrar:
    """Answers as the registrar does, whatever the test has it know."""

    def __init__(self, path: Path) -> None:
        self.trouble: str | None = None
        self.heads: dict[str, Any] = {"training": None, "inference": None}
        self.hosts: list[HostStatus] = []
        self.server = Server(path, self._answer)
        self.server.start()

    def _answer(self, request: Request) -> Response:
        answers: dict[str, Any] = {
            "/health": {"state": "waiting" if self.trouble else "ready", "trouble": self.trouble},
            "/chain": self.heads,
            "/hosts": self.hosts,
        }
        return Response(200, msgspec.json.encode(answers[request.path]))

    def has_seen(self, registry: Registry, line: int = -1) -> None:
        """It saw the training journal when ``line`` was its last."""
        lines = registry.training_journal.read_bytes().splitlines()
        seq = json.loads(lines[line])["seq"]
        self.heads["training"] = {"seq": seq, "hash": sha256(lines[line]), "seen_at": "2026-11-29T10:00:00+00:00"}


@pytest.fixture
def registrar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registrar]:
    made = Registrar(tmp_path / "r.sock")
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "r.sock"))
    yield made
    made.server.stop()


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "nobody.sock"))


def looked(registry: Command, verified: LastVerify | None = None) -> Health:
    return health.look(registry.registry.folder, registry.shared, verified=verified)


def test_all_is_well_where_nothing_is_wrong(registry: Command, registrar: Registrar) -> None:
    model = publish(registry.registry, "prd")
    inferred(registry.registry, model)
    registrar.has_seen(registry.registry)
    ended = registry("status")
    assert (ended.code, ended.err) == (0, "")
    assert "All is well." in ended.out
    assert model.model_filename in ended.out
    assert "as the registrar saw it" in ended.out
    assert json.loads(registry.done("status", "--json"))["well"] is True


@pytest.mark.usefixtures("nobody")
def test_a_stack_that_is_down_is_said_to_be_and_the_files_tell_the_rest(registry: Command) -> None:
    model = publish(registry.registry, "prd")
    ended = registry("status")
    assert ended.code == 1
    assert "Wrong: The registrar does not answer" in ended.out
    assert model.model_filename in ended.out
    assert registry("status", "--json").code == 1


def test_what_is_served_is_told_by_environment_and_name(registry: Command, registrar: Registrar) -> None:
    del registrar
    dev, prd = publish(registry.registry, "dev", model=1), publish(registry.registry, "prd", model=2)
    churn = publish(registry.registry, "dev", model=3, model_name="churn")
    found = looked(registry)
    told = [(one.environment, one.name, one.model_filename, one.trouble) for one in found.served]
    assert told == [
        ("dev", "model", dev.model_filename, None),
        ("dev", "churn", churn.model_filename, None),
        ("prd", "model", prd.model_filename, None),
    ]
    assert found.served[0].since == dev.training_timestamp
    (registry.registry.folder / prd.model_filename).unlink()
    found = looked(registry)
    assert [one.trouble for one in found.served] == [None, None, "missing"]
    assert [prd.model_filename in problem for problem in found.problems] == [True]


def test_whoever_keeps_the_registrys_state_has_it_used(registry: Command, registrar: Registrar) -> None:
    del registrar
    model = publish(registry.registry, "prd")
    reader = StateReader(registry.registry.folder)
    reader.wait()
    with reader.reading() as state:
        assert state is not None
        known = health.places(state, registry.registry.folder)
    found = health.look(registry.registry.folder, registry.shared, known=known)
    assert found.served == looked(registry).served
    assert found.served[0].model_filename == model.model_filename


def test_the_last_run_of_each_pipeline_is_the_newest_whatever_came_of_it(
    registry: Command, registrar: Registrar
) -> None:
    del registrar
    model = publish(registry.registry, "prd")
    inferred(registry.registry, model)
    registry.registry.record_failure("training", training_failure("2026-03-01T00:00:00.000000+00:00"))
    registry.registry.record_failure(
        "training", training_failure("2026-04-01T00:00:00.000000+00:00", step="promote_model")
    )
    found = looked(registry)
    training, inference = found.runs
    assert (training.pipeline, training.outcome, training.cause) == ("training", "failed", "crashed")
    assert (training.time, training.what) == ("2026-03-01T00:00:00.000000+00:00", "it failed")
    assert (inference.pipeline, inference.outcome) == ("inference", "success")
    assert inference.what == f"2 predictions by {model.model_filename}"
    assert found.is_well, "a failed run is told, and nothing is wrong with the registry"
    failure = InferenceFailure(error_time="2026-05-01T00:00:00+00:00", error_message="no", environment="prd")
    registry.registry.record_failure("inference", failure)
    assert looked(registry).runs[1].outcome == "failed"


def test_a_journal_that_was_cut_off_is_told_and_one_that_goes_on_is_not(
    registry: Command, registrar: Registrar
) -> None:
    for number in range(3):
        publish(registry.registry, "dev", model=number)
    path = registry.registry.training_journal
    registrar.has_seen(registry.registry, -2)
    training, inference = looked(registry).journals
    assert (training.seq, training.agrees, training.size_bytes) == (3, True, path.stat().st_size)
    assert training.hash == sha256(path.read_bytes().splitlines()[-1])
    assert (inference.seq, inference.agrees, inference.size_bytes) == (None, None, 0)
    registrar.has_seen(registry.registry)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:-1]))
    cut = looked(registry)
    assert cut.journals[0].agrees is False
    assert any("is not the log that was seen last" in problem for problem in cut.problems)
    path.unlink()
    assert looked(registry).journals[0].agrees is False


def test_what_the_registrar_waits_for_is_said_once(registry: Command, registrar: Registrar) -> None:
    registrar.trouble = "Postgres is away."
    found = looked(registry)
    assert found.registrar.state == "waiting"
    assert found.problems == ["The registrar waits: Postgres is away."]


def test_a_host_that_is_lost_is_told(registry: Command, registrar: Registrar) -> None:
    registrar.hosts = [HostStatus(name="gpu1", queues=["gpu"], is_lost=True)]
    ended = registry("status")
    assert ended.code == 1
    assert "The host gpu1 is lost" in ended.out


def test_a_disk_that_is_nearly_full_is_told_once(
    registry: Command, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    del registrar
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000, 910, 90))
    found = looked(registry)
    assert [disk.percent_free for disk in found.disks] == [9, 9]
    assert [problem.startswith("The disk of models/ is nearly full") for problem in found.problems] == [True]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000, 900, 100))
    assert looked(registry).is_well


@pytest.mark.parametrize(
    ("verified", "words", "code"),
    [
        ({"damage": 0, "notes": 1, "trouble": None}, "clean, 1 note", 0),
        ({"damage": 2, "notes": 0, "trouble": None}, "2 findings", 1),
        ({"damage": 0, "notes": 0, "trouble": "It stopped."}, "It stopped.", 1),
    ],
)
def test_the_last_verify_counts(
    registry: Command, registrar: Registrar, verified: dict[str, Any], words: str, code: int
) -> None:
    del registrar
    told = json.dumps(verified | {"finished": "2026-11-30T10:00:00+00:00"})
    ended = registry("status", "--verified", told)
    assert ended.code == code
    assert words in ended.out
    assert "none is known of" in registry.done("status")


def test_a_million_inferences_are_not_read(registry: Command, registrar: Registrar) -> None:
    del registrar
    model = publish(registry.registry, "prd")
    publish(registry.registry, "dev")  # which has no inference at all: the search for one has an end
    line = record_lines.encode(inferred(registry.registry, model))
    with registry.registry.inference_journal.open("ab") as file:
        file.writelines([line * 1000] * 300)
    started = time.process_time()
    found = looked(registry)
    assert time.process_time() - started < 1
    assert [run.pipeline for run in found.runs] == ["training", "training", "inference"]


@pytest.mark.usefixtures("nobody")
def test_a_journal_that_is_no_file_is_a_problem_and_no_crash(registry: Command) -> None:
    registry.registry.training_journal.symlink_to("/etc/passwd")
    ended = registry("status")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "log.txt" in ended.out
