"""What was measured, as figures to print and to keep."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import msgspec
from benchmarks.table_sizes.containers import Cost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_FORM = "{:>11} {:<8} {:<15} {:>6} {:>8} {:>8} {:>6} {:>6} {:>10} {:>10} {:>6}  {}"
"""Of the ratios the first is of time, CPU of the processors' seconds, and the last of memory."""
HEADER = _FORM.format(
    "rows",
    "format",
    "what",
    "memory",
    "plain s",
    "steps s",
    "ratio",
    "CPU",
    "plain MiB",
    "steps MiB",
    "ratio",
    "target",
)


class Target(msgspec.Struct, frozen=True):
    """The most that a ratio may be."""

    time: float
    memory: float


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    rows: int
    kind: str
    what: str
    memory: str = "2g"
    """What each step may use, in Docker's notation."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a case: medians."""

    case: Case
    runs: int
    plain: Cost | None
    """None: the table does not fit into the machine's memory so often as the plain script needs it."""
    steps: list[Cost]

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)

    @property
    def processor(self) -> float:
        return sum(step.processor for step in self.steps)

    @property
    def mib(self) -> float:
        return max(step.mib for step in self.steps)


def of_runs(case: Case, plain: Sequence[Cost], steps: Sequence[Sequence[Cost]]) -> Figure:
    """The medians of several runs, each of its own."""
    return Figure(
        case=case,
        runs=len(steps),
        plain=_median(plain) if plain else None,
        steps=[_median(costs) for costs in zip(*steps, strict=True)],
    )


def _median(costs: Sequence[Cost]) -> Cost:
    def of(value: Callable[[Cost], float]) -> float:
        return statistics.median(map(value, costs))

    outside = [cost.outside for cost in costs if cost.outside is not None]
    return Cost(
        name=costs[0].name,
        seconds=of(lambda cost: cost.seconds),
        processor=of(lambda cost: cost.processor),
        wall=of(lambda cost: cost.wall),
        mib=of(lambda cost: cost.mib),
        outside=statistics.median(outside) if outside else None,
    )


def line(figure: Figure, target: Target | None, base: Figure | None) -> tuple[str, bool]:
    """The line of the table, and whether it keeps its target.

    Args:
        figure: what was measured.
        target: the most that the ratios may be.
        base: of a smaller table, whose time a row is compared with.
    """
    case, plain = figure.case, figure.plain
    times = figure.seconds / plain.seconds if plain is not None else None
    memories = figure.mib / plain.mib if plain is not None else None
    said, is_kept = [], True
    if target and times is not None and memories is not None:
        said.append(f"time {target.time:g}, memory {target.memory:g}")
        is_kept = times <= target.time and memories <= target.memory
    if base is not None:
        a_row = figure.seconds / case.rows / (base.seconds / base.case.rows)
        processors = figure.processor / case.rows / (base.processor / base.case.rows)
        said.append(
            f"a row's time {a_row:.2f}, its processors' {processors:.2f} of that of {base.case.rows:,}; {MOST_A_ROW:g}"
        )
        is_kept = is_kept and a_row <= MOST_A_ROW
    if said:
        said.append("kept" if is_kept else "MISSED")
    text = _FORM.format(
        f"{case.rows:,}",
        case.kind,
        case.what,
        case.memory,
        f"{plain.seconds:.2f}" if plain else "-",
        f"{figure.seconds:.2f}",
        f"{times:.2f}" if times else "-",
        f"{figure.processor / plain.processor:.2f}" if plain else "-",
        f"{plain.mib:,.0f}" if plain else "-",
        f"{figure.mib:,.0f}",
        f"{memories:.2f}" if memories else "-",
        "; ".join(said),
    )
    return text.rstrip(), is_kept


MOST_A_ROW = 1.2
"""Times a row's time in the smaller table."""


def details(figure: Figure) -> str:
    """A line for each container."""
    plain = [] if figure.plain is None else [described(figure.plain, "plain ")]
    return "\n".join([*plain, *map(described, figure.steps)])


def described(cost: Cost, kind: str = "") -> str:
    """One container's line."""
    outside = "" if cost.outside is None else f", own memory {cost.outside:,.0f} MiB"
    return (
        f"  {kind + cost.name:<22} work {cost.seconds:7.2f} s, processors {cost.processor:7.2f} s, container"
        f" {cost.wall:7.2f} s, peak {cost.mib:,.0f} MiB{outside}"
    )


def kept(path: Path) -> dict[Case, Figure]:
    """The figures in ``path``, by case; none, where there is no such file."""
    found = msgspec.json.decode(path.read_bytes(), type=list[Figure]) if path.exists() else []
    return {figure.case: figure for figure in found}


def keep(path: Path, figures: Sequence[Figure]) -> None:
    """Write ``figures`` beside those that are there, in place of those of the same case."""
    merged = kept(path) | {figure.case: figure for figure in figures}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(merged.values()))) + b"\n")
