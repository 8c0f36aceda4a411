"""The database's volume of a version without a registrar is taken over with its history, and so is one that was."""

from __future__ import annotations

import subprocess
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import TAG
from tests.support.clone import settings

from registrar.settings import READER, role_password

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.clone import Clone

pytestmark = pytest.mark.container

SECRETS = {"BULKHEAD_DB_ADMIN_PASSWORD", "BULKHEAD_REGISTRAR_DB_PASSWORD", "BULKHEAD_REGISTRY_KEY"}


class Database:
    """A clone's services ``postgres`` and ``database``."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone

    def compose(self, *words: str) -> str:
        ended = self.clone.run("docker", "compose", *words)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def prepare(self) -> None:
        """What ``just up`` does with the database before Airflow sees it."""
        assert self.clone.run("scripts/env.sh").returncode == 0
        self.compose("up", "--detach", "--wait", "postgres")
        self.compose("run", "--rm", "database")

    def psql(self, role: str, password: str, database: str, statement: str) -> subprocess.CompletedProcess[str]:
        """``statement`` as ``role``, by password, over TCP as every service does it."""
        return self.clone.run(
            *("docker", "compose", "exec", "--env", f"PGPASSWORD={password}", "postgres"),
            *("psql", "--host", "127.0.0.1", "--username", role, "--dbname", database),
            *("--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1", "--command", statement),
        )

    def answer(self, role: str, database: str, statement: str) -> str:
        ended = self.psql(role, self.password(role), database, statement)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def refusal(self, role: str, database: str, statement: str) -> str:
        ended = self.psql(role, self.password(role), database, statement)
        assert ended.returncode != 0, ended.stdout
        return ended.stderr

    def password(self, role: str) -> str:
        of = {name: settings(self.clone)[f"BULKHEAD_{name}_PASSWORD"] for name in ("DB", "DB_ADMIN", "REGISTRAR_DB")}
        return {
            "airflow": of["DB"],
            "bulkhead_admin": of["DB_ADMIN"],
            "registrar": of["REGISTRAR_DB"],
            "registrar_reader": role_password(READER, of["REGISTRAR_DB"]),
        }[role]


@pytest.fixture
def database(clone: Clone) -> Iterator[Database]:
    yield Database(clone)
    clone.run("docker", "compose", "down", "--volumes", "--timeout", "1")


@pytest.fixture
def database_of_an_old_version(database: Database) -> Database:
    """Postgres with a volume that the compose file of a version without a registrar made, and a table of Airflow's."""
    clone = database.clone
    clone.run("scripts/env.sh")
    file = clone.folder / ".env"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if line.partition("=")[0] not in SECRETS))
    volume = f"{clone.project}_database"
    labels = {"com.docker.compose.project": clone.project, "com.docker.compose.volume": "database"}
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    subprocess.run(["docker", "volume", "create", *words, volume], check=True, capture_output=True)
    name = f"old-{uuid.uuid4().hex[:8]}"
    password = settings(clone)["BULKHEAD_DB_PASSWORD"]
    start = ["docker", "run", "--detach", "--rm", "--name", name, "--volume", f"{volume}:/var/lib/postgresql/data"]
    start += [
        "--env",
        "POSTGRES_USER=airflow",
        "--env",
        "POSTGRES_DB=airflow",
        "--env",
        f"POSTGRES_PASSWORD={password}",
    ]
    subprocess.run([*start, "postgres:17"], check=True, capture_output=True)
    psql = ["docker", "exec", "--env", f"PGPASSWORD={password}", name, "psql", "--host", "127.0.0.1"]
    psql += ["--username", "airflow", "--dbname", "airflow", "--command"]
    made = (
        "create table dag_run (id serial primary key, run_id text); insert into dag_run (run_id) values ('old');"
        "create type state as enum ('success'); create table task_instance (id uuid primary key, state state);"
        "create view runs as select run_id from dag_run; create sequence of_its_own;"
    )
    deadline = time.monotonic() + 60
    while subprocess.run([*psql, made], check=False, capture_output=True).returncode:
        assert time.monotonic() < deadline, "no Postgres"
        time.sleep(0.5)
    subprocess.run(["docker", "stop", name], check=True, capture_output=True)
    return database


def test_a_new_volume_has_a_registrar_whose_database_airflow_cannot_enter(database: Database) -> None:
    database.prepare()
    check_roles(database)
    database.compose("run", "--rm", "database")
    check_roles(database)


def test_an_old_volume_keeps_its_data_and_gets_what_a_new_one_has(database_of_an_old_version: Database) -> None:
    database = database_of_an_old_version
    for _ in range(2):
        database.prepare()
        check_roles(database)
        assert database.answer("airflow", "airflow", "select run_id from runs") == "old"
    # It is the owner of all that was there, so that a migration can change it.
    for statement in (
        "alter table dag_run add column note text",
        "alter type state add value 'failed'",
        "alter sequence of_its_own restart",
        "drop view runs",
        "insert into dag_run (run_id) values ('new')",
    ):
        database.answer("airflow", "airflow", statement)
    assert database.answer("airflow", "airflow", "select count(*) from dag_run") == "2"
    assert database.answer("registrar_reader", "airflow", "select count(*) from dag_run") == "2"


def check_roles(database: Database) -> None:
    """Each role can do what it is for, and no more."""
    answer, refusal = database.answer, database.refusal
    assert (
        answer("airflow", "airflow", "select rolsuper, rolcreaterole from pg_roles where rolname = current_user")
        == "f|f"
    )
    assert "permission denied" in refusal("airflow", "bulkhead", "select 1")
    assert "permission denied" in refusal("airflow", "airflow", "create role another superuser")
    assert "permission denied" in refusal("airflow", "airflow", "copy (select 1) to program 'true'")
    assert answer("registrar", "bulkhead", "create table probe (); drop table probe; select 1").endswith("1")
    answer("airflow", "airflow", "create table made_later (number int); insert into made_later values (1)")
    try:
        for role in ("registrar", "registrar_reader"):
            assert "permission denied" in refusal(role, "airflow", "insert into made_later values (2)")
        assert answer("registrar_reader", "airflow", "select number from made_later") == "1"
        assert "permission denied" in refusal("registrar_reader", "bulkhead", "select 1")
        assert "must be owner" in refusal("registrar", "airflow", "drop table made_later")
    finally:
        answer("airflow", "airflow", "drop table made_later")
    assert answer("bulkhead_admin", "postgres", "select rolsuper from pg_roles where rolname = current_user") == "t"


def test_the_database_is_prepared_by_the_image_of_this_tag(database: Database) -> None:
    assert database.clone.run("scripts/env.sh").returncode == 0
    assert database.compose("config", "--images").split().count(f"bulkhead/registrar:{TAG}") == 2
