"""Scripts that need no engine: .env, refusals, and what no tracked file may hold."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from airflow_client import read_env
from tests.support.clone import settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.clone import Clone

OF_A_STEP = ("BULKHEAD_STEP_SECONDS_", "BULKHEAD_STEP_CPUS_", "BULKHEAD_STEP_MEMORY_", "BULKHEAD_STEP_DISK_")
SINCE_THE_REGISTRAR = ("BULKHEAD_DB_ADMIN_PASSWORD", "BULKHEAD_REGISTRAR_DB_PASSWORD", "BULKHEAD_REGISTRY_KEY")


@pytest.fixture
def path_without_docker(tmp_path: Path) -> str:
    """A PATH with everything of this machine's but what is called docker."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in ("/bin", "/usr/bin"):
        listed = subprocess.run(["ls", place], capture_output=True, text=True, check=True).stdout.split("\n")
        for name in filter(None, listed):
            if not name.startswith("docker") and not (folder / name).is_symlink():
                (folder / name).symlink_to(f"{place}/{name}")
    return str(folder)


NEW = ("worker", "gateway")


def test_env_is_made_once_with_secrets_that_only_the_owner_reads(clone: Clone) -> None:
    assert clone.run("scripts/env.sh").returncode == 0
    file = clone.folder / ".env"
    first = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert clone.run("scripts/env.sh").stderr == ""
    assert file.read_text() == first


def test_the_folders_that_services_share_are_made_and_groups_may_write_them(clone: Clone) -> None:
    assert clone.run("scripts/env.sh").returncode == 0
    for name in ("shared/runs", "shared/inputs", "shared/inputs/.uploads", "shared/inputs/.uploads/arriving"):
        assert stat.S_IMODE((clone.folder / name).stat().st_mode) == 0o775, name


def test_two_clones_share_no_secret(clone: Clone, tmp_path: Path) -> None:
    clone.run("scripts/env.sh")
    first = settings(clone)
    clone.run("scripts/env.sh", BULKHEAD_ENV_FILE=str(tmp_path / "other"))
    second = read_env(tmp_path / "other")
    names = ("ADMIN_PASSWORD", "DB_PASSWORD", "JWT_SECRET", "API_SECRET_KEY", "FERNET_KEY")
    for name in (*(f"BULKHEAD_{name}" for name in names), *SINCE_THE_REGISTRAR):
        assert len(first[name]) > 12
        assert first[name] != second[name]
    assert len({first[name] for name in SINCE_THE_REGISTRAR}) == len(SINCE_THE_REGISTRAR)


def test_a_value_set_by_hand_stays_and_a_missing_one_is_added(clone: Clone) -> None:
    (clone.folder / ".env").write_text("BULKHEAD_PORT='9999'\nBULKHEAD_STEP_MEMORY='1g'")
    assert clone.run("scripts/env.sh").returncode == 0
    made = settings(clone)
    assert made["BULKHEAD_PORT"] == "9999"
    assert made["BULKHEAD_STEP_MEMORY"] == "1g"
    assert "BULKHEAD_FERNET_KEY" in made


def test_an_env_of_a_version_without_a_registrar_gets_its_secrets_and_keeps_all_others(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    whole = (clone.folder / ".env").read_text().splitlines(keepends=True)
    old = "".join(line for line in whole if line.partition("=")[0] not in SINCE_THE_REGISTRAR)
    (clone.folder / ".env").write_text(old)
    ended = clone.run("scripts/env.sh")
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)
    assert "added to .env what it lacked: " + " ".join(SINCE_THE_REGISTRAR) in ended.stderr
    completed = (clone.folder / ".env").read_text()
    assert completed.startswith(old)
    assert {line.partition("=")[0] for line in completed.removeprefix(old).splitlines()} == set(SINCE_THE_REGISTRAR)
    assert clone.run("docker", "compose", "config", "--quiet").returncode == 0
    assert not any(settings(clone)[name] in ended.stderr for name in SINCE_THE_REGISTRAR)


