"""The registrar on a real Postgres: volumes new and old are prepared, and a server that is gone is told in time."""

from __future__ import annotations

import secrets
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from bulkhead.errors import Refused
from bulkhead.registry.chain import Head
from registrar.airflow_records import AirflowRecords
from registrar.database import Away, Database
from registrar.logical_task import TaskKey
from registrar.own_tables import OwnTables
from registrar.preparation import Passwords, Preparation
from registrar.settings import READER, reader_password

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

PASSWORDS = Passwords(airflow="of-airflow", admin="of-the-admin", registrar="of-the-registrar")
ID = "0199c0de-0000-7000-8000-000000000001"
OLD = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE task_instance (
    id uuid PRIMARY KEY, dag_id varchar(250), run_id varchar(250), task_id varchar(250), map_index integer,
    try_number integer, state varchar(20), mood mood);
CREATE TABLE task_instance_history (
    task_instance_id uuid PRIMARY KEY, dag_id varchar(250), run_id varchar(250), task_id varchar(250),
    map_index integer, try_number integer, state varchar(20));
CREATE TABLE dag_run (id serial PRIMARY KEY, dag_id varchar(250), run_id varchar(250), conf jsonb,
    triggering_user_name varchar(512), run_type varchar(50));
CREATE TABLE hitl_detail (ti_id uuid PRIMARY KEY, chosen_options json, responded_by json, responded_at timestamptz);
CREATE VIEW one AS SELECT 1 AS one;
CREATE FUNCTION two() RETURNS integer LANGUAGE sql AS 'SELECT 2';
INSERT INTO dag_run (dag_id, run_id, conf, run_type) VALUES ('d', 'r', '{"model": "m"}', 'manual');
"""


@dataclass
class Server:
    """Postgres in a container."""

    name: str
    port: int
    opened: list[Database] = field(default_factory=list)

    def as_role(self, role: str, password: str, database: str = "airflow") -> psycopg.Connection[tuple[Any, ...]]:
        where = {"host": "127.0.0.1", "port": self.port, "dbname": database, "user": role, "password": password}
        return psycopg.connect(**where, connect_timeout=5, autocommit=True)  # type: ignore[arg-type]

    def prepare(self) -> None:
        Preparation("127.0.0.1", self.port, PASSWORDS).run()

    def database(self, name: str = "bulkhead", role: str = "registrar", password: str = "") -> Database:
        made = Database(
            host="127.0.0.1", port=self.port, name=name, role=role, password=password or PASSWORDS.registrar
        )
        made.seconds = 3.0
        self.opened.append(made)
        return made

    def docker(self, *words: str) -> None:
        subprocess.run(["docker", *words, self.name], check=True, capture_output=True)


def started() -> Iterator[Server]:
    name = f"bulkhead-test-postgres-{secrets.token_hex(4)}"
    settings = ["POSTGRES_USER=airflow", "POSTGRES_DB=airflow", f"POSTGRES_PASSWORD={PASSWORDS.airflow}"]
    options = [word for setting in settings for word in ("--env", setting)]
    start = ["docker", "run", "--detach", "--rm", "--name", name, "--publish", "127.0.0.1::5432", *options]
    subprocess.run([*start, "postgres:17"], check=True, capture_output=True)
    try:
        port = subprocess.run(["docker", "port", name, "5432"], check=True, capture_output=True, text=True).stdout
        server = Server(name, int(port.splitlines()[0].rpartition(":")[2]))
        deadline = time.monotonic() + 60
        while True:
            try:
                server.as_role("airflow", PASSWORDS.airflow).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            else:
                break
        yield server
        for database in server.opened:
            database.close()
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=False, capture_output=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A volume of an earlier version, with Airflow's tables in it, that was prepared."""
    for made in started():
        with made.as_role("airflow", PASSWORDS.airflow) as first:
            first.execute(OLD)
        made.prepare()
        yield made


@pytest.fixture(scope="module")
def new() -> Iterator[Server]:
    """A new volume, not prepared."""
    yield from started()


def refused(connection: psycopg.Connection[tuple[Any, ...]], statement: str) -> bool:
    try:
        connection.execute(statement)
    except psycopg.Error:
        return True
    return False


def test_airflow_goes_on_with_its_tables_and_has_no_power_beyond(server: Server) -> None:
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        assert airflow.execute("SELECT run_id FROM dag_run").fetchall() == [("r",)]
        for statement in (
            "INSERT INTO dag_run (dag_id, run_id) VALUES ('d', 'r2')",
            "ALTER TABLE dag_run ADD COLUMN more integer",
            "ALTER TYPE mood ADD VALUE 'better'",
            "CREATE TABLE later (id integer)",
            "CREATE INDEX ON task_instance (state)",
            "DROP VIEW one",
            "DROP FUNCTION two()",
            "DROP TABLE later",
        ):
            airflow.execute(statement)
        assert airflow.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        for statement in (
            "ALTER ROLE airflow SUPERUSER",
            "CREATE ROLE evil",
            "SET ROLE registrar",
            "SET ROLE bulkhead_admin",
            "ALTER ROLE registrar PASSWORD 'x'",
            "DROP DATABASE bulkhead",
            "CREATE DATABASE evil",
            "COPY dag_run TO PROGRAM 'id'",
            "SELECT pg_read_file('PG_VERSION')",
            "SELECT rolpassword FROM pg_authid",
        ):
            assert refused(airflow, statement), statement
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        server.as_role("airflow", PASSWORDS.airflow, "bulkhead")


