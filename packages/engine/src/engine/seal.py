"""The seal: what every step's container may and may not do. One description, for every step and every way to start it.

``docker inspect`` of a running step shows all of it under ``HostConfig``. The launcher starts a sealed
container by a create request, ``just step`` and ``just registry`` through ``docker run``: both come from
here. Needs the standard library alone, because that is all that those two have.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bulkhead import paths, protocol
from engine.values import in_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.settings import Settings
    from engine.step_spec import StepSpec

PROJECT_LABEL = "io.bulkhead.project"
CHECK_LABEL = "io.bulkhead.check-input"
"""On the containers that look at tables from the browser: those are no steps, and the launcher's alone."""
SHOW_LABEL = "io.bulkhead.show-predictions"
"""On those that read predictions for the Models page, likewise."""

_NETWORK = "none"
_TMPFS = {"/tmp": "size=256m,mode=1777"}  # noqa: S108  # the container's own, gone with it
_CAP_DROP = ["ALL"]
_SECURITY_OPT = ["no-new-privileges"]
# A quarter of the usual share, and a sixteenth of what compose gives each service: what orchestrates goes first.
_CPU_SHARES = 256
# Where the machine's memory runs out, the kernel looks for a step to kill before it looks at anything else.
_OOM_SCORE_ADJ = 500
# The libraries that scikit-learn computes with read these; without them each starts a thread for
# every core of the host, however small the quota.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# A thread that waits gives its processor away. Spinning instead uses the quota up, and then the engine stops those
# threads too that have work: a gradient-boosted fit took 147.6 s with active waiting, and 8.8 s with passive.
_WAITING = {"OMP_WAIT_POLICY": "passive"}
_PIDS_OF_A_LOOK = 64


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of the host, which the container sees."""

    source: str
    target: str
    read_only: bool = True

    @property
    def as_option(self) -> str:
        """The value of ``docker run --mount``, which is a line of CSV."""
        line = io.StringIO()
        parts = ["type=bind", f"source={self.source}", f"target={self.target}"]
        csv.writer(line, lineterminator="").writerow(parts + ["readonly"] * self.read_only)
        return line.getvalue()


@dataclass(frozen=True, kw_only=True)
class Seal:
    """A sealed container, before there is one."""

    user: str
    memory: str
    """Docker's notation; swap is not added to it."""
    pids: int
    mounts: Sequence[Mount]
    labels: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    cpus: float | None = None
    """A quota; None: no limit."""
    file_size: str | None = None
    """How large a file may be that it writes; None: as large as there is room."""
    output_size: str | None = None
    """The size of each of the two files that the engine keeps of its output; None: it keeps nothing."""

    def body(self, image_id: str, command: Sequence[str]) -> dict[str, Any]:
        """The body of a create request to the engine, all of it."""
        driver, options = self._output()
        memory = in_bytes(self.memory)
        host: dict[str, Any] = {
            "AutoRemove": False,  # it is inspected first
            "NetworkMode": _NETWORK,
            "ReadonlyRootfs": True,
            "Tmpfs": _TMPFS,
            "CapDrop": _CAP_DROP,
            "SecurityOpt": _SECURITY_OPT,
            "PidsLimit": self.pids,
            "Init": True,  # forwards SIGTERM, reaps children
            "CpuShares": _CPU_SHARES,
            "OomScoreAdj": _OOM_SCORE_ADJ,
            "Memory": memory,
            "MemorySwap": memory,
            "LogConfig": {"Type": driver, "Config": options},
            "Mounts": [
                {"Type": "bind", "Source": m.source, "Target": m.target, "ReadOnly": m.read_only} for m in self.mounts
            ],
        }
        if self.cpus is not None:
            host["NanoCpus"] = int(self.cpus * 1e9)
        if self.file_size is not None:
            largest = in_bytes(self.file_size)
            host["Ulimits"] = [{"Name": "fsize", "Soft": largest, "Hard": largest}]
        return {
            "Image": image_id,
            "Cmd": [*command],
            "User": self.user,
            "Env": [f"{name}={value}" for name, value in self.variables.items()],
            "Labels": dict(self.labels),
            "HostConfig": host,
        }

    def run_options(self) -> list[str]:
        """The same as options of ``docker run``."""
        driver, options = self._output()
        memory = str(in_bytes(self.memory))
        words = ["--init", "--read-only", "--network", _NETWORK, "--log-driver", driver, "--user", self.user]
        words += ["--pids-limit", str(self.pids), "--memory", memory, "--memory-swap", memory]
        words += ["--cpu-shares", str(_CPU_SHARES), "--oom-score-adj", str(_OOM_SCORE_ADJ)]
        words += [] if self.cpus is None else ["--cpus", f"{self.cpus:.9f}"]
        if self.file_size is not None:
            words += ["--ulimit", f"fsize={in_bytes(self.file_size)}"]
        for option, values in {
            "--log-opt": [f"{name}={value}" for name, value in options.items()],
            "--tmpfs": [f"{folder}:{how}" for folder, how in _TMPFS.items()],
            "--cap-drop": _CAP_DROP,
            "--security-opt": _SECURITY_OPT,
            "--mount": [mount.as_option for mount in self.mounts],
            "--label": [f"{name}={value}" for name, value in self.labels.items()],
            "--env": [f"{name}={value}" for name, value in self.variables.items()],
        }.items():
            words += [word for value in values for word in (option, value)]
        return words

    def _output(self) -> tuple[str, dict[str, str]]:
        """The engine's driver for the output, and its options."""
        if self.output_size is None:
            return "none", {}
        # Whatever the engine's default driver: this one can be followed, is bounded, and keeps every byte.
        # json-file cuts long lines every 16 KiB, and puts U+FFFD for a character that the cut goes through.
        # Not compressed: that takes processor time from the step, and again from whoever reads.
        return "local", {"max-size": self.output_size, "max-file": "2", "compress": "false"}


