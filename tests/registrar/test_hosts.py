"""Which hosts live, which are lost, and where a task has its container."""

from __future__ import annotations

import fcntl
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.registrar.support import DAG, PROJECT, RUN, Launcher, Service, try_id
from tests.support.project import lines_of

from bulkhead.hosts_protocol import MAIN, PROBE, PROBES, GiveUpRequest, HostReport, Probed, WhereRequest
from bulkhead.unix_http import Refusal
from registrar.containers import Containers
from registrar.database import Away
from registrar.host_tables import HostRow
from registrar.hosts import Hosts
from registrar.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNNING = {"Status": "running", "Running": True, "ExitCode": 0}


class Tables:
    """What Postgres would keep."""

    def __init__(self) -> None:
        self.kept = {"gpu1": HostRow(name="gpu1", generation="1", queues=["default", "gpu"])}
        self.lost: set[str] = set()
        self.is_away = False

    def rows(self) -> list[HostRow]:
        if self.is_away:
            raise Away("Postgres does not answer")
        return list(self.kept.values())

    def given_up(self) -> set[str]:
        return set(self.lost)

    def give_up(self, container: str, host: str) -> None:
        del host
        self.lost.add(container)


class Cluster(Service):
    """A registrar with one more host."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tables_of_hosts, self.other = Tables(), Launcher()
        self.hosts = Hosts(
            self.tables_of_hosts,  # type: ignore[arg-type]  # in memory
            folder,
            Containers(self.launcher, PROJECT, MAIN),
            lease=60,
            queues=["default"],
            connect=lambda name: Containers(self.other, PROJECT, name),
        )
        self.registrar.hosts = self.hosts
        self.sweeps = {name: Sweep(self.registrar, host=name) for name in (MAIN, "gpu1")}
        self.hosts.refresh()

    def round_on(self, name: str) -> None:
        self.sweeps[name].round()
        for begun in list(self.sweeps[name]._concluding.values()):
            begun.result(20)

    def on_other(self, number: int = 1, **changes: Any) -> str:
        """A container of that try on the other host; returns its id."""
        container = self.container(number, **changes)
        self.other.containers[container] = self.launcher.containers.pop(container)
        return container

    def give_to(self, host: str, *states: str | None) -> None:
        """Airflow's tries of the task, all of them given to ``host``."""
        self.tries(*states)
        task = self.task()
        self.airflow.tasks[task] = [msgspec.structs.replace(one, host=host) for one in self.airflow.tasks[task]]

    def asked(self, path: str, body: object) -> tuple[int, Any]:
        """Status and answer."""
        try:
            return 200, self.ask(path, body)
        except Refusal as refusal:
            return refusal.status, {"message": refusal.message}

    def lose(self, name: str = "gpu1") -> None:
        self.hosts._hosts[name].seen -= 61

    def change(self, **changes: Any) -> None:
        self.tables_of_hosts.kept["gpu1"] = msgspec.structs.replace(self.tables_of_hosts.kept["gpu1"], **changes)
        self.hosts._refreshed = 0

    def ask_to_give_up(self, container: str, host: str = "gpu1") -> Any:
        return self.registrar.give_up(GiveUpRequest(host=host, container=container, dag_id=DAG, run_id=RUN))


def report(**changes: Any) -> HostReport:
    """One of a host that is well."""
    given = {
        "time": time.time(),
        "began": 1.0,
        "commit": "abc",
        "engine": "E",
        "images": {"trainer": "t", "inference": "i"},
        "code": {"dags": "d", "project": "p"},
    }
    return HostReport(**{**given, **changes})


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.index.close()
    made.hosts._probes.end()


def test_one_host_has_no_others_and_is_asked_as_ever(service: Service) -> None:
    hosts = service.registrar.hosts
    assert hosts.names() == [MAIN]
    assert hosts.listing() == []
    answer, known = hosts.give_up(GiveUpRequest(host="gpu1", container="c", dag_id="d", run_id="r"))
    assert (answer.state, known) == ("unknown", None)


def test_a_container_is_where_its_launcher_says(cluster: Cluster) -> None:
    cluster.give_to("gpu1", "running")
    cluster.on_other(state=RUNNING)
    assert cluster.hosts.where(cluster.task()) is None
    cluster.round_on("gpu1")
    assert cluster.hosts.where(cluster.task()) == "gpu1"
    status, answer = cluster.asked("/whereabouts", WhereRequest(dag_id=DAG, run_id=RUN, task_id="train_model"))
    assert (status, answer) == (200, {"host": "gpu1"})


def test_a_try_elsewhere_is_told_where_the_container_is(cluster: Cluster) -> None:
    cluster.give_to("gpu1", "failed", "running")
    cluster.on_other(state=RUNNING)
    cluster.round_on("gpu1")
    asked = {"try_id": try_id(2), "dag_id": DAG, "run_id": RUN, "task_id": "train_model"}
    assert cluster.asked("/look", asked)[1]["elsewhere"] == "gpu1"
    assert cluster.asked("/hosts/gpu1/look", asked)[1]["elsewhere"] is None


