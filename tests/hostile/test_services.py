"""What a hostile DAG can do from the scheduler's container: it speaks with launcher, registrar and Postgres."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.faults.shell import docker
from tests.faults.support import wait_until
from tests.launcher.support import requested

from engine.step_request import REQUEST_LABEL

if TYPE_CHECKING:
    from tests.hostile.support import Attacked

pytestmark = [pytest.mark.system, pytest.mark.fault]

ASK = """
import json, socket
def said(path, sent, seconds=20):
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(seconds)
        answer = b""
        try:
            made.connect(path)
            try:
                made.sendall(sent)
            except BrokenPipeError:
                pass  # it has heard enough
            while piece := made.recv(65536):
                answer += piece
        except OSError:
            pass
        return answer.decode(errors="replace")
def asked(path, method, target, body=b"", head=b""):
    length = b"Content-Length: %d\\r\\n" % len(body)
    return said(path, b"%s %s HTTP/1.1\\r\\nHost: x\\r\\n%s%s\\r\\n" % (method, target, length, head) + body)
LAUNCHER = "/run/bulkhead/launcher/launcher.sock"
REGISTRAR = "/run/bulkhead/registrar/registrar.sock"
"""


def answers(attacked: Attacked, program: str) -> Any:
    """The JSON that a program in the scheduler's container prints last."""
    return json.loads(attacked.python("scheduler", ASK + program).strip().splitlines()[-1])


def status(answer: str) -> int:
    return int(answer.split()[1])


def test_the_launcher_starts_nothing_but_steps(attacked: Attacked) -> None:
    evil = {"Image": "postgres:17", "Cmd": ["sh"], "HostConfig": {"Privileged": True, "Binds": ["/:/host"]}}
    body = json.dumps(evil)
    program = f"""
body = {body!r}.encode()
twice = b'{{"Labels": {{}}, "Labels": ' + json.dumps({{"io.bulkhead.request": "x"}}).encode() + b"}}"
chunked = b"POST /containers/create HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
chunked += b"2\\r\\n{{}}\\r\\n0\\r\\n\\r\\n"
upgrade = b"Upgrade: tcp\\r\\nConnection: Upgrade\\r\\n"
print(json.dumps([
    asked(LAUNCHER, b"POST", b"/v1.47/containers/create?name=x", body),
    asked(LAUNCHER, b"POST", b"/containers/create", twice),
    said(LAUNCHER, chunked),
    asked(LAUNCHER, b"POST", b"/session", b"", upgrade),
    asked(LAUNCHER, b"POST", b"/build"),
    asked(LAUNCHER, b"POST", b"/images/create?fromImage=x"),
    asked(LAUNCHER, b"GET", b"/images/json"),
    asked(LAUNCHER, b"POST", b"/containers/create", b"x" * 2_000_000),
]))
"""
    assert [status(answer) for answer in answers(attacked, program)] == [400, 400, 411, 403, 403, 403, 403, 413]


def test_what_else_stands_in_a_valid_request_is_not_handed_on(attacked: Attacked) -> None:
    wanted = requested(identity={"dag_id": "evil_train_dag", "run_id": "by_socket", "task_id": "train_model"})
    label = {REQUEST_LABEL: json.dumps(wanted)}
    host = {"Privileged": True, "Binds": ["/:/host"], "NetworkMode": "host", "PidMode": "host", "CapAdd": ["ALL"]}
    more = {"User": "0", "Env": ["X=1"], "Entrypoint": ["sh"], "Cmd": ["-c", "id"], "Volumes": {"/x": {}}}
    body = json.dumps({"Image": "postgres:17", "Labels": label, "HostConfig": host, **more})
    twice = json.dumps({"Labels": label})[:-1] + ', "HostConfig": {"Privileged": true}, "Labels": {}}'
    within = json.dumps({"Labels": {REQUEST_LABEL: json.dumps(wanted)[:-1] + ', "image": "registrar"}'}})
    program = f"""
print(json.dumps([
    asked(LAUNCHER, b"POST", b"/v1.47/containers/create?name=x", body.encode())
    for body in {[twice, body, within]!r}
]))
"""
    doubled, created, again = answers(attacked, program)
    assert (status(doubled), status(created)) == (400, 201)
    assert status(again) in {400, 403, 404, 409}  # of two words the last counts, and that is no image of steps
    container = json.loads(created.rpartition("\r\n\r\n")[2])["Id"]
    try:
        (found,) = json.loads(docker("inspect", container))
        made = found["HostConfig"]
        assert (made["Privileged"], made["NetworkMode"], made["PidMode"]) == (False, "none", "")
        assert (made["CapDrop"], made["CapAdd"], made["ReadonlyRootfs"]) == (["ALL"], None, True)
        assert not [bind for bind in made["Binds"] or [] if bind.startswith("/:")]
        assert all(mount["Source"].startswith(f"{attacked.folder}/") for mount in found["Mounts"])
        assert (found["Config"]["User"], found["Config"]["Entrypoint"]) == (f"{attacked.uid}:0", ["step"])
        assert found["Config"]["Image"] != "postgres:17"
        assert found["Config"]["Cmd"] == wanted["command"]
    finally:
        docker("rm", "--force", container)