def of_step(spec: StepSpec, settings: Settings, run_folder: str, identity: Mapping[str, object]) -> Seal:
    """The seal of a step.

    Args:
        spec: the step.
        settings: limits, user and folders.
        run_folder: relative to the project.
        identity: the values of ``BULKHEAD_*`` by what follows that: who the step is. None is left out.
    """
    return Seal(
        user=settings.user,
        memory=settings.memory,
        pids=settings.pids,
        cpus=settings.cpus,
        file_size=settings.disk,
        output_size=settings.output_size,
        mounts=_mounts(settings, run_folder),
        labels=labels(settings),
        variables=_variables(spec, settings, identity),
    )


def of_registry(settings: Settings, mounts: Sequence[Mount], variables: Mapping[str, str]) -> Seal:
    """The seal of the registry's command line, which a person waits for: all CPUs, and no copy of what it prints."""
    return Seal(
        user=settings.user,
        memory=settings.memory,
        pids=settings.pids,
        mounts=mounts,
        labels=labels(settings),
        variables=variables,
    )


def of_check(settings: Settings, table: Mount) -> Seal:
    """The seal of a look at a table that a stranger has sent: that file, and no folder, read-only.

    Args:
        settings: its limits.
        table: the file, and where the look finds it.
    """
    return _of_look(settings, table, CHECK_LABEL, settings.output_size)


def of_predictions(settings: Settings, run_folder: str) -> Seal:
    """The seal of a reading of predictions, whose output goes to whoever reads it and is kept nowhere.

    It sees the run folder and not the file alone: the engine follows links in a mount's source, and the step whose
    folder it is could put one in the file's place, but not in the folder's.

    Args:
        settings: its limits.
        run_folder: relative to the project.
    """
    folder = Mount(source=f"{settings.host_folder}/{run_folder}", target=paths.SHARED)
    return _of_look(settings, folder, SHOW_LABEL, None)


def _of_look(settings: Settings, seen: Mount, label: str, output_size: str | None) -> Seal:
    return Seal(
        user=settings.user,
        memory=settings.memory,
        pids=_PIDS_OF_A_LOOK,
        cpus=settings.cpus,
        file_size=settings.disk,
        output_size=output_size,
        mounts=[seen],
        labels={**labels(settings), label: ""},
        variables={**_threads(settings), "BULKHEAD_PROTOCOL": str(protocol.PROTOCOL)},
    )


def labels(settings: Settings) -> dict[str, str]:
    """Whose container it is."""
    return {
        PROJECT_LABEL: settings.project,
        # Compose marks the images that it builds as a service's, and containers inherit that. A step is
        # no container of the service, and must not depend on how a version of compose tells.
        "com.docker.compose.project": "",
        "com.docker.compose.service": "",
    }


def _mounts(settings: Settings, run_folder: str) -> list[Mount]:
    """The folders a step sees, named from the host's point of view: only its own run folder is writable."""
    host = settings.host_folder
    return [
        Mount(target=paths.SHARED, source=f"{host}/{run_folder}", read_only=False),
        Mount(target=paths.INPUTS, source=f"{host}/shared/inputs"),
        Mount(target=paths.MODELS, source=f"{host}/models"),
    ]


def _variables(spec: StepSpec, settings: Settings, identity: Mapping[str, object]) -> dict[str, str]:
    """The environment variables of a step: its identity, and threads to match its quota."""
    known = {
        "ENVIRONMENT": spec.environment,
        "MODEL_NAME": spec.model_name,
        "PROTOCOL": protocol.PROTOCOL,
        **identity,
    }
    return {
        **{f"BULKHEAD_{name}": str(value) for name, value in known.items() if value is not None},
        **_threads(settings),
    }


def _threads(settings: Settings) -> dict[str, str]:
    return {**dict.fromkeys(_THREAD_VARIABLES, str(max(1, math.ceil(settings.cpus)))), **_WAITING}
