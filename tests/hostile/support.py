"""A stack with an evil image and DAGs that run it; every attack has a run of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow_client import FINAL, AirflowError, read_env
from tests.containers.support import TAG
from tests.system.support import ROOT, Stack

HERE = Path(__file__).parent
TRAIN, INFER, PROMOTE = "evil_train_dag", "evil_infer_dag", "evil_promote_dag"
SLOTS = 6
DISK = 256 << 20
SWAP, TRANSFORM = "evil_swap_dag", "evil_transformation_dag"
DOCKERFILES = {
    "evil": """
FROM {base}
COPY evil /evil
ENTRYPOINT ["python", "-B", "/evil"]
""",
    "evil-transformation": """
FROM {base}
USER root
COPY evil_transform.py /evil_model.py
RUN folder=$(/opt/bulkhead/bin/python -c 'import project; print(*project.__path__)') \\
    && rm -rf "$folder/__pycache__" && cp /evil_model.py "$folder/model.py"
USER 50000:0
""",
}


class Attacked(Stack):
    """Attacked by all that ``attack`` is told, at once; afterwards each attack's end is known."""

    def __init__(self, folder: Path) -> None:
        dags = shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(HERE / "dags/evil.py", dags)
        services = ("init", "api-server", "scheduler", "dag-processor", "triggerer")
        more = folder / "more.yaml"
        mount = {"volumes": [f"{dags}:/opt/airflow/dags:ro"]}
        more.write_text(json.dumps({"services": dict.fromkeys(services, mount)}))
        super().__init__(
            folder,
            COMPOSE_FILE=f"docker-compose.yaml:{more}",
            BULKHEAD_STEP_SLOTS=str(SLOTS),
            BULKHEAD_STEP_DISK=str(DISK),
            BULKHEAD_STEP_LOG="20m",
        )
        self.attacks: dict[str, tuple[str, str]] = {}
        """By attack, its DAG and run."""
        self.states: dict[str, str] = {}
        self.before: dict[str, bytes] = {}
        self.secret = folder / "secret"
        self.secret.write_text("nobody has read this")

    @property
    def uid(self) -> str:
        """Whom its steps run as."""
        return read_env(Path(self.environment["BULKHEAD_ENV_FILE"]))["BULKHEAD_UID"]

    def begin(self) -> None:
        """Come up, and have a model in each environment."""
        for image, dockerfile in DOCKERFILES.items():
            subprocess.run(
                ["docker", "build", "--quiet", "--tag", f"bulkhead/{image}:{self.project}", "--file", "-", str(HERE)],
                input=dockerfile.format(base=f"bulkhead/trainer:{TAG}"),
                text=True,
                check=True,
                capture_output=True,
            )
        shutil.copy(ROOT / "models/gate.toml", self.models)
        (self.inputs / "t.csv").write_text("a,target\n1,2\n2,4\n3,6\n")
        self.up()
        for environment in ("dev", "prd"):
            _, state = self.run(f"{environment}_train_model_dag", {"source": "sample"})
            assert state == "success"
        self.before = self.registry()

    def down(self) -> None:
        super().down()
        # Python's own removal recurses, and one attack has left folders deeper than that.
        subprocess.run(["rm", "-rf", str(self.runs)], check=False)
        for image in DOCKERFILES:
            self.untag(image)

    def attack(self, attacks: dict[str, str]) -> None:
        """Run each attack, by name, in its DAG; return when all have ended."""
        for dag_id in set(attacks.values()):
            self.airflow.wait_for_dag(dag_id)
        for name, dag_id in attacks.items():
            self.attacks[name] = (dag_id, self.airflow.trigger(dag_id, {"attack": name}))
        deadline = time.monotonic() + 900
        while missing := [name for name in attacks if name not in self.states]:
            assert time.monotonic() < deadline, f"not ended: {missing}"
            for name in missing:
                dag_id, run_id = self.attacks[name]
                with suppress(AirflowError):
                    state = self.airflow.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"]
                    if state in FINAL:
                        self.states[name] = state
            time.sleep(1)

    def records_of(self, name: str) -> list[dict[str, Any]]:
        """What was recorded of an attack."""
        _, run_id = self.attacks[name]
        return self.trainings(run_id) + self.inferences(run_id)

    def registry(self) -> dict[str, bytes]:
        """Every file of the registry but its lock, which nobody may read."""
        return {
            path.name: path.read_bytes() for path in self.models.iterdir() if path.is_file() and path.name[0] != "."
        }

    def sha256(self, model: str) -> str:
        """Of a model's file, as it is."""
        return hashlib.sha256((self.models / model).read_bytes()).hexdigest()

    def verify(self) -> str:
        """What the registrar's own ``registry verify`` says; it must be clean."""
        done = self.inside("registrar", "registry", "verify", "--quick")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def inside(self, service: str, *command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command in the container of a service."""
        start = ["docker", "exec", "--interactive", self.service(service), *command]
        return subprocess.run(start, input=stdin, capture_output=True, text=True, check=False, timeout=300)

    def python(self, service: str, program: str) -> str:
        """What a program prints in the container of a service; it must end well."""
        done = self.inside(service, "python", "-", stdin=program)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def unhealthy(self) -> list[str]:
        """The services that do not run, or not as they should."""
        listed = self.compose("ps", "--all", "--format", "{{.Service}} {{.State}} {{.Health}} {{.ExitCode}}")
        once = {"init exited  0", "database exited  0"}
        return [line for line in listed.splitlines() if not line.endswith("running healthy 0") and line not in once]
