"""Run a training and an inference on a table of ROWS rows, and print how much memory this process took at its most.

python measure_steps.py FOLDER ROWS csv|csv.gz|parquet
"""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import inference.cli
import trainer.cli
from bulkhead import paths

COLUMNS = 8
AT_ONCE = 50_000


def main() -> None:
    folder, rows, end = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    for name in ("SHARED", "MODELS", "INPUTS"):
        (folder / name.lower()).mkdir()
        setattr(paths, name, str(folder / name.lower()))
    put(folder / "inputs" / f"t.{end}", rows, end)
    source = ("--source", f"t.{end}")
    for run, *argv in (
        (trainer.cli.main, "preprocessing", *source),
        (trainer.cli.main, "train_model"),
        (inference.cli.main, "generate_inf_data", *source),
        (inference.cli.main, "preprocess_inf_data"),
        (inference.cli.main, "model_inference"),
    ):
        if code := run(argv):
            sys.exit(code)
    # Not of getrusage, which begins with what the parent had before this process was another one.
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) * 1024)  # noqa: T201  # who runs this reads it


def put(path: Path, rows: int, end: str) -> None:
    """The table, piece by piece; as Parquet in one row group."""
    made = np.random.default_rng(0)
    names = [*(f"x{place}" for place in range(COLUMNS - 1)), "target"]
    if end == "parquet":
        # One row group cannot be written piece by piece, but of few different numbers it is small.
        column = pa.DictionaryArray.from_arrays(
            pa.array(made.integers(0, 50, AT_ONCE), pa.int8()), pa.array(made.normal(size=50))
        )
        group = pa.table({name: pa.chunked_array([column] * (rows // AT_ONCE)) for name in names})
        pq.write_table(group, path, row_group_size=rows, store_schema=False)
        return
    buffer = io.BytesIO()
    values = made.normal(size=(AT_ONCE, COLUMNS)).round(3)
    pyarrow.csv.write_csv(pa.table({name: values[:, place] for place, name in enumerate(names)}), buffer)
    header, _, content = buffer.getvalue().partition(b"\n")
    with gzip.open(path, "wb", 1) if end == "csv.gz" else path.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(rows // AT_ONCE):
            file.write(content)


if __name__ == "__main__":
    main()
