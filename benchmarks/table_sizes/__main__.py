"""What a table's size costs: the steps in the seal beside a plain script of pandas and scikit-learn.

Both by turns in one run, in containers of the same image, and only their ratio means anything: machines are shared and
noisy. Time is that of the work, without the container's start and the imports; memory is the greatest resident set of
the process, of several steps that of the greatest. Run it with ``just benchmark-data``.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.table_sizes import examples, figures, picture, tables
from benchmarks.table_sizes.containers import Place
from benchmarks.table_sizes.figures import Case, Figure, Target
from tests.containers.support import TAG

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.table_sizes.containers import Cost

MILLION = 1_000_000
TARGETS = {
    (MILLION, "CSV", "training"): Target(1.5, 0.5),
    (5 * MILLION, "Parquet", "training"): Target(0.8, 0.2),
    (5 * MILLION, "Parquet", "inference"): Target(1.5, 0.2),
}
BASE = 5
"""Millions of rows, with whose time a row the larger tables are compared."""
LARGE = 50
"""Millions of rows from which on a table is measured once, in :data:`LARGE_MEMORY`."""
LARGE_MEMORY = "1g"
COPIES = 4
"""How often the plain script has the table in memory: as read, split, and as the fit and the measuring copy it."""
FILES = 3.2
"""How often a table is on the disk: the source, and what two steps of an inference leave."""
EXAMPLES = ("churn", "churn_lightgbm")


def main() -> int:
    """Print the table; 1 where a target is missed."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # what was made is removed
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bulkhead-benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        place = Place(folder, TAG)
        _prepare(place)
        print(figures.HEADER, flush=True)
        missed = False
        for word in asked.what:
            for figure in _measured(place, word, asked.runs):
                found.append(figure)
                case = figure.case
                base = [one for one in found if one.case.what == case.what and one.case.rows == BASE * MILLION]
                target = TARGETS.get((case.rows, case.kind, case.what))
                is_larger = case.kind == "Parquet" and case.rows > BASE * MILLION
                line, is_kept = figures.line(figure, target, base[0] if is_larger else None)
                missed = missed or not is_kept
                print(line, figures.details(figure), sep="\n", flush=True)
                if asked.keep:
                    figures.keep(asked.keep, [figure])
    if asked.plot:
        known = figures.kept(asked.keep).values() if asked.keep else found
        asked.plot.write_text(picture.svg(list(known)))
    return int(missed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="just benchmark-data")
    parser.add_argument(
        "what",
        nargs="*",
        help="csv, examples, or the millions of rows of a Parquet table; by default csv, 5 and examples",
    )
    parser.add_argument("--runs", type=int, default=3, help="of each case, an odd number; of the largest tables one")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the figures there, beside those of other runs")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw how they grow, with all that is kept")
    found = parser.parse_args()
    words = found.what or ["csv", str(BASE), "examples"]
    if any(word not in {"csv", "examples"} and not word.isdecimal() for word in words) or found.runs % 2 == 0:
        parser.error("give csv, examples, or millions of rows; and an odd number of runs")
    sizes = {int(word) for word in words if word.isdecimal()}
    sizes |= {BASE} if any(size > BASE for size in sizes) else set()
    found.what = [word for word in words if word == "csv"] + [str(size) for size in sorted(sizes)]
    found.what += ["examples"] if "examples" in words else []
    return found


def _prepare(place: Place) -> None:
    """A model for inference, which is not measured; plain, and served in prd. Trainings run in dev."""
    tables.numbers(place.inputs / "few.parquet", 10_000)
    place.plain("training", "few.parquet")
    costs = place.train("few", "few.parquet", "2g", environment="prd")
    place.publish("few", "prd")
    costs += place.infer("few", "few.parquet", "2g")
    place.remove("few")
    print("10,000 rows, what is there whatever the table's size:")
    print("\n".join(map(figures.described, costs)), flush=True)


def _measured(place: Place, word: str, runs: int) -> list[Figure]:
    if word == "examples":
        return _examples(place, runs)
    size = 1 if word == "csv" else int(word)
    rows, is_large = size * MILLION, size >= LARGE
    kind = "CSV" if word == "csv" else "Parquet"
    table = f"table.{kind.lower()}"
    _check_room(place.folder, rows)
    tables.numbers(place.inputs / table, rows)
    fits = rows * tables.ROW_BYTES * COPIES < _free_memory()
    memory = LARGE_MEMORY if is_large else "2g"
    made = []
    for what in ("training",) if word == "csv" else ("training", "inference"):
        case = Case(rows=rows, kind=kind, what=what, memory=memory)
        plain = partial(place.plain, what, table) if fits else None
        steps = partial(place.train if what == "training" else place.infer, table=table, memory=memory)
        made.append(_by_turns(place, case, plain, steps, 1 if is_large else runs))
    (place.inputs / table).unlink()
    return made


def _by_turns(
    place: Place, case: Case, plain: Callable[[], Cost] | None, steps: Callable[[str], list[Cost]], runs: int
) -> Figure:
    """The plain script, then the steps in a run of the name that they are given, so often."""
    ours, theirs = [], []
    for number in range(runs):
        if plain is not None:
            theirs.append(plain())
        ours.append(steps(f"run{number}"))
        place.remove(f"run{number}")
    return figures.of_runs(case, theirs, ours)


def _examples(place: Place, runs: int) -> list[Figure]:
    table = "customers.csv"
    tables.customers(place.inputs / table, MILLION)
    made = []
    with examples.built(place.folder / "clone") as tag:
        own = Place(place.folder, tag)
        for name in EXAMPLES:
            case = Case(rows=MILLION, kind="CSV", what=name)
            plain, steps = partial(own.plain, name, table), partial(own.train, table=table, memory="2g", model=name)
            made.append(_by_turns(own, case, plain, steps, runs))
    return made


def _check_room(folder: Path, rows: int) -> None:
    needed, free = int(rows * tables.ROW_BYTES * FILES), shutil.disk_usage(folder).free
    if needed > free:
        raise SystemExit(
            f"{rows:,} rows need {needed / 1e9:.0f} GB on the disk of {folder.parent}, and it has {free / 1e9:.0f} GB."
            " Make room, or set TMPDIR."
        )


def _free_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


if __name__ == "__main__":
    sys.exit(main())