def test_a_silent_host_is_waited_for_and_a_lost_one_given_up(cluster: Cluster) -> None:
    cluster.give_to("gpu1", "failed", "running")
    container = cluster.on_other(state=RUNNING)
    cluster.round_on("gpu1")
    cluster.other.away = True
    waits = cluster.ask_to_give_up(container)
    assert waits.state == "silent"
    assert 50 < waits.seconds <= 60
    cluster.lose()
    assert cluster.ask_to_give_up(container).state == "lost"
    assert cluster.hosts.where(cluster.task()) is None
    (failure,) = lines_of(cluster.registry.training_journal)
    assert (failure["cause"], failure["host"], failure["try_number"]) == ("host_lost", "gpu1", 1)
    assert cluster.tables_of_hosts.lost == {container}


def test_a_living_host_that_has_the_container_keeps_it(cluster: Cluster) -> None:
    cluster.give_to("gpu1", "failed", "running")
    container = cluster.on_other(state=RUNNING)
    assert cluster.ask_to_give_up(container).state == "there"
    del cluster.other.containers[container]
    assert cluster.ask_to_give_up(container).state == "gone"
    assert cluster.tables_of_hosts.lost == set()


def test_what_comes_back_late_is_stopped_and_counts_no_more(cluster: Cluster) -> None:
    cluster.give_to("gpu1", "failed", "running")
    container = cluster.on_other(state=RUNNING)
    cluster.lose()
    cluster.ask_to_give_up(container)
    cluster.hosts.report("gpu1", report(), time.time())
    cluster.round_on("gpu1")
    assert cluster.other.done == [f"POST {container[:3]} stop", f"POST {container[:3]} rename"]
    cluster.other.containers[container]["State"] = {"Status": "exited", "Running": False, "ExitCode": 0}
    status, concluded = cluster.asked("/hosts/gpu1/conclude", {"container": container})
    assert (status, concluded["verdict"]) == (200, "superseded")
    assert [line["cause"] for line in lines_of(cluster.registry.training_journal)] == ["host_lost"]


def test_another_step_of_the_run_keeps_its_folder(cluster: Cluster) -> None:
    cluster.give_to("gpu1", "failed", "running")
    cluster.tries("running", task_id="other")
    container = cluster.on_other(state=RUNNING)
    cluster.container(task_id="other", state=RUNNING)
    cluster.round_on(MAIN)
    cluster.lose()
    assert not cluster.ask_to_give_up(container).is_alone


def test_a_host_speaks_for_the_tries_that_airflow_gave_it_and_for_no_other(cluster: Cluster) -> None:
    cluster.give_to("gpu2", "running")
    container = cluster.on_other()
    status, answer = cluster.asked("/hosts/gpu1/conclude", {"container": container})
    assert status == 409
    assert "has not given this try" in answer["message"]
    assert lines_of(cluster.registry.training_journal) == []


def test_a_model_says_on_which_host_it_was_made(cluster: Cluster) -> None:
    cluster.give_to("gpu1", "running")
    container = cluster.trained()
    cluster.other.containers[container] = cluster.launcher.containers.pop(container)
    assert cluster.asked("/hosts/gpu1/conclude", {"container": container})[1]["verdict"] == "recorded"
    assert lines_of(cluster.registry.training_journal)[-1]["host"] == "gpu1"


def test_a_host_that_is_not_known_is_told_so(cluster: Cluster) -> None:
    status, answer = cluster.asked("/hosts/gpu9/report", report())
    assert status == 503
    assert "there is no host gpu9" in answer["message"]


def test_a_registrar_that_begins_anew_loses_nobody(cluster: Cluster) -> None:
    assert not cluster.hosts.is_lost("gpu1")
    assert cluster.hosts.is_lost("gpu9")


def test_the_first_host_is_never_lost(cluster: Cluster) -> None:
    cluster.lose(MAIN)
    assert not cluster.hosts.is_lost(MAIN)


def test_one_whose_engine_does_not_answer_gives_no_sign_of_life(cluster: Cluster) -> None:
    cluster.lose()
    cluster.hosts.report("gpu1", report(engine=None), time.time())
    assert cluster.hosts.is_lost("gpu1")
    cluster.hosts.report("gpu1", report(), time.time())
    assert not cluster.hosts.is_lost("gpu1")


def test_a_released_host_is_lost_until_it_is_heard_of(cluster: Cluster) -> None:
    cluster.change(released_at=datetime.now(UTC))
    cluster.hosts.refresh()
    assert cluster.hosts.is_lost("gpu1")
    cluster.hosts.report("gpu1", report(), time.time())
    assert not cluster.hosts.is_lost("gpu1")


def test_one_that_is_added_anew_is_another(cluster: Cluster) -> None:
    cluster.hosts.report("gpu1", report(), time.time())
    cluster.change(generation="2")
    assert cluster.hosts.listing()[1].report is None


