"""What the launcher does where there are several hosts: room, a run folder that is left to a lost host, the probe."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from bulkhead.hosts_protocol import PROBES
from bulkhead.unix_http import Refusal
from engine.settings import Settings
from launcher import room

if TYPE_CHECKING:
    from pathlib import Path

    from tests.launcher.support import Host

GB = 1 << 30
RUN = "shared/runs/d/manual__1"


@pytest.fixture
def one_of_several(host: Host) -> Host:
    host.variables["BULKHEAD_HOST_NAME"] = "gpu1"
    return host


def settings(**changes: Any) -> Settings:
    return Settings(**{"host_folder": "/p", "host": "gpu1", "cpus": 1.0, "memory": "2g", **changes})


def running(*gigabytes: float) -> list[dict[str, Any]]:
    return [{"HostConfig": {"Memory": int(one * GB)}} for one in gigabytes]


def test_memory_is_not_promised_twice() -> None:
    info = {"NCPU": 4, "MemTotal": 9 * GB}  # one is the worker's
    room.check(settings(), info, running(2, 2, 2))
    with pytest.raises(Refusal, match=r"the host gpu1 is full: 6\.5 GiB of its 8\.0 GiB") as refusal:
        room.check(settings(), info, running(2, 2, 2.5))
    assert refusal.value.status == 429


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory": "16g"}, "it needs 16.0 GiB of memory .* and the host gpu1 has 8.0 GiB for steps"),
        ({"cpus": 8.0}, "it needs 8 CPUs .* and the host gpu1 has 4 for steps"),
        ({"memory": "3g", "host_memory": "2g"}, "has 2.0 GiB for steps"),
        ({"cpus": 2.0, "host_cpus": 1.0}, "has 1 for steps"),
    ],
)
def test_what_never_fits_is_refused_for_good(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal, match=words) as refusal:
        room.check(settings(**changes), {"NCPU": 4, "MemTotal": 9 * GB}, [])
    assert refusal.value.status == 400


def test_the_first_host_keeps_more_for_its_services() -> None:
    with pytest.raises(Refusal, match=r"the host main has 1\.0 GiB"):
        room.check(settings(host="main"), {"NCPU": 4, "MemTotal": 3 * GB}, [])


def test_a_full_host_makes_no_container_and_leaves_the_run_folder(one_of_several: Host) -> None:
    one_of_several.engine.memory = GB + (100 << 20)
    status, message = one_of_several.create()
    assert (status, one_of_several.engine.changes) == (400, [])
    assert "for steps" in message
    assert not (one_of_several.folder / RUN).exists()


def test_where_there_is_one_host_nobody_looks_for_room(host: Host) -> None:
    host.engine.memory = 1
    assert host.create()[0] == 201


def test_a_run_folder_that_a_lost_host_may_write_into_is_left_to_it(one_of_several: Host) -> None:
    folder = one_of_several.folder / RUN
    folder.mkdir(parents=True)
    (folder / "preprocessing.json").write_text("{}")
    (folder / "preprocessing.parquet").write_text("table")
    (folder / "train_model.json").write_text("an old proof")
    (folder / ".train_model.json.x.tmp").write_text("half")
    (folder / "sub").mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    lost = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # as the mount of a container that runs on
    try:
        assert one_of_several.create(is_anew=True)[0] == 201
        assert {one.name for one in folder.iterdir()} == {"preprocessing.json", "preprocessing.parquet"}
        os.rename(".train_model.json.x.tmp", "train_model.json", src_dir_fd=lost, dst_dir_fd=lost)
    finally:
        os.close(lost)
    assert not (folder / "train_model.json").exists()
    aside = folder.with_name("manual__1.lost-1")
    assert (aside / "train_model.json").read_text() == "half"
    assert one_of_several.create(is_anew=True)[0] == 201
    assert folder.with_name("manual__1.lost-2").is_dir()


def test_a_run_that_has_no_folder_yet_is_begun_as_ever(one_of_several: Host) -> None:
    assert one_of_several.create(is_anew=True)[0] == 201
    assert [one.name for one in (one_of_several.folder / "shared/runs/d").iterdir()] == ["manual__1"]


def test_the_probe_is_written_where_the_registrar_looks(one_of_several: Host) -> None:
    token = "0123456789abcdef" * 2
    assert one_of_several.ask("POST", "/probe", token=token)[0] == 204
    assert (one_of_several.folder / PROBES / "gpu1").read_text() == token
    assert one_of_several.ask("POST", "/probe", token="f" * 32)[0] == 204
    assert (one_of_several.folder / PROBES / "gpu1").read_text() == "f" * 32


@pytest.mark.parametrize("token", ["", "../x", "F" * 32, "a" * 33])
def test_a_probe_that_is_none_writes_nothing(one_of_several: Host, token: str) -> None:
    assert one_of_several.ask("POST", "/probe", token=token)[0] == 400
    assert not (one_of_several.folder / PROBES).exists()


def test_a_probes_folder_that_is_a_link_is_not_followed(one_of_several: Host, tmp_path_factory: Any) -> None:
    elsewhere: Path = tmp_path_factory.mktemp("elsewhere")
    (one_of_several.folder / PROBES).symlink_to(elsewhere)
    assert one_of_several.ask("POST", "/probe", token="a" * 32)[0] == 400
    assert list(elsewhere.iterdir()) == []


def test_without_other_hosts_there_is_no_probe(host: Host) -> None:
    assert host.ask("POST", "/probe", token="a" * 32)[0] == 400


def test_two_steps_do_not_get_the_same_room(one_of_several: Host) -> None:
    """There is room for one: whoever looks for it has it until the container is made."""
    one_of_several.engine.memory = GB + (500 << 20)
    made: list[int] = []

    def create(number: int) -> None:
        made.append(one_of_several.create(identity={"run_id": f"manual__{number}"})[0])

    one_of_several.engine.on_create = one_of_several.engine.add_step
    threads = [threading.Thread(target=create, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(made) == [201, 429, 429, 429]
