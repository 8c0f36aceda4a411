"""Plain scripts and steps in the same seal, the plain ones with all of the machine's memory; and what each took."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock
from bulkhead.identity import Identity
from bulkhead.registry import recording
from bulkhead.registry.proposals import ModelProposal
from bulkhead.registry.recording import Author
from bulkhead.registry.store import Registry
from bulkhead.step import result
from engine import seal
from engine.settings import Settings
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.step.result import StepResult

_MIB = 1 << 20
_PLAIN = Path(__file__).with_name("plain.py")
_GROUPS = (
    # Version 1 of control groups, and 2 under either driver: what is counted, and where.
    ("total_rss", "/sys/fs/cgroup/memory/docker/{}/memory.stat"),
    ("anon", "/sys/fs/cgroup/docker/{}/memory.stat"),
    ("anon", "/sys/fs/cgroup/system.slice/docker-{}.scope/memory.stat"),
)
_SAMPLE_SECONDS = 0.05
_SHARE = ("--cpu-shares", "4096")
"""Of a busy machine's processors, for both alike: with a step's own share it would be others that are measured."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one container took."""

    name: str
    seconds: float
    """Of the work, after the imports."""
    processor: float
    """Seconds that this took of all processors: other work on the machine makes the time longer, and this hardly."""
    wall: float
    """From ``docker run`` to its end."""
    mib: float
    """The greatest resident set of its process, libraries included."""
    outside: float | None
    """The most of its own memory, without files and their cache, that a look each 50 ms from outside saw."""


@dataclasses.dataclass
class Place:
    """A project's folders, empty but for what is measured, and the images' tag."""

    folder: Path
    tag: str

    def __post_init__(self) -> None:
        for name in ("models", "shared", "shared/inputs", "shared/runs", "shared/runs/plain"):
            made = self.folder / name
            made.mkdir(exist_ok=True)
            made.chmod(0o775)

    @property
    def inputs(self) -> Path:
        return self.folder / "shared/inputs"

    def plain(self, what: str, table: str) -> Cost:
        """The plain script: the same seal but for its limit of memory, which is the machine's."""
        sealed = self._sealed(StepSpec(image="trainer", command=[what], journal="training"), "plain", "2g")
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        sealed = dataclasses.replace(sealed, memory=str(machine), file_size=None)
        options = ["--entrypoint", "python", *sealed.run_options()]
        shutil.copyfile(_PLAIN, self._run_folder("plain") / _PLAIN.name)
        command = [f"/shared/{_PLAIN.name}", what, f"/inputs/{table}"]
        said, wall, outside = self._run(options, "trainer", command)
        found = msgspec.json.decode(said.splitlines()[-1])
        return Cost(name=what, wall=wall, outside=outside, **found)

    def train(
        self, run: str, table: str, memory: str, model: str | None = None, environment: str = "dev"
    ) -> list[Cost]:
        """The two steps of a training, which are not recorded."""
        steps = (("trainer", "preprocessing", "--source", table), ("trainer", "train_model"))
        return [self._step(run, memory, model, environment, *step) for step in steps]

    def infer(self, run: str, table: str, memory: str, environment: str = "prd") -> list[Cost]:
        """The three steps of an inference, which are not recorded."""
        steps = (
            ("inference", "generate_inf_data", "--source", table),
            ("inference", "preprocess_inf_data"),
            ("inference", "model_inference"),
        )
        return [self._step(run, memory, None, environment, *step) for step in steps]

    def publish(self, run: str, environment: str) -> None:
        """Record what the training ``run`` proposes, as the registrar would."""
        folder = self._run_folder(run)
        proposal = self._result(folder, "train_model").proposal
        assert isinstance(proposal, ModelProposal), proposal
        who = Author(identity=Identity(run_id=run, task_id="train_model"), environment=environment)
        recording.record(Registry(self.folder / "models"), proposal, who, folder)
        for one in (self.folder / "models").iterdir():
            one.chmod(0o644)

    def remove(self, run: str) -> None:
        """Remove what a run has left."""
        shutil.rmtree(self._run_folder(run), ignore_errors=True)

    def _step(  # a step is told all of it
        self, run: str, memory: str, model: str | None, environment: str, image: str, *command: str
    ) -> Cost:
        spec = StepSpec(
            image=image, command=command, journal="training", environment=environment, model_name=model or "model"
        )
        _, wall, outside = self._run(self._sealed(spec, run, memory).run_options(), image, command)
        found = self._result(self._run_folder(run), spec.task_id)
        assert found.processor_seconds is not None
        assert found.peak_memory_bytes is not None
        return Cost(
            name=spec.task_id,
            seconds=(clock.parse(found.finished) - clock.parse(found.started)).total_seconds(),
            processor=found.processor_seconds,
            wall=wall,
            mib=found.peak_memory_bytes / _MIB,
            outside=outside,
        )

    def _result(self, folder: Path, task: str) -> StepResult:
        found = result.read(folder, task)
        assert found is not None, f"{task} has left no result"
        return found

    def _run_folder(self, run: str) -> Path:
        return self.folder / "shared/runs" / run

    def _sealed(self, spec: StepSpec, run: str, memory: str) -> seal.Seal:
        folder = self._run_folder(run)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o775)
        settings = Settings(
            host_folder=str(self.folder),
            project="bulkhead-benchmark",
            tag=self.tag,
            uid=os.geteuid() or Settings.uid,
            memory=memory,
        )
        return seal.of_step(spec, settings, f"shared/runs/{run}", {"RUN_ID": run, "TRY_NUMBER": 1, "MAP_INDEX": -1})

    def _run(self, options: Sequence[str], image: str, command: Sequence[str]) -> tuple[str, float, float | None]:
        """What it prints, its seconds, and the MiB of its own memory, where the host shows them."""
        id_file = self.folder / "container"
        id_file.unlink(missing_ok=True)
        start = ["docker", "run", "--rm", "--cidfile", str(id_file), *options, *_SHARE]
        start += [f"bulkhead/{image}:{self.tag}", *command]
        begun = time.monotonic()
        with subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            watch = _Watch(id_file)
            try:
                said, errors = client.communicate()
            except BaseException:  # nothing goes on once nobody waits for it
                client.kill()
                subprocess.run(["docker", "rm", "--force", id_file.read_text()], capture_output=True, check=False)
                raise
            finally:
                most = watch.most()
        wall = time.monotonic() - begun
        if client.returncode:
            raise SystemExit(f"{image} {command[0]} ended with {client.returncode}: {errors[-2000:]}")
        return said, wall, most


class _Watch:
    """Looks again and again how much memory a container has of its own, until it is asked."""

    def __init__(self, id_file: Path) -> None:
        self._id_file = id_file
        self._most = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def most(self) -> float | None:
        """MiB; None: this host does not show them."""
        self._is_over.set()
        self._thread.join()
        return self._most / _MIB or None

    def _look(self) -> None:
        while not self._is_over.wait(_SAMPLE_SECONDS):
            try:
                container = self._id_file.read_text()
            except FileNotFoundError:
                continue
            if not container:  # the group of that name is all containers'
                continue
            for counted, place in _GROUPS:
                try:
                    lines = Path(place.format(container)).read_text().splitlines()
                except OSError:  # another version's, or it has not begun, or has ended
                    continue
                self._most = max(
                    [self._most, *(int(line.split()[1]) for line in lines if line.startswith(f"{counted} "))]
                )