def test_a_host_takes_work_once_its_folders_are_seen_to_be_the_registrars(cluster: Cluster) -> None:
    cluster.hosts.report(MAIN, report(), time.time())
    first = cluster.hosts.report("gpu1", report(), time.time())
    assert first.problems == ["its folders were not looked at yet."]
    assert first.probe is not None
    written = cluster.folder / "models" / PROBE
    assert written.read_text() == first.probe.models
    with written.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    (cluster.folder / PROBES).mkdir(parents=True)
    (cluster.folder / PROBES / "gpu1").write_text(first.probe.shared)
    seen = report(probed=Probed(first.probe.models, is_locked=True))
    # A cache shows what it has never seen as it is: so it is asked again, at once.
    second = cluster.hosts.report("gpu1", seen, time.time())
    assert second.problems == ["its folders were not looked at yet."]
    assert second.probe is not None
    assert second.probe != first.probe
    (cluster.folder / PROBES / "gpu1").write_text(second.probe.shared)
    seen = report(probed=Probed(second.probe.models, is_locked=True))
    answer = cluster.hosts.report("gpu1", seen, time.time())
    assert (answer.problems, answer.probe, answer.queues) == ([], None, ["default", "gpu"])


def test_a_cache_that_shows_the_first_look_again_is_told(cluster: Cluster) -> None:
    cluster.hosts.report(MAIN, report(), time.time())
    probe = cluster.hosts.report("gpu1", report(), time.time()).probe
    assert probe is not None
    (cluster.folder / PROBES).mkdir(parents=True)
    cached = report(probed=Probed(probe.models, is_locked=True))
    written = cluster.folder / PROBES / "gpu1"
    written.write_text(probe.shared)
    again = cluster.hosts.report("gpu1", cached, time.time()).probe
    assert again is not None
    written.write_text(again.shared)
    (problem,) = cluster.hosts.report("gpu1", cached, time.time()).problems
    assert "no cache" in problem


@pytest.mark.parametrize(
    ("models", "shared", "is_locked", "words"),
    [
        ("old", "new", True, "models/ is not the first host's: it shows something else"),
        (None, "new", True, "models/ is not the first host's: it shows nothing"),
        ("new", "old", True, "shared/ is not the first host's"),
        ("new", None, True, "shared/ is not the first host's"),
        ("new", "new", False, "a lock in models/ that the registrar holds is not seen"),
    ],
)
def test_folders_that_are_others_or_cached_or_without_locks_are_told(
    cluster: Cluster,
    models: str | None,
    shared: str | None,
    is_locked: bool,  # noqa: FBT001
    words: str,
) -> None:
    cluster.hosts.report(MAIN, report(), time.time())
    probe = cluster.hosts.report("gpu1", report(), time.time()).probe
    assert probe is not None
    (cluster.folder / PROBES).mkdir(parents=True)
    if shared is not None:
        (cluster.folder / PROBES / "gpu1").write_text(probe.shared if shared == "new" else "old")
    saw = probe.models if models == "new" else models
    answer = cluster.hosts.report("gpu1", report(probed=Probed(saw, is_locked=is_locked)), time.time())
    (problem,) = answer.problems
    assert words in problem
    assert answer.probe is not None  # it is looked at again


def test_two_hosts_have_the_probe_one_after_the_other(cluster: Cluster) -> None:
    cluster.tables_of_hosts.kept["gpu2"] = HostRow(name="gpu2", generation="1", queues=["default"])
    cluster.hosts._refreshed = 0
    assert cluster.hosts.report("gpu1", report(), time.time()).probe is not None
    assert cluster.hosts.report("gpu2", report(), time.time()).probe is None
    cluster.hosts.report("gpu1", report(probed=Probed(None, is_locked=False)), time.time())
    assert cluster.hosts._probes._begun is not None  # the first one's again, at once
    cluster.hosts._probes.end()
    assert cluster.hosts.report("gpu2", report(), time.time()).probe is not None


def test_a_removed_hosts_container_may_be_started_anew(cluster: Cluster) -> None:
    cluster.give_to("gpu1", "failed", "running")
    container = cluster.on_other(state=RUNNING)
    del cluster.tables_of_hosts.kept["gpu1"]
    cluster.hosts._refreshed = 0
    assert cluster.ask_to_give_up(container).state == "lost"
    with pytest.raises(Away, match="no host gpu1"):
        cluster.hosts.containers("gpu1")


def test_postgres_may_be_away_and_nobody_is_lost_for_it(cluster: Cluster) -> None:
    cluster.tables_of_hosts.is_away = True
    cluster.lose()
    cluster.hosts._refreshed = 0
    cluster.hosts.report("gpu1", report(), time.time())
    assert not cluster.hosts.is_lost("gpu1")
    assert [one.name for one in cluster.hosts.listing()] == [MAIN, "gpu1"]
