"""The shared folders on JuiceFS: a mount for each host, with its metadata in Postgres. Cached mounts are refused."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import task
from tests.faults.engine import AS_ROOT
from tests.faults.shell import WAITS, docker
from tests.faults.support import INFER, TRAIN, verify, wait_until
from tests.hosts.machine import Machine
from tests.hosts.support import LEASE, Cluster
from tests.system.support import ROOT

from bulkhead.paths import run_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JUICEFS = str(ROOT / ".venv/bin/juicefs")
UNCACHED = (
    *("--attr-cache=0", "--entry-cache=0", "--dir-entry-cache=0", "--open-cache=0"),
    *("--cache-size=0", "-o", "allow_other"),
)
CACHED = ("--attr-cache=60", "--entry-cache=60", "--dir-entry-cache=60", "-o", "allow_other")
POSTGRES = "postgres:17"


class Volume:
    """A JuiceFS volume: what is in its files, and a database of who has them."""

    def __init__(self, folder: Path) -> None:
        self._name = f"bulkhead-test-juicefs-{folder.parent.name}"
        self._bucket = folder / "bucket"
        given = ["--env", "POSTGRES_PASSWORD=juice", "--name", self._name]
        docker("run", "--detach", *given, POSTGRES)
        network = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = docker("inspect", "--format", network, self._name).strip()
        self.url = f"postgres://postgres:juice@{address}:5432/postgres?sslmode=disable"
        ready = ["docker", "exec", self._name, "pg_isready", "--quiet", "--host=127.0.0.1"]
        wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, 60, "Postgres is not ready")
        self._juicefs(
            "format", "--storage", "file", "--bucket", f"{self._bucket}/", "--trash-days=0", self.url, "shared"
        )

    def mount(self, where: Path, options: tuple[str, ...] = UNCACHED) -> None:
        where.mkdir(parents=True, exist_ok=True)
        self._juicefs("mount", "--background", "--no-usage-report", *options, self.url, str(where))

    def remove(self) -> None:
        docker("rm", "--force", "--volumes", self._name)

    def _juicefs(self, *arguments: str) -> None:
        done = subprocess.run([*AS_ROOT, JUICEFS, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]


def unmount(where: Path) -> None:
    subprocess.run([*AS_ROOT, "umount", "--lazy", str(where)], capture_output=True, check=False)


class JuiceMachine(Machine):
    """A host that mounts the volume itself."""

    volume: Volume
    options: tuple[str, ...] = UNCACHED

    def mount(self) -> None:
        self.volume.mount(self.tree, self.options)


class JuiceCluster(Cluster):
    def __init__(self, folder: Path, volume: Volume, **settings: str) -> None:
        super().__init__(folder, "one", "two", **settings)
        for machine in self.machines.values():
            machine.__class__ = JuiceMachine
            assert isinstance(machine, JuiceMachine)
            machine.volume = volume


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    volume = Volume(tmp_path_factory.mktemp("volume"))
    folder = tmp_path_factory.mktemp("tree") / "mounted"
    made = None
    try:
        volume.mount(folder)
        made = JuiceCluster(folder, volume, BULKHEAD_DEFER_AFTER="0")
        with ThreadPoolExecutor(2) as pool:
            made.begin(pool)
        with made.images(WAITS):
            yield made
    finally:
        if made is not None:
            made.end()
        unmount(folder)
        volume.remove()


def test_both_pipelines_run_step_by_step_on_whichever_host(cluster: Cluster) -> None:
    """Each step reads at once what another host has just written."""
    hosts = set()
    for _ in range(4):
        run_id = cluster.airflow.trigger(TRAIN)
        wait_until(partial(cluster.running_on, run_id), 90, "train_model does not run")
        cluster.go(run_id)
        *_, (state, _) = cluster.airflow.states(TRAIN, run_id, 120)
        assert state == "success", cluster.trainings(run_id)
        hosts |= {task(cluster, run_id, name)["hostname"] for name in ("preprocessing", "train_model")}
        inference, state = cluster.run(INFER)
        assert state == "success", cluster.inferences(inference)
    assert hosts == {"one", "two"}
    verify(cluster)


def test_a_cached_mount_is_refused(cluster: Cluster) -> None:
    one = cluster.machines["one"]
    assert isinstance(one, JuiceMachine)
    one.unmount()
    one.options = CACHED
    one.mount()
    # It has to have something to remember.
    list((one.tree / "models").iterdir())
    done = one.try_to_join()
    try:
        wait_until(lambda: cluster.hosts()["one"]["problems"], 150, "a cached mount is taken for good")
        assert any("no cache" in problem for problem in cluster.hosts()["one"]["problems"]), done.stderr
    finally:
        one.unmount()
        one.options = UNCACHED
        one.mount()
        one.join_again()
    cluster.wait_for_state("one", "ready", 120)


def test_a_host_that_is_cut_off_writes_where_nobody_looks(cluster: Cluster) -> None:
    """It is cut off from the first host, and still has the file system: the worst of both."""
    one = cluster.machines["one"]
    with cluster.only(one):
        run_id = cluster.airflow.trigger(TRAIN)
        one.wait_for_step(run_id)
    since = time.monotonic()
    with one.cut_off():
        cluster.machines["two"].wait_for_step(run_id, seconds=LEASE + 60)
        aside = cluster.folder / f"{run_path(TRAIN, run_id)}.lost-1"
        (aside / "go").touch()
        wait_until((aside / "train_model.json").exists, 60, "the step on the lost host has not ended")
        assert not (cluster.folder / run_path(TRAIN, run_id) / "train_model.json").exists()
        cluster.go(run_id)
        *_, (state, _) = cluster.airflow.states(TRAIN, run_id, 120)
    assert state == "success"
    assert time.monotonic() - since < LEASE + 60 + 60
    assert [model["host"] for model in cluster.published(run_id)] == ["two"]
    cluster.wait_for_state("one", "ready", 60)
    verify(cluster)
