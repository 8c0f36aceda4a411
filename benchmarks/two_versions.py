"""What the steps take with the images of one tag beside those of another: what a change has cost.

Both by turns in one run, in the seal, on a Parquet table of ten features. Only the ratios mean anything, and of these
that of the processors' seconds, which other work on the machine changes least; ``just benchmark-against TAG``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.table_sizes import tables
from benchmarks.table_sizes.containers import Place
from tests.containers.support import TAG

if TYPE_CHECKING:
    from benchmarks.table_sizes.containers import Cost

_TABLE = "table.parquet"


def main() -> int:
    """Print a line for each step and each pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, prog="just benchmark-against")
    parser.add_argument("before", help="the tag of the images that are compared with")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    tags = (asked.before, TAG)
    costs: dict[str, dict[str, list[Cost]]] = {tag: {} for tag in tags}
    with tempfile.TemporaryDirectory(prefix="bulkhead-benchmark-") as name:
        places: dict[str, Place] = {}
        for number, tag in enumerate(tags):
            folder = Path(name) / str(number)
            folder.mkdir()
            folder.parent.chmod(0o755)
            folder.chmod(0o755)
            place = places[tag] = Place(folder, tag)
            tables.numbers(place.inputs / _TABLE, asked.rows)
            place.train("first", _TABLE, "2g", environment="prd")
            place.publish("first", "prd")
            place.remove("first")
        for run in range(asked.runs):
            for tag, place in places.items():
                made = [*place.train(f"run{run}", _TABLE, "2g"), *place.infer(f"run{run}", _TABLE, "2g")]
                for cost in made:
                    costs[tag].setdefault(cost.name, []).append(cost)
                place.remove(f"run{run}")
    print(f"| {asked.rows:,} rows | processors' s, {tags[0]} | {tags[1]} | ratio | s | | ratio | MiB | |")
    print("|---|---|---|---|---|---|---|---|---|")
    steps = list(costs[TAG])
    for called, names in {**{one: [one] for one in steps}, "training": steps[:2], "inference": steps[2:]}.items():
        cells = [called]
        for field, form in (("processor", ".3f"), ("seconds", ".3f")):
            found = [_total(costs[tag], names, field) for tag in tags]
            cells += [*(format(one, form) for one in found), f"{found[1] / found[0]:.3f}"]
        peaks = [max(statistics.median(cost.mib for cost in costs[tag][one]) for one in names) for tag in tags]
        print(f"| {' | '.join([*cells, *(f'{peak:.0f}' for peak in peaks)])} |", flush=True)
    return 0


def _total(costs: dict[str, list[Cost]], names: list[str], field: str) -> float:
    return float(sum(statistics.median(getattr(cost, field) for cost in costs[name]) for name in names))


if __name__ == "__main__":
    sys.exit(main())