def test_no_dag_puts_a_table_among_the_inputs(attacked: Attacked) -> None:
    """The socket for that is the API server's, and so is the folder in which tables arrive."""
    before = sorted(str(path) for path in attacked.inputs.rglob("*"))
    asked = json.dumps({"upload": "0" * 32, "name": "evil.csv", "sha256": "0" * 64})
    program = f"""
import os
found = []
for folder in ("/opt/airflow/arriving", "/opt/airflow/shared/inputs", "/opt/airflow/shared/inputs/.uploads/arriving"):
    try:
        open(folder + "/{"0" * 32}", "w")
        found.append(folder)
    except OSError:
        pass
print(json.dumps([
    found,
    os.path.exists("/run/bulkhead/page-launcher"),
    asked(LAUNCHER, b"POST", b"/check_input", {asked.encode()!r}).split()[1],
]))
"""
    assert answers(attacked, program) == [[], False, "403"]
    assert sorted(str(path) for path in attacked.inputs.rglob("*")) == before


def test_the_api_server_changes_no_input(attacked: Attacked) -> None:
    """It writes where tables arrive. A link that it leaves there is not followed, and no step is started for it."""
    program = """
import json, os, pathlib, sys
from bulkhead.unix_http import Client
socket = os.environ.get("BULKHEAD_PAGE_LAUNCHER_SOCKET", "/run/bulkhead/page-launcher/launcher.sock")
found = []
for path in ("shared/inputs/t.csv", "shared/inputs/new.csv", "shared/inputs/.uploads/x", "models/x"):
    try:
        open("/opt/airflow/" + path, "a")
        found.append(path)
    except OSError:
        pass
arriving = pathlib.Path("/opt/airflow/arriving")
def asked(upload, **more):
    wanted = {"upload": upload, "name": "evil.csv", "sha256": "0" * 64, **more}
    return Client(socket, 60).request("POST", "/check_input", wanted)[0]
(arriving / ("1" * 32)).symlink_to("/etc/passwd")
(arriving / ("2" * 32)).symlink_to("/opt/airflow/shared/inputs/t.csv")
os.mkfifo(arriving / ("3" * 32))
(arriving / ("4" * 32)).write_text("a,b\\n1,2\\n")
os.link(arriving / ("4" * 32), arriving / ("5" * 32))
said = [asked(number * 32) for number in "12345"]
none = "0" * 32
said += [asked("../t"), asked(none, name="../evil.csv"), asked(none, name="t.csv"), asked(none, image="evil")]
said += [Client(socket, 60).request("POST", "/containers/create", {})[0]]
for left in arriving.iterdir():
    left.unlink()
print(json.dumps([found, said]))
"""
    found, said = json.loads(attacked.python("api-server", program).strip().splitlines()[-1])
    assert found == []
    assert said == [503, 503, 503, 503, 503, 400, 400, 409, 400, 403]
    assert not (attacked.inputs / "evil.csv").exists()
    assert (attacked.inputs / "t.csv").read_text() == "a,target\n1,2\n2,4\n3,6\n"
    assert attacked.unhealthy() == []


