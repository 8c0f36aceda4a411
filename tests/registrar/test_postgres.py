"""The registrar on a real Postgres: volumes new and old are prepared, and a server that is gone is told in time."""

from __future__ import annotations

import runpy
import secrets
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.support.project import training_failure

from bulkhead.errors import Refused
from bulkhead.maintenance.verify import verify
from bulkhead.registrar_protocol import NOTES_ROLE
from bulkhead.registry import journal
from bulkhead.registry.chain import Head
from bulkhead.registry.records import Acceptance
from bulkhead.registry.store import Registry
from registrar import serving
from registrar.airflow_records import AirflowRecords
from registrar.database import Away, Database
from registrar.host_tables import HostTables
from registrar.logical_task import TaskKey
from registrar.own_tables import OwnTables
from registrar.preparation import Passwords, Preparation
from registrar.run_notes import LONGEST_NOTE, RunNotes
from registrar.settings import READER, Settings, role_password

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bulkhead.paths import JournalName

pytestmark = pytest.mark.container

PASSWORDS = Passwords(airflow="of-airflow", admin="of-the-admin", registrar="of-the-registrar")
ID = "0199c0de-0000-7000-8000-000000000001"
OLD = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE task_instance (
    id uuid PRIMARY KEY, dag_id varchar(250), run_id varchar(250), task_id varchar(250), map_index integer,
    try_number integer, state varchar(20), start_date timestamptz, end_date timestamptz, mood mood,
    hostname varchar(1000));
CREATE TABLE task_instance_history (
    task_instance_id uuid PRIMARY KEY, dag_id varchar(250), run_id varchar(250), task_id varchar(250),
    map_index integer, try_number integer, state varchar(20), trigger_id integer, next_method varchar(1000),
    hostname varchar(1000));
CREATE TABLE dag_run (id serial PRIMARY KEY, dag_id varchar(250), run_id varchar(250), conf jsonb,
    triggering_user_name varchar(512), run_type varchar(50));
CREATE TABLE hitl_detail (ti_id uuid PRIMARY KEY, chosen_options json, responded_by json, responded_at timestamptz,
    subject text);
CREATE TABLE log (id serial PRIMARY KEY, dttm timestamptz, dag_id varchar(250), task_id varchar(250),
    run_id varchar(250), map_index integer, event varchar(60), owner varchar(500), extra text);
