"""What the registrar needs where the logs have a million records: its memory, with its index, and its time.

A process of its own, with all that the service imports, reads the logs as at its start, looks for outcomes, and
records. The least memory, in one run: the same process with empty logs. Its index is a file in memory (a tmpfs), so it
counts too. Run it with ``just benchmark-registrar``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from bulkhead.files import sha256
from bulkhead.registry import chain, record_lines
from bulkhead.registry.chain import Key, KeyRing
from bulkhead.registry.records import InferenceRecord, TrainingFailure

RECORDS = 1_000_000
MOST_MEBIBYTES = 60.0
RING = KeyRing(Key(b"\x01" * 32))
_TRIES = 200


def try_id(number: int) -> str:
    """Airflow's id of a try."""
    return f"0199c0de-0000-7000-8000-{number:012x}"


def fill(folder: Path, count: int) -> None:
    """Signed logs: nine inferences of ten, each an outcome, and failures of training."""
    lines: dict[str, int] = {"log.txt": count // 10, "log_inference.txt": count - count // 10}
    for name, wanted in lines.items():
        before = chain.ZEROS
        with (folder / name).open("wb") as file:
            for number in range(1, wanted + 1):
                record = record_lines.encode(_record(name, number)).rstrip(b"\n")
                line = chain.link(record, number, before, RING.current)
                before = sha256(line)
                file.write(line + b"\n")


def _record(name: str, number: int) -> InferenceRecord | TrainingFailure:
    who: dict[str, Any] = {"dag_id": "prd_inference_pipe_dag", "run_id": f"manual__{number}", "try_number": 1}
    if name == "log.txt":
        return TrainingFailure(error_timestamp="t", detail="d", try_id=try_id(number), **who)
    return InferenceRecord(
        inference_time="2026-01-01T00:00:00.000000+00:00",
        environment="prd",
        inference_data="shared/inputs/t.csv",
        model_used="model_20260101T000000000000Z_abcdef.joblib",
        predictions=[0.5] * 10,
        first_try=try_id(number),
        **who,
    )


class NoTables:
    """Postgres, which has seen nothing and keeps nothing."""

    def heads(self) -> dict[str, Any]:
        """None."""
        return {}


def work(folder: Path) -> None:
    """What the registrar does with the logs in ``folder``; prints what it took."""
    from bulkhead.registry.store import Registry
    from registrar import serving  # with it comes all that the service imports
    from registrar.books import Books
    from registrar.heads import Heads
    from registrar.outcome_index import OutcomeIndex

    tables: Any = NoTables()
    index = OutcomeIndex(folder, folder / "index.sqlite")
    books = Books(Registry(folder, RING), index, tables, Heads(tables))
    begun = time.perf_counter()
    books.open()
    read = time.perf_counter() - begun
    begun = time.perf_counter()
    known = sum(books.outcome(try_id(number * 37 + 1)) is not None for number in range(_TRIES))
    looked = (time.perf_counter() - begun) / _TRIES
    begun = time.perf_counter()
    for number in range(_TRIES):
        with books.recording():
            books.record_failure("training", TrainingFailure(error_timestamp="t", detail="d", run_id=f"new {number}"))
    recorded = (time.perf_counter() - begun) / _TRIES
    status = Path("/proc/self/status").read_text().splitlines()
    peak, shared = (
        next(int(line.split()[1]) for line in status if line.startswith(name)) for name in ("VmHWM", "RssFile")
    )  # kB; of files are the libraries, whose pages are the machine's and not this process's own
    found = {
        "peak": (peak - shared) / 1024,
        "index": (folder / "index.sqlite").stat().st_size / (1 << 20),
        "read": read,
        "looked": looked,
        "recorded": recorded,
        "known": known,
        "serves": serving.__name__,
    }
    sys.stdout.write(msgspec.json.encode(found).decode())


def measured(count: int) -> float:
    """The memory with so many records, in MiB; printed, with the rest."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        fill(folder, count)
        program = [sys.executable, __file__, str(folder)]
        said = msgspec.json.decode(subprocess.run(program, check=True, capture_output=True, text=True).stdout)
    total = float(said["peak"] + said["index"])
    sys.stdout.write(
        f"{count:>9,} records: process {said['peak']:.1f} MiB, index {said['index']:.1f} MiB; read in"
        f" {said['read']:.1f} s, an outcome found in {said['looked'] * 1e3:.2f} ms, recorded in"
        f" {said['recorded'] * 1e3:.2f} ms ({said['known']} of {_TRIES} were there)\n"
    )
    return total


def main() -> int:
    """Measure; 1 where it is more than :data:`MOST_MEBIBYTES`."""
    if len(sys.argv) > 1:
        work(Path(sys.argv[1]))
        return 0
    least = measured(0)
    most = measured(RECORDS)
    sys.stdout.write(f"{most:.1f} MiB with the index, {most / least:.2f} times the least; {MOST_MEBIBYTES:g} at most\n")
    return int(most > MOST_MEBIBYTES)


if __name__ == "__main__":
    sys.exit(main())