@pytest.mark.parametrize("service", ["postgres", "registrar", "api-server"])
def test_the_launcher_shows_and_touches_no_service(attacked: Attacked, service: str) -> None:
    container = attacked.service(service)
    program = f"""
one = b"/containers/{container}"
print(json.dumps([
    asked(LAUNCHER, b"GET", one + b"/json"),
    asked(LAUNCHER, b"POST", one + b"/stop"),
    asked(LAUNCHER, b"POST", one + b"/kill"),
    asked(LAUNCHER, b"DELETE", one + b"?force=1"),
    asked(LAUNCHER, b"GET", one + b"/logs?stdout=1"),
    asked(LAUNCHER, b"POST", one + b"/exec"),
    asked(LAUNCHER, b"GET", one + b"/archive?path=/"),
]))
"""
    assert [status(answer) for answer in answers(attacked, program)] == [404, 404, 404, 404, 404, 403, 403]
    assert attacked.unhealthy() == []


@pytest.mark.parametrize("name", ["LAUNCHER", "REGISTRAR"])
def test_connections_that_say_nothing_do_not_hold_up_the_others_for_long(attacked: Attacked, name: str) -> None:
    program = f"""
import time
silent = []
for number in range(300):
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(5)
    try:
        made.connect({name})
        made.sendall(b"POST / HTTP/1.1\\r\\nContent-Length: 900\\r\\n\\r\\n" if number % 2 else b"P")
    except OSError:
        pass
    silent.append(made)
begun, answer = time.monotonic(), ""
while " 200 " not in answer and time.monotonic() - begun < 90:
    time.sleep(0.5)
    answer = asked({name}, b"GET", b"/_ping" if {name} == LAUNCHER else b"/health").splitlines()[:1]
    answer = answer[0] + " " if answer else ""
print(json.dumps(time.monotonic() - begun))
"""
    assert answers(attacked, program) < 60


def test_the_registrar_believes_nobodys_word_for_a_container_or_a_try(attacked: Attacked) -> None:
    strangers = attacked.service("postgres")
    known = "0199c0de-0000-7000-8000-000000000001"
    identity = {"dag_id": "prd_train_model_dag", "run_id": "x", "task_id": "train_model", "try_number": 1}
    failed = {"cause": "refused", "detail": "forged", "retry": False}
    fail = {"container": None, "identity": identity, "try_id": known, "environment": "prd", "journal": "training"}
    look = {"try_id": "' OR 1=1 --", "dag_id": "d", "run_id": "r", "task_id": "t"}
    bodies = [
        ("/conclude", {"container": strangers}),
        ("/conclude", {"container": "../../x"}),
        ("/conclude", {"container": "f" * 64}),
        ("/fail", {**fail, "failed": failed}),
        ("/fail", {**fail, "failed": failed, "journal": "gate.toml"}),
        ("/look", look),
        ("/unapproved", {"identity": identity, "try_id": known}),
        ("/accept", {}),
        ("/look", {}),
    ]
    before = attacked.registry()
    program = f"""
bodies = {bodies!r}
print(json.dumps([asked(REGISTRAR, b"POST", path.encode(), json.dumps(body).encode()) for path, body in bodies]))
"""
    found = answers(attacked, program)
    assert [status(answer) for answer in found] == [404, 409, 404, 200, 400, 400, 404, 404, 400], found
    assert "Airflow knows of no such try" in found[3]
    assert attacked.registry() == before


def test_a_failure_of_what_has_succeeded_is_told_in_vain(attacked: Attacked) -> None:
    run_id, state = attacked.run("prd_train_model_dag", {"source": "sample"})
    assert state == "success"
    (record,) = attacked.trainings(run_id)
    path = f"/api/v2/dags/prd_train_model_dag/dagRuns/{run_id}/taskInstances"
    told = []
    for one in attacked.airflow.request("GET", path)["task_instances"]:
        who = {name: one[name] for name in ("dag_id", "task_id", "try_number", "map_index")}
        failed = {"cause": "refused", "detail": "forged", "retry": False}
        of_whom = {"container": None, "identity": {**who, "run_id": run_id}, "try_id": one["id"]}
        told.append({**of_whom, "environment": "prd", "journal": "training", "failed": failed})
    program = f"""
bodies = {told!r}
print(json.dumps([asked(REGISTRAR, b"POST", b"/fail", json.dumps(body).encode()) for body in bodies]))
"""
    found = answers(attacked, program)
    assert len(found) == 2
    assert all("this try has succeeded" in one for one in found), found
    assert attacked.trainings(run_id) == [record]


