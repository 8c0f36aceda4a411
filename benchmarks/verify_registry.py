"""What ``registry verify`` costs on 10,000 models and 1,000,000 inferences: time and peak memory, as ratios.

The registry is made in a temporary folder and is clean, every line in the chain and signed, with a file for each model
and for each inference's predictions, which is a table like that of a step. Time stands beside that of reading and
decoding the same lines as every reader
does (:func:`bulkhead.registry.journal.read`), memory beside that of the same check at a tenth of the inferences; each
in a process of its own. Machines are shared and only the ratios mean anything, so it is the processor's
time that is compared. Run it with ``just benchmark-verify``.
"""

from __future__ import annotations

import hashlib
import io
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa
from pyarrow import parquet
from tests.support.project import lineage

from bulkhead import clock
from bulkhead.maintenance.verify import predictions_file, verify
from bulkhead.registry import chain, journal, record_lines, records
from bulkhead.registry.chain import Key, KeyRing
from bulkhead.registry.records import InferenceRecord, ModelRecord, Record
from bulkhead.registry.store import Registry

MODELS = 10_000
INFERENCES = 1_000_000
IN_A_RUN = 100
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MOST_MEMORY = 1.25
"""Times the memory at a tenth of the inferences."""
KEY = Key(b"\x01" * 32)
PREDICTIONS = [40.0 + row / 7 for row in range(20)]


def _table() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table({"prediction": PREDICTIONS}), file)
    return file.getvalue()


TABLE = _table()
"""Every predictions file here: what counts is how many there are."""


class Journal:
    """A journal that is written from its beginning, without its lock and without waiting for the disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seq, self._prev = 0, chain.ZEROS

    def append(self, record: Record) -> None:
        """Append ``record``, linked and signed."""
        self._seq += 1
        line = chain.link(record_lines.encode(record), self._seq, self._prev, KEY).rstrip(b"\n")
        self._prev = hashlib.sha256(line).hexdigest()
        self._file.write(line + b"\n")


def make(project: Path, inferences: int) -> None:
    """A clean registry with ``inferences`` inferences."""
    models = project / "models"
    models.mkdir(parents=True)
    names = []
    with (models / "log.txt").open("wb") as file:
        trainings = Journal(file)
        for number in range(MODELS):
            content = number.to_bytes(1000)
            moment = BEGIN + timedelta(minutes=number)
            name = f"model_{clock.in_filename(moment)}_{number:032x}.joblib"
            (models / name).write_bytes(content)
            names.append((name, hashlib.sha256(content).hexdigest()))
            made_by = lineage(run_id=f"manual__{number}", dag_id=f"{_environment(number)}_train_model_dag")
            record = ModelRecord(
                model_hash=f"{number:032x}",
                model_filename=name,
                training_timestamp=clock.in_record(moment),
                environment=_environment(number),
                sha256=names[-1][1],
                size_bytes=len(content),
                **msgspec.structs.asdict(made_by),
            )
            trainings.append(record)
    with (models / "log_inference.txt").open("wb") as file:
        predictions = Journal(file)
        for number in range(inferences):
            predictions.append(_inference(project, number, *names[number % MODELS]))


def _inference(project: Path, number: int, model: str, sha256: str) -> InferenceRecord:
    run = f"shared/runs/{_environment(number)}_inference_pipe_dag/manual__{number // IN_A_RUN}"
    moment = BEGIN + timedelta(days=30, seconds=number)
    path = f"{run}/predictions_{clock.in_filename(moment)}.parquet"
    if number % IN_A_RUN in (0, 1):
        (project / run).mkdir(parents=True)
    (project / path).write_bytes(TABLE)
    return InferenceRecord(
        inference_time=clock.in_record(moment),
        environment=_environment(number),
        inference_data="shared/inputs/t.csv",
        model_used=model,
        predictions=PREDICTIONS,
        model_hash=f"{number % MODELS:032x}",
        model_sha256=sha256,
        predictions_path=path,
        rows=20,
        input_sha256="0" * 64,
        output_sha256=hashlib.sha256(TABLE).hexdigest(),
        dag_id=f"{_environment(number)}_inference_pipe_dag",
        run_id=f"manual__{number}",
        task_id="model_inference",
        try_number=1,
        map_index=-1,
        image="bulkhead/inference:latest@sha256:" + "0" * 64,
        git_commit="c" * 40,
    )


def _environment(number: int) -> str:
    return ("dev", "prd")[number % 2]


def measure(what: str, project: Path) -> int:
    """Do it in this process, and print the processor's seconds and the peak memory."""
    registry = Registry(project / "models")
    started = time.process_time()
    match what:
        case "verify" | "quick" | "compare":
            # As 'just registry' runs it: the registrar's image has no pyarrow, so no predictions are compared.
            predictions_file.CAN_READ = what == "compare"
            ring = KeyRing(current=KEY)
            findings = verify(registry, project / "shared", predictions=what != "quick", ring=ring, heads={})
            found = sum(one.is_damage for one in findings)
        case "bytes":
            found = sum(len(path.read_bytes()) for path in registry.folder.iterdir()) * 0
        case _:
            found = sum(isinstance(r, records.Unreadable) for r in journal.read(registry.inference_journal))
    print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return int(found > 0)


def measured(what: str, project: Path) -> tuple[float, float]:
    """Seconds and MiB of ``what`` in a process of its own."""
    ended = subprocess.run([sys.executable, __file__, what, str(project)], capture_output=True, text=True, check=True)
    seconds, memory = map(float, ended.stdout.split())
    return seconds, memory


def main() -> int:
    """Print the figures; 1 when memory grows with the inferences."""
    with tempfile.TemporaryDirectory() as name:
        few, many = Path(name, "few"), Path(name, "many")
        make(few, INFERENCES // 10)
        make(many, INFERENCES)
        size = (many / "models/log_inference.txt").stat().st_size / 2**20
        print(f"{MODELS} models, {INFERENCES} inferences, log_inference.txt {size:.0f} MiB")
        measured("verify", many)  # the first look fills the kernel's caches for all
        tenth, whole = measured("verify", few), measured("verify", many)
        quick = measured("quick", many)
        compared = measured("compare", few)
        decoded = measured("decode", many)
        plain = measured("bytes", many)
    print(f"verify {whole[0]:.1f} s, {whole[1]:.0f} MiB")
    print(f"verify --quick {quick[0]:.1f} s, {quick[1]:.0f} MiB")
    print(
        f"with a tenth, and its predictions compared, where there is pyarrow {compared[0]:.1f} s, {compared[1]:.0f} MiB"
    )
    print(f"with a tenth of the inferences {tenth[0]:.1f} s, {tenth[1]:.0f} MiB")
    print(f"reading all bytes {plain[0]:.1f} s, decoding log_inference.txt as readers do {decoded[0]:.1f} s")
    print(f"time ratio to decoding {whole[0] / decoded[0]:.2f}, of --quick {quick[0] / decoded[0]:.2f}")
    print(f"memory ratio to a tenth {whole[1] / tenth[1]:.2f}")
    return int(whole[1] / tenth[1] > MOST_MEMORY)


if __name__ == "__main__":
    sys.exit(measure(sys.argv[1], Path(sys.argv[2])) if sys.argv[1:] else main())