def test_the_first_superusers_old_password_opens_nothing_more_than_airflow(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError):
        server.as_role("bulkhead_admin", PASSWORDS.airflow)
    with server.as_role("bulkhead_admin", PASSWORDS.admin, "postgres") as admin:
        found = admin.execute("SELECT rolname FROM pg_roles WHERE rolsuper ORDER BY 1").fetchall()
    assert found == [("bulkhead_admin",)]


def test_preparing_again_changes_nothing(server: Server) -> None:
    tables = OwnTables(server.database())
    tables.keep_heads({"training": Head("training", 3, "a" * 64)})
    server.prepare()
    assert tables.heads()["training"].seq == 3
    tables.keep_heads({}, gone=["training"])


def test_the_reader_reads_tables_of_later_too_and_writes_none(server: Server) -> None:
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        airflow.execute("DROP TABLE IF EXISTS hitl_detail_history")
        airflow.execute("CREATE TABLE hitl_detail_history (x integer)")
    with server.as_role(READER, reader_password(PASSWORDS.registrar)) as reader:
        reader.execute("SELECT * FROM hitl_detail_history")
        assert refused(reader, "INSERT INTO hitl_detail_history VALUES (1)")
        assert refused(reader, "DELETE FROM dag_run")
        assert refused(reader, "CREATE TABLE mine (x integer)")
    with pytest.raises(psycopg.OperationalError):
        server.as_role(READER, reader_password(PASSWORDS.registrar), "bulkhead")


def test_what_airflow_knows_is_read(server: Server) -> None:
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        airflow.execute("INSERT INTO task_instance VALUES (%s, 'd', 'r', 't', -1, 2, 'running')", (ID,))
        other = ID[:-1] + "0"
        airflow.execute("INSERT INTO task_instance_history VALUES (%s, 'd', 'r', 't', -1, 1, 'success')", (other,))
        answer_of = (ID, '["Approve"]', '{"id": "1", "name": "ada"}')
        airflow.execute("INSERT INTO hitl_detail VALUES (%s, %s, %s, now())", answer_of)
    records = AirflowRecords(server.database("airflow", READER, reader_password(PASSWORDS.registrar)))
    tries = records.tries(TaskKey("d", "r", "t"))
    assert sorted((one.id, one.number, one.state, one.is_current) for one in tries) == [
        (other, 1, "success", False),
        (ID, 2, "running", True),
    ]
    answer = records.answer(TaskKey("d", "r", "t"))
    assert answer is not None
    assert (answer.chosen, answer.by, answer.is_answered) == (["Approve"], "ada", True)
    run = records.run("d", "r")
    assert run is not None
    assert (run.conf, run.requested_by) == ({"model": "m"}, "manual")
    assert records.run("d", "'; DROP TABLE dag_run; --") is None


def test_a_view_in_a_tables_place_is_not_read(server: Server) -> None:
    records = AirflowRecords(server.database("airflow", READER, reader_password(PASSWORDS.registrar)))
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        airflow.execute("ALTER TABLE dag_run RENAME TO hidden")
        airflow.execute("CREATE VIEW dag_run AS SELECT * FROM hidden")
        try:
            with pytest.raises(Away, match="dag_run is not there"):
                records.run("d", "r")
        finally:
            airflow.execute("DROP VIEW dag_run")
            airflow.execute("ALTER TABLE hidden RENAME TO dag_run")


def test_accepted_successes_are_remembered(server: Server) -> None:
    tables = OwnTables(server.database())
    tables.accept(ID)
    tables.accept(ID)
    assert tables.accepted([ID, ID[:-1] + "9"]) == {ID}


def test_a_paused_server_is_told_in_time_and_found_again(server: Server) -> None:
    tables = OwnTables(server.database())
    tables.heads()
    server.docker("pause")
    try:
        begun = time.monotonic()
        with pytest.raises(Away, match="Postgres"):
            tables.heads()
        assert time.monotonic() - begun < 15
    finally:
        server.docker("unpause")
    assert tables.heads() == {}


def test_a_connection_that_was_lost_is_opened_anew(server: Server) -> None:
    tables = OwnTables(server.database())
    tables.heads()
    with server.as_role("bulkhead_admin", PASSWORDS.admin, "postgres") as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'registrar'")
    assert tables.heads() == {}


def test_a_new_volume_is_prepared_also_after_an_interruption_anywhere(
    new: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):
        pass

    stages = ("_rename_first_superuser", "_make_roles", "_make_database", "_hand_over")
    for stage in stages:
        real = getattr(Preparation, stage)

        def interrupted(this: Preparation, *arguments: Any, real: Any = real) -> None:
            real(this, *arguments)
            raise Interrupted

        with monkeypatch.context() as patch:
            patch.setattr(Preparation, stage, interrupted)
            with pytest.raises(Interrupted):
                new.prepare()
    new.prepare()
    with new.as_role("airflow", PASSWORDS.airflow) as airflow:
        airflow.execute("CREATE TABLE mine (x integer)")
        assert refused(airflow, "CREATE ROLE evil")
    assert OwnTables(new.database()).heads() == {}


def test_another_admin_password_than_the_volumes_is_told(new: Server) -> None:
    new.prepare()
    wrong = Passwords(airflow=PASSWORDS.airflow, admin="another", registrar=PASSWORDS.registrar)
    with pytest.raises(Refused, match=r"Restore the \.env"):
        Preparation("127.0.0.1", new.port, wrong).run()