def test_an_approval_that_a_user_writes_into_xcom_promotes_nothing(attacked: Attacked) -> None:
    run_id, _ = attacked.run("dev_train_model_dag")
    (record,) = attacked.trainings(run_id)
    attacked.airflow.wait_for_dag("promote_model_dag")
    asked = attacked.airflow.trigger("promote_model_dag", {"model": record["model_filename"], "reason": "mine"})
    tasks = f"/api/v2/dags/promote_model_dag/dagRuns/{asked}/taskInstances"
    approve = f"{tasks}/approve"
    wait_until(lambda: attacked.airflow.request("GET", approve)["state"] == "awaiting_input", 120, "nobody is asked")
    by = {"id": "admin", "name": "admin"}
    answer = {"chosen_options": ["Approve"], "responded_by_user": by, "approved_by": "admin"}
    for key in ("return_value", "responded_by_user", "approved_by"):
        value = {"key": key, "value": answer, "map_index": -1}
        attacked.airflow.request("POST", f"{approve}/xcomEntries", value)
    attacked.airflow.request("PATCH", approve, {"new_state": "success"})
    *_, (state, _) = attacked.airflow.states("promote_model_dag", asked)
    assert state == "failed"
    (failure,) = attacked.trainings(asked)
    assert failure["cause"] == "refused"
    assert "was not approved: nobody has answered" in failure["detail"]


def test_airflows_role_reaches_neither_the_heads_nor_the_power_to(attacked: Attacked) -> None:
    program = """
import os, psycopg2
url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2", "postgresql")
def tried(statement, database=None):
    try:
        connection = psycopg2.connect(url if database is None else url.rpartition("/")[0] + "/" + database)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return "done"
    except psycopg2.Error as error:
        return type(error).__name__
print(json.dumps([
    tried("SELECT 1"),
    tried("SELECT 1", "bulkhead"),
    tried("ALTER ROLE airflow SUPERUSER"),
    tried("ALTER ROLE registrar PASSWORD 'x'"),
    tried("CREATE ROLE evil SUPERUSER"),
    tried("SET ROLE registrar"),
    tried("SET ROLE bulkhead_admin"),
    tried("DROP DATABASE bulkhead"),
    tried("COPY (SELECT 1) TO PROGRAM 'id'"),
    tried("SELECT pg_read_file('/etc/passwd')"),
    tried("SELECT rolpassword FROM pg_authid"),
]))
"""
    first, *others = answers(attacked, program)
    assert first == "done"
    assert "done" not in others


@pytest.mark.parametrize("service", ["scheduler", "api-server", "dag-processor", "triggerer"])
def test_no_service_of_airflow_can_write_the_registry_or_has_its_key_or_the_engine(
    attacked: Attacked, service: str
) -> None:
    program = """
import os
def tried(path):
    try:
        with open(path, "a"):
            return path
    except OSError:
        return None
opened = [tried(p) for p in ("/opt/airflow/models/log.txt", "/opt/airflow/models/x", "/opt/airflow/shared/runs/x")]
names = [name for name in os.environ if "REGISTRY_KEY" in name or "ADMIN_PASSWORD" in name and "DB" in name]
print(json.dumps([[p for p in opened if p], names, os.path.exists("/var/run/docker.sock")]))
"""
    done = attacked.python(service, "import json\n" + program)
    assert json.loads(done.strip().splitlines()[-1]) == [[], [], False]


def test_nothing_of_it_has_harmed_anything(attacked: Attacked) -> None:
    deadline = time.monotonic() + 60
    while attacked.unhealthy() and time.monotonic() < deadline:
        time.sleep(1)
    assert attacked.unhealthy() == []
    _, state = attacked.run("dev_train_model_dag")
    assert state == "success"
    attacked.verify()