CREATE TABLE dag_run_note (dag_run_id integer PRIMARY KEY REFERENCES dag_run (id) ON DELETE CASCADE,
    user_id varchar(128), content varchar(1000), created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
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
    with server.as_role(READER, role_password(READER, PASSWORDS.registrar)) as reader:
        reader.execute("SELECT * FROM hitl_detail_history")
        assert refused(reader, "INSERT INTO hitl_detail_history VALUES (1)")
        assert refused(reader, "DELETE FROM dag_run")
        assert refused(reader, "CREATE TABLE mine (x integer)")
    with pytest.raises(psycopg.OperationalError):
        server.as_role(READER, role_password(READER, PASSWORDS.registrar), "bulkhead")


@pytest.fixture
def notes(server: Server, pytestconfig: pytest.Config) -> RunNotes:
    """With the rights that Airflow's role gives, as images/airflow/note_rights.py does."""
    rights = runpy.run_path(str(pytestconfig.rootpath / "images/airflow/note_rights.py"))["RIGHTS"]
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        for right in rights:
            airflow.execute(right)
        airflow.execute("DELETE FROM dag_run_note")
    return RunNotes(server.database("airflow", NOTES_ROLE, role_password(NOTES_ROLE, PASSWORDS.registrar)))


def note(server: Server) -> str | None:
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        row = airflow.execute("SELECT content FROM dag_run_note").fetchone()
    return row[0] if row else None


def test_notes_are_put_below_what_a_person_wrote_each_once(server: Server, notes: RunNotes) -> None:
    notes.write("d", "r", "one")
    assert note(server) == "one"
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        airflow.execute("UPDATE dag_run_note SET content = 'mine', user_id = 'ada'")
    for line in ("one", "two", "one", "two"):
        notes.write("d", "r", line)
    assert note(server) == "mine\n\none\n\ntwo"
    notes.write("d", "no such run", "three")
    assert note(server) == "mine\n\none\n\ntwo"


def test_a_full_note_stays_as_it_is(server: Server, notes: RunNotes) -> None:
    for number in range(10):
        notes.write("d", "r", f"{number} " + "x" * 200)
    full = note(server) or ""
    assert full.startswith("0 ")
    assert len(full) <= LONGEST_NOTE
    notes.write("d", "r", "more")
    assert note(server) == full
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        airflow.execute("UPDATE dag_run_note SET content = NULL")
    notes.write("d", "r", "anew")
    assert note(server) == "anew"


def test_who_writes_notes_can_do_nothing_else(server: Server, notes: RunNotes) -> None:
    del notes
    with server.as_role(NOTES_ROLE, role_password(NOTES_ROLE, PASSWORDS.registrar)) as writer:
        for statement in (
            "SELECT conf FROM dag_run",
            "UPDATE dag_run SET run_id = 'x'",
            "DELETE FROM dag_run_note",
            "SELECT * FROM task_instance",
            "SELECT * FROM hitl_detail",
            "CREATE TABLE mine (x integer)",
        ):
            assert refused(writer, statement), statement
    with pytest.raises(psycopg.OperationalError):
        server.as_role(NOTES_ROLE, role_password(NOTES_ROLE, PASSWORDS.registrar), "bulkhead")


def test_what_airflow_knows_is_read(server: Server) -> None:
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        airflow.execute("INSERT INTO task_instance VALUES (%s, 'd', 'r', 't', -1, 2, 'running')", (ID,))
        airflow.execute("UPDATE task_instance SET hostname = 'gpu1' WHERE id = %s", (ID,))
        other = ID[:-1] + "0"
        airflow.execute("INSERT INTO task_instance_history VALUES (%s, 'd', 'r', 't', -1, 1, 'success')", (other,))
        answer_of = (ID, '["Approve"]', '{"id": "1", "name": "ada"}')
        airflow.execute("INSERT INTO hitl_detail VALUES (%s, %s, %s, now(), 'Promote it?')", answer_of)
    records = AirflowRecords(server.database("airflow", READER, role_password(READER, PASSWORDS.registrar)))
    tries = records.tries(TaskKey("d", "r", "t"))
    assert sorted((one.id, one.number, one.state, one.is_current, one.host) for one in tries) == [
        (other, 1, "success", False, ""),
        (ID, 2, "running", True, "gpu1"),
    ]
    answer = records.answer(TaskKey("d", "r", "t"))
    assert answer is not None
    assert (answer.chosen, answer.by, answer.is_answered) == (["Approve"], "ada", True)
    assert (answer.state, answer.try_number, answer.question) == ("running", 2, "Promote it?")
    run = records.run("d", "r")
    assert run is not None
    assert (run.conf, run.requested_by) == ({"model": "m"}, "manual")
    assert records.run("d", "'; DROP TABLE dag_run; --") is None


@pytest.mark.parametrize(
    ("entry", "is_by_person"),
    [
        (None, False),
        (("heartbeat timeout", "d", "r", "failing", None, "120 s in state running"), False),
        (("patch_task_instance", "d", "r", "failing", -1, '{"new_state": "failed"}'), True),
        (
            ("patch_task_instance", "d", "r", "failing", 600, '{"new_state": "failed"}'),
            True,
        ),  # it was failed before, too
        (("patch_task_instance", "d", "r", "failing", -600, '{"new_state": "failed"}'), False),  # of a try before it
        (("patch_task_instance", "d", "r", "failing", -1, '{"note": "slow"}'), False),
        (("patch_task_instance", "d", "r", "failing", -1, '{"new_state": "success"}'), False),
        (("patch_task_instance", "d", "r", "another", -1, '{"new_state": "failed", "include_downstream": true}'), True),
        (
            ("patch_task_instance", "d", "before", "another", -1, '{"new_state": "failed", "include_future": true}'),
            True,
        ),
        (("patch_task_instance", "d", "r", "another", 600, '{"new_state": "failed"}'), False),
        (("patch_task_instance", "d", "another", "failing", 600, '{"new_state": "failed"}'), False),
        (("patch_task_instance", "another", "r", "failing", -1, '{"new_state": "failed"}'), False),
        (("patch_dag_run", "d", "r", None, -1, '{"state": "failed"}'), True),
        (("bulk_task_instances", "d", "r", None, -1, '{"actions": [{"new_state": "failed"}]}'), True),
        (("bulk_task_instances", "~", "~", None, -1, '{"actions": [{"new_state": "failed"}]}'), True),
        (("post_list_task_instances", "d", "r", "failing", -1, '{"state": "failed"}'), False),
    ],
)
def test_a_failure_is_a_persons_where_airflows_audit_log_has_that(
    server: Server,
    entry: tuple[Any, ...] | None,
    is_by_person: bool,  # noqa: FBT001
) -> None:
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        airflow.execute("DELETE FROM log")
        airflow.execute("DELETE FROM task_instance WHERE task_id = 'failing'")
        other = ID[:-1] + "5"
        airflow.execute(
            "INSERT INTO task_instance VALUES (%s, 'd', 'r', 'failing', -1, 1, 'failed', now(), now())", (other,)
        )
        if entry is not None:
            event, dag_id, run_id, task_id, seconds, extra = entry
            airflow.execute(
                "INSERT INTO log (dttm, event, dag_id, run_id, task_id, extra, owner)"
                " VALUES (now() + make_interval(secs => %s), %s, %s, %s, %s, %s, 'ada')",
                (seconds or -1, event, dag_id, run_id, task_id, extra),
            )
    records = AirflowRecords(server.database("airflow", READER, role_password(READER, PASSWORDS.registrar)))
    (one,) = records.tries(TaskKey("d", "r", "failing"))
    assert (one.state, one.is_by_person) == ("failed", is_by_person)


@pytest.mark.parametrize(
    ("trigger", "method", "is_cleared"),
    [
        (7, "resume", True),
        (None, "resume", False),  # it had come back, and failed
        (7, None, False),  # its own trigger was not there: what an earlier try has left
        (None, None, False),
    ],
)
def test_a_try_of_the_history_that_has_a_trigger_still_was_cleared_while_it_waited(
    server: Server,
    trigger: int | None,
    method: str | None,
    is_cleared: bool,  # noqa: FBT001
) -> None:
    with server.as_role("airflow", PASSWORDS.airflow) as airflow:
        airflow.execute("DELETE FROM task_instance_history WHERE task_id = 'waiting'")
        row = (ID[:-1] + "8", trigger, method)
        airflow.execute(
            "INSERT INTO task_instance_history VALUES (%s, 'd', 'r', 'waiting', -1, 1, 'failed', %s, %s)", row
        )
    records = AirflowRecords(server.database("airflow", READER, role_password(READER, PASSWORDS.registrar)))
    (one,) = records.tries(TaskKey("d", "r", "waiting"))
    assert (one.state, one.is_cleared) == ("failed", is_cleared)


def test_logs_that_were_cut_are_accepted_by_a_record_that_says_by_whom(server: Server, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    settings = Settings(
        folder=tmp_path,
        project="p",
        socket=tmp_path / "s",
        page_socket=tmp_path / "p",
        launcher_socket=tmp_path / "l",
        database_host="127.0.0.1",
        database_port=server.port,
        database_password=PASSWORDS.registrar,
    )
    own = OwnTables(server.database())
    log = tmp_path / "models/log.txt"
    *_, head = (journal.append(log, training_failure(run_id=f"run {number}")) for number in range(3))
    own.keep_heads({"training": head, "inference": Head("inference", 9, "a" * 64)})
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.index(b"\n") + 1])
    for line in serving.accept(settings, by="ada", reason="restored from a backup"):
        assert "is forgotten. Recorded." in line
    for journal_name, seq, of in (("log.txt", 2, 3), ("log_inference.txt", 1, 9)):
        (record,) = (one for one in journal.read(tmp_path / "models" / journal_name) if isinstance(one, Acceptance))
        assert (record.by, record.reason, record.seen_seq) == ("ada", "restored from a backup", of)
        name: JournalName = "training" if journal_name == "log.txt" else "inference"
        assert own.heads()[name].seq == seq
    found = verify(Registry(tmp_path / "models"), tmp_path / "shared", heads=own.heads())
    assert [one for one in found if one.is_damage] == []
    for line in serving.accept(settings, by="ada", reason="again"):
        assert "there is nothing to accept" in line
    own.keep_heads({}, gone=["training", "inference"])


