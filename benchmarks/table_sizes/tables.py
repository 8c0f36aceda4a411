"""The tables that are measured: written in batches, so that one of any size can be made."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FEATURES = 10
ROW_BYTES = 8 * (FEATURES + 1)
_ROWS = 1 << 20
"""At once, and in a row group: as pandas writes them."""
_CUSTOMERS = 50_000
_MAKE_TABLE = Path(__file__).parents[2] / "examples/churn/make_table.py"


def numbers(path: Path, rows: int) -> None:
    """Ten features of normal numbers, and a target that depends on them; CSV or Parquet, as ``path`` ends."""
    draw = np.random.default_rng(0)
    names = [*(f"feature{number}" for number in range(1, FEATURES + 1)), "target"]
    schema = pa.schema([(name, pa.float64()) for name in names])
    writer = pyarrow.csv.CSVWriter if path.suffix == ".csv" else pq.ParquetWriter
    with writer(str(path), schema) as file:
        for begin in range(0, rows, _ROWS):
            features = draw.normal(size=(FEATURES, min(_ROWS, rows - begin)))
            target = np.arange(FEATURES) @ features + draw.normal(size=features.shape[1])
            file.write_batch(pa.RecordBatch.from_arrays([*map(pa.array, features), pa.array(target)], schema=schema))


def customers(path: Path, rows: int) -> None:
    """The table of ``examples/churn``, of any length, as CSV."""
    made: Callable[[int, int], list[list[object]]] = runpy.run_path(str(_MAKE_TABLE))["rows"]
    header = "customer,plan,region,autopay,signed_up,monthly,visits,notes,churned\n"
    with path.open("w", newline="") as file:
        file.write(header)
        for line in _customers(made, rows):
            file.write(line)


def _customers(made: Callable[[int, int], list[list[object]]], rows: int) -> Iterator[str]:
    for begin in range(0, rows, _CUSTOMERS):
        for number, (_, *cells) in enumerate(made(min(_CUSTOMERS, rows - begin), begin), begin):
            yield ",".join([f"C{number:08d}", *map(_cell, cells)]) + "\n"


def _cell(value: object) -> str:
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text
