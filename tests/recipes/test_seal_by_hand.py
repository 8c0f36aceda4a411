"""A step is started by Airflow's way and by ``just step``: the engine sees the same container twice."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from docker import APIClient
from tests.containers.support import TAG
from tests.support.project import identity

from bulkhead.unix_http import Request
from engine import step_request
from engine.attempt import Attempt
from engine.settings import Settings
from engine.step_spec import StepSpec
from launcher.routes import Routes
from launcher.upstream import Engine

if TYPE_CHECKING:
    from tests.support.clone import Clone

    from bulkhead.paths import JournalName

pytestmark = pytest.mark.container

TRY = "0199c0de-0000-7000-8000-000000000001"
ATTEMPT = Attempt(identity(), TRY, TRY)
TOLD = ("environment", "model-name", "journal", "approval-task", "seconds")
OF_THE_TASK = {*ATTEMPT.labels(), *(f"io.bulkhead.{name}" for name in TOLD)}
LIMITS = {
    "BULKHEAD_STEP_CPUS": "1.5",
    "BULKHEAD_STEP_MEMORY": "300m",
    "BULKHEAD_STEP_MEMORY_TRAIN_MODEL": "400m",
    "BULKHEAD_STEP_PIDS": "128",
    "BULKHEAD_STEP_LOG": "10m",
}
# docker run keeps no container here, says its terminal's size, and names the policy that docker-py leaves unsaid.
CLIENTS_OWN = {"AutoRemove", "ConsoleSize", "ContainerIDFile", "RestartPolicy"}
IDENTITY = {
    f"BULKHEAD_{name}"
    for name in ("ENVIRONMENT", "MODEL_NAME", "DAG_ID", "RUN_ID", "TASK_ID", "TRY_NUMBER", "MAP_INDEX", "IMAGE")
}


@pytest.mark.parametrize(
    ("image", "task", "journal"),
    [
        ("trainer", "preprocessing", "training"),
        ("trainer", "train_model", "training"),
        ("inference", "generate_inf_data", "inference"),
        ("inference", "check_model", "training"),
    ],
)
def test_just_step_seals_a_step_as_airflow_does(clone: Clone, image: str, task: str, journal: JournalName) -> None:
    by_hand = inspected(started_by_hand(clone, image, task))
    spec = StepSpec(image=image, command=[task], journal=journal, environment="dev")
    by_airflow = inspected(started_by_the_launchers_way(clone, spec))
    assert what_it_may(by_hand) == what_it_may(by_airflow)
    assert by_hand["HostConfig"]["AutoRemove"] is False  # or there would be nothing to look at
    assert by_hand["HostConfig"]["Memory"] == (400 if task == "train_model" else 300) << 20
    assert {mount["Target"] for mount in by_hand["HostConfig"]["Mounts"]} >= {"/shared", "/inputs", "/models"}


def what_it_may(container: dict[str, Any]) -> dict[str, Any]:
    """All that the engine knows of a container but who it is."""
    config, host = container["Config"], container["HostConfig"]
    return {
        # One client says nothing where the other says "none": null, 0, false, [], {}.
        "host": {name: value for name, value in host.items() if value and name not in {*CLIENTS_OWN, "Mounts"}},
        "mounts": {
            # The run folder's own name is who it is.
            (mount["Target"], mount["Source"].partition("/shared/runs/")[0], mount.get("ReadOnly", False))
            for mount in host["Mounts"]
        },
        "image": container["Image"],
        "user": config["User"],
        "command": config["Cmd"],
        "entrypoint": config["Entrypoint"],
        "environment": sorted(line for line in config["Env"] if line.partition("=")[0] not in IDENTITY),
        "labels": {name: value for name, value in config["Labels"].items() if name not in OF_THE_TASK},
    }


def started_by_hand(clone: Clone, image: str, task: str) -> str:
    """The id of the container of ``just step``, which is kept and has ended."""
    kept = '[ "$1 $2" != "run --rm" ] || { shift 2; set -- run "$@"; }'
    path = clone.with_docker(f'{kept}\nexec {shutil.which("docker")} "$@"\n')
    clone.run("just", "step", image, task, PATH=path, **LIMITS)
    # The registrar that records its outcome is kept too.
    filters = (f"label=io.bulkhead.project={clone.project}", f"ancestor=bulkhead/{image}:{TAG}")
    listed = ["docker", "ps", "--all", "--quiet", *(word for one in filters for word in ("--filter", one))]
    (container,) = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    return container


def started_by_the_launchers_way(clone: Clone, spec: StepSpec) -> str:
    """The id of a container that was created and started as the launcher does it, and has ended."""
    own = dict(line.split("=", 1) for line in (clone.folder / ".env").read_text().splitlines() if "=" in line)
    variables = {name: value.strip("'") for name, value in own.items()} | LIMITS
    variables |= {"BULKHEAD_PROJECT": clone.project, "BULKHEAD_TAG": TAG, "AIRFLOW_HOME": str(clone.folder)}
    settings = Settings.from_environment(spec.task_id, environment=variables)
    attempt = Attempt(identity(task_id=spec.task_id), TRY, TRY)
    arguments = step_request.create_arguments(spec, settings, attempt)
    routes = Routes(Engine(Path("/var/run/docker.sock")), clone.project, lambda _: None, variables)
    body = json.dumps({"Labels": arguments["labels"]}).encode()
    created = routes.answer(Request("POST", "/containers/create", {}, body))
    assert isinstance(created.body, bytes)
    container = str(json.loads(created.body)["Id"])
    client = APIClient(version="auto")
    client.start(container)
    client.wait(container)
    return container


def inspected(container: str) -> dict[str, Any]:
    done = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout)[0])