def test_a_view_in_a_tables_place_is_not_read(server: Server) -> None:
    records = AirflowRecords(server.database("airflow", READER, role_password(READER, PASSWORDS.registrar)))
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


def test_hosts_are_kept_with_what_was_given_up(server: Server) -> None:
    tables = HostTables(server.database())
    first = tables.add("gpu1", ["default", "gpu"])
    again = tables.add("gpu1", ["gpu"])
    assert first != again
    tables.drain("gpu1", queues=["never used"], is_draining=True)
    tables.drain("main", queues=["default"], is_draining=True)
    tables.release("gpu1")
    gpu1, main = tables.rows()
    assert (gpu1.name, gpu1.generation, gpu1.queues, gpu1.is_draining) == ("gpu1", again, ["gpu"], True)
    assert gpu1.released_at is not None
    assert (main.name, main.generation, main.queues, main.is_draining) == ("main", "", ["default"], True)
    # Whoever is added anew is well, for all that anybody knows.
    tables.add("gpu1", ["default"])
    assert (tables.rows()[0].is_draining, tables.rows()[0].released_at) == (False, None)
    for name in ("gpu1", "main", "nobody"):
        tables.remove(name)
    assert tables.rows() == []
    tables.give_up("c" * 64, "gpu1")
    tables.give_up("c" * 64, "gpu1")
    assert tables.given_up() == {"c" * 64}