def test_each_secret_and_each_writable_folder_is_with_the_one_service_that_needs_it(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    shown = clone.run("docker", "compose", "config", "--format", "json")
    services = json.loads(shown.stdout)["services"]
    secrets = settings(clone)

    def holders(name: str) -> set[str]:
        return {its for its, service in services.items() if secrets[name] in json.dumps(service)}

    assert holders("BULKHEAD_REGISTRY_KEY") == {"registrar"}
    assert holders("BULKHEAD_HOSTS_KEY") == {"gateway"}
    assert holders("BULKHEAD_DB_ADMIN_PASSWORD") == {"database"}
    assert holders("BULKHEAD_REGISTRAR_DB_PASSWORD") == {"database", "registrar"}
    writable = {
        (name, volume["target"])
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if not volume.get("read_only")
    }
    assert {one for one in writable if one[1] != "/opt/airflow/logs"} == {
        ("postgres", "/var/lib/postgresql/data"),
        ("launcher", "/var/run/docker.sock"),
        ("launcher", "/run/bulkhead/launcher"),
        ("launcher", "/run/bulkhead/page-launcher"),
        ("launcher", "/shared"),
        ("api-server", "/opt/airflow/arriving"),
        ("registrar", "/run/bulkhead/registrar"),
        ("registrar", "/run/bulkhead/page"),
        ("registrar", "/models"),
        ("gateway", "/run/bulkhead/hosts"),
    }
    # Who reaches the page's socket can write notes in anybody's name.
    pages = {
        name
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if volume["target"] == "/run/bulkhead/page"
    }
    assert pages == {"registrar", "api-server"}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only") or name == "postgres", name
        assert service["mem_limit"], name
        assert service["cpu_shares"] == 4096, name
    assert services["launcher"]["network_mode"] == "none"
    assert [name for name, service in services.items() if service.get("group_add")] == ["launcher"]


def test_one_host_has_neither_worker_nor_gateway_and_airflows_own_way_of_running_tasks(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    for is_on, executors in (("", ["StepExecutor"]), ("1", ["HostsExecutor", "StepExecutor"])):
        shown = clone.run("docker", "compose", "config", "--format", "json", BULKHEAD_HOSTS=is_on)
        services = json.loads(shown.stdout)["services"]
        counts = {services[name].get("scale", services[name].get("deploy", {}).get("replicas")) for name in NEW}
        assert counts == {int(is_on or 0)}
        given = services["scheduler"]["environment"]
        assert [one.rpartition(".")[2] for one in given["AIRFLOW__CORE__EXECUTOR"].split(",")] == executors
        assert given["AIRFLOW__CORE__PARALLELISM"] == ("160" if is_on else "16")
        assert services["launcher"]["environment"].get("BULKHEAD_HOST_NAME") == ("main" if is_on else "")


def test_a_further_host_makes_no_stack_of_its_own(clone: Clone) -> None:
    (clone.folder / ".env.host").write_text("")
    for recipe in ("scripts/env.sh", "scripts/up.sh", "scripts/build-images.sh"):
        done = clone.run(recipe)
        assert done.returncode == 1
        assert "this clone is a further host" in done.stderr
    assert not (clone.folder / ".env").exists()


def test_hosts_are_on_or_not_and_nothing_else(clone: Clone) -> None:
    done = clone.run("scripts/env.sh", BULKHEAD_HOSTS="yes")
    assert done.returncode == 1
    assert "BULKHEAD_HOSTS is 'yes': it is 1, or unset" in done.stderr


def test_metrics_want_a_collector(clone: Clone) -> None:
    for given in ({"BULKHEAD_OTEL": "1"}, {"BULKHEAD_OTEL": "yes", "BULKHEAD_OTEL_ENDPOINT": "http://c:4318"}):
        done = clone.run("scripts/env.sh", **given)
        assert done.returncode == 1
        assert "metrics want 1, and http://HOST:4318" in done.stderr
    assert clone.run("scripts/env.sh", BULKHEAD_OTEL="1", BULKHEAD_OTEL_ENDPOINT="http://c:4318").returncode == 0


def test_who_is_told_is_known_where_that_is_told_and_nowhere_else(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    secrets = {
        "BULKHEAD_NOTIFY_WEBHOOK": "https://hooks.example/t0ken",
        "BULKHEAD_NOTIFY_WEBHOOK_SECRET": "s1gns",
        "BULKHEAD_SMTP_PASSWORD": "passw0rd",
    }
    shown = clone.run("docker", "compose", "config", "--format", "json", BULKHEAD_HOSTS="1", **secrets)
    services = json.loads(shown.stdout)["services"]
    for secret in secrets.values():
        assert {name for name, one in services.items() if secret in json.dumps(one)} == {
            "dag-processor",
            "scheduler",
            "worker",
        }


def test_a_moved_clone_takes_its_folder_along(clone: Clone) -> None:
    clone.run("scripts/env.sh")
    moved = clone.folder.rename(clone.folder.with_name("moved"))
    clone.folder = moved
    assert "has moved" in clone.run("scripts/env.sh").stderr
    assert settings(clone)["BULKHEAD_HOST_DIR"] == str(moved)


def test_the_limits_of_any_step_reach_launcher_and_scheduler_and_nothing_else_of_env_does(clone: Clone) -> None:
    (clone.folder / ".env").write_text(
        "BULKHEAD_STEP_SECONDS_MY_STEP='60'\nBULKHEAD_STEP_MEMORY_TRAIN_MODEL=3g\nBULKHEAD_STEP_CPUS_MY_STEP=\n"
        "BULKHEAD_STEP_DISK_MY_STEP=1g\n"
    )
    assert clone.run("scripts/env.sh", BULKHEAD_STEP_SECONDS_OTHER="7").returncode == 0
    shown = clone.run("docker", "compose", "config", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    services = json.loads(shown.stdout)["services"]
    for name in ("launcher", "scheduler"):
        environment = services[name]["environment"]
        assert {own: value for own, value in environment.items() if own.startswith(OF_A_STEP)} == {
            "BULKHEAD_STEP_SECONDS_MY_STEP": "60",
            "BULKHEAD_STEP_SECONDS_OTHER": "7",
            "BULKHEAD_STEP_MEMORY_TRAIN_MODEL": "3g",
            "BULKHEAD_STEP_DISK_MY_STEP": "1g",
        }
        assert "BULKHEAD_ADMIN_PASSWORD" not in environment
    assert stat.S_IMODE((clone.folder / ".env.steps").stat().st_mode) == 0o600


def test_limits_that_were_taken_out_of_env_are_gone(clone: Clone) -> None:
    (clone.folder / ".env").write_text("BULKHEAD_STEP_SECONDS_MY_STEP=60\n")
    clone.run("scripts/env.sh")
    assert (clone.folder / ".env.steps").exists()
    (clone.folder / ".env").write_text("")
    assert clone.run("scripts/env.sh").returncode == 0
    assert not (clone.folder / ".env.steps").exists()


def test_compose_without_env_says_what_makes_it(clone: Clone) -> None:
    ended = clone.run("docker", "compose", "config")
    assert ended.returncode != 0
    assert "just up" in ended.stderr


def test_a_missing_engine_is_one_clear_line_where_installing_is_forbidden(
    clone: Clone, path_without_docker: str
) -> None:
    ended = clone.run("scripts/engine.sh", PATH=path_without_docker, BULKHEAD_NO_BOOTSTRAP="1")
    assert ended.returncode == 1
    assert "no Docker engine" in ended.stderr
    assert "Install or start Docker Engine" in ended.stderr


def test_an_engine_elsewhere_that_does_not_answer_is_left_alone(clone: Clone) -> None:
    ended = clone.run("scripts/engine.sh", DOCKER_HOST="tcp://127.0.0.1:1")
    assert ended.returncode == 1
    assert "tcp://127.0.0.1:1" in ended.stderr


def test_a_missing_base_image_is_not_built_where_that_is_forbidden(clone: Clone) -> None:
    ended = clone.run(
        "scripts/base-images.sh", BULKHEAD_PYTHON_IMAGE="localhost:1/none:none", BULKHEAD_NO_BOOTSTRAP="1"
    )
    assert ended.returncode == 1
    assert "localhost:1/none:none cannot be pulled" in ended.stderr


def test_bare_just_lists_the_recipes_in_groups(clone: Clone) -> None:
    listed = clone.run("just").stdout
    for group in ("run", "registry", "build", "develop"):
        assert f"[{group}]" in listed
    for recipe in (
        "build-images",
        "up",
        "down",
        "demo",
        "step",
        "logs",
        "lock",
        "check",
        "fix",
        "test",
        "models",
        "clean",
        "rotate-key",
        "test-hostile",
        "test-overload",
        "test-deferred",
    ):
        assert re.search(rf"^    {recipe}\b", listed, re.MULTILINE), recipe


def test_no_tracked_file_names_a_package_registry_or_a_path_of_this_machine(pytestconfig: pytest.Config) -> None:
    root = pytestconfig.rootpath
    # In pieces, because this file is tracked too.
    registries = ["pypi" + ".org", "pythonhosted" + ".org", "deb.debian" + ".org", "registry.npmjs" + ".org"]
    wanted = [*registries, "docker" + ".io/", str(root) + "/"]
    words = [word for name in wanted for word in ("-e", name)]
    found = subprocess.run(["git", "grep", "-lF", *words], cwd=root, capture_output=True, text=True, check=False)
    assert found.stdout.split() == []
