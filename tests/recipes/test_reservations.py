"""Two clones on one engine: a project name and a port belong to one of them."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import TAG, remove_containers
from tests.support.clone import Clone, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

LABEL = "io.bulkhead.clone"


def engine(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def reservations(folder: Path) -> set[str]:
    return set(engine("volume", "ls", "--quiet", "--filter", f"label={LABEL}={folder}").split())


@pytest.fixture
def copies(clone: Clone, tmp_path: Path) -> Iterator[Callable[[str], Clone]]:
    """A function that makes a fresh clone in a folder of a name, which chooses its project itself."""
    made = []

    def copy(name: str) -> Clone:
        folder = tmp_path / name
        shutil.copytree(clone.folder, folder)
        made.append(folder)
        return Clone(folder, "")

    yield copy
    for folder in made:
        for volume in reservations(folder):
            engine("volume", "rm", volume)


@pytest.fixture
def container_of(clone: Clone) -> Iterator[Callable[[Clone], str]]:
    """A function that makes a container as compose makes one for a clone's project; returns its id."""
    mark = f"io.bulkhead.test={clone.project}"

    def create(owner: Clone) -> str:
        project = settings(owner)["BULKHEAD_PROJECT"]
        labels = {"project": project, "config-hash": "0", "project.working_dir": str(owner.folder)}
        words = [word for name, value in labels.items() for word in ("--label", f"com.docker.compose.{name}={value}")]
        return engine("create", "--label", mark, *words, f"bulkhead/trainer:{TAG}").strip()

    yield create
    remove_containers(mark)


def test_clones_that_start_at_the_same_moment_have_names_and_ports_of_their_own(
    copies: Callable[[str], Clone],
) -> None:
    clones = [copies(f"clone-{number}") for number in range(5)]
    with ThreadPoolExecutor(len(clones)) as pool:
        ended = list(pool.map(lambda one: one.run("scripts/env.sh"), clones))
    assert [one.returncode for one in ended] == [0] * len(clones)
    made = [settings(one) for one in clones]
    for name in ("BULKHEAD_PROJECT", "BULKHEAD_PORT"):
        assert len({one[name] for one in made}) == len(clones), name
    for one, its in zip(clones, made, strict=True):
        assert reservations(one.folder) == {
            f"{its['BULKHEAD_PROJECT']}_reserved",
            f"bulkhead-port-{its['BULKHEAD_PORT']}",
        }


@pytest.mark.parametrize("where", ["in .env", "in the environment"])
@pytest.mark.parametrize("recipe", [("up",), ("down",), ("clean", "--yes"), ("step", "trainer", "preprocessing")])
def test_a_name_of_another_clone_is_refused_and_its_containers_stay(
    copies: Callable[[str], Clone], container_of: Callable[[Clone], str], recipe: tuple[str, ...], where: str
) -> None:
    first, second = copies("first"), copies("second")
    first.run("scripts/env.sh")
    name = settings(first)["BULKHEAD_PROJECT"]
    container = container_of(first)
    if where == "in .env":
        (second.folder / ".env").write_text(f"BULKHEAD_PROJECT='{name}'\n")
    else:
        second.project = name
    ended = second.run("just", *recipe)
    assert ended.returncode == 1
    assert f"the project {name} belongs to the clone in {first.folder}" in ended.stderr
    assert "BULKHEAD_PROJECT" in ended.stderr.splitlines()[-1]
    assert container[:12] in engine("ps", "--all", "--quiet")
    assert reservations(second.folder) == set()
    assert f"{name}_reserved" in reservations(first.folder)


def test_containers_of_a_clone_without_reservation_are_refused_too(
    copies: Callable[[str], Clone], container_of: Callable[[Clone], str]
) -> None:
    first, second = copies("first"), copies("second")
    first.run("scripts/env.sh")
    container_of(first)
    for volume in reservations(first.folder):
        engine("volume", "rm", volume)
    name = settings(first)["BULKHEAD_PROJECT"]
    second.run("scripts/env.sh")
    assert settings(second)["BULKHEAD_PROJECT"] != name
    assert second.run("just", "down", BULKHEAD_PROJECT=name).returncode == 1
    assert first.run("scripts/env.sh").returncode == 0
    assert f"{name}_reserved" in reservations(first.folder)


def test_a_moved_clone_keeps_its_name_its_port_and_its_containers(
    copies: Callable[[str], Clone], container_of: Callable[[Clone], str]
) -> None:
    clone = copies("first")
    clone.run("scripts/env.sh")
    container_of(clone)
    before, reserved = settings(clone), reservations(clone.folder)
    moved = copies("moved")
    shutil.rmtree(moved.folder)
    clone.folder.rename(moved.folder)
    ended = moved.run("scripts/env.sh")
    assert (ended.returncode, "has moved" in ended.stderr) == (0, True)
    assert settings(moved) == before | {"BULKHEAD_HOST_DIR": str(moved.folder)}
    assert reservations(moved.folder) == reserved
    assert moved.run("scripts/env.sh").returncode == 0


def test_a_copy_of_a_clone_with_its_env_is_told_to_make_its_own(copies: Callable[[str], Clone]) -> None:
    first = copies("first")
    first.run("scripts/env.sh")
    second = copies("second")
    shutil.copy(first.folder / ".env", second.folder / ".env")
    ended = second.run("scripts/env.sh")
    assert ended.returncode == 1
    assert f"is a copy of that in {first.folder}" in ended.stderr
    assert settings(second) == settings(first)
    (second.folder / ".env").unlink()
    assert second.run("scripts/env.sh").returncode == 0
    assert settings(second)["BULKHEAD_PROJECT"] != settings(first)["BULKHEAD_PROJECT"]


def test_clean_gives_the_name_back_of_a_moved_clone_too(copies: Callable[[str], Clone]) -> None:
    first = copies("first")
    first.run("scripts/env.sh")
    assert len(reservations(first.folder)) == 2
    moved = copies("moved")
    shutil.rmtree(moved.folder)
    moved.folder = first.folder.rename(moved.folder)
    ended = moved.run("just", "clean", "--yes", BULKHEAD_TAG="never-built")
    assert ended.returncode == 0, ended.stderr
    assert reservations(first.folder) | reservations(moved.folder) == set()
    assert not (moved.folder / ".env").exists()


def test_a_name_of_the_environment_reserves_nothing(clone: Clone) -> None:
    assert clone.run("scripts/env.sh").returncode == 0
    assert settings(clone)["BULKHEAD_PROJECT"] == clone.project
    assert reservations(clone.folder) == set()
