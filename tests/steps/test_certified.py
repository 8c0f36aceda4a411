"""Regressions whose right answer is known to many digits, through the commands.

No certified coefficient is taken from memory alone: each is solved exactly, in fractions, from the
very table that is trained on. Where NIST's certified value is given too, it must agree with the
exact solution, which proves that the table was typed in right.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.project import Project

type_of_table = list[list[str]]

LONGLEY = """
60323 83.0 234289 2356 1590 107608 1947
61122 88.5 259426 2325 1456 108632 1948
60171 88.2 258054 3682 1616 109773 1949
61187 89.5 284599 3351 1650 110929 1950
63221 96.2 328975 2099 3099 112075 1951
63639 98.1 346999 1932 3594 113270 1952
64989 99.0 365385 1870 3547 115094 1953
63761 100.0 363112 3578 3350 116219 1954
66019 101.2 397469 2904 3048 117388 1955
67857 104.6 419180 2822 2857 118734 1956
68169 108.4 442769 2936 2798 120445 1957
66513 110.8 444546 4681 2637 121950 1958
68655 112.6 482704 3813 2552 123366 1959
69564 114.2 502601 3931 2514 125368 1960
69331 115.7 518173 4806 2572 127852 1961
70551 116.9 554894 4007 2827 130081 1962
"""

NORRIS = """
0.1 0.2|338.8 337.4|118.1 118.2|888.0 884.6|9.2 10.1|228.1 226.5|668.5 666.3|998.5 996.3|449.1 448.6
778.9 777.0|559.2 558.2|0.3 0.4|0.1 0.6|778.1 775.5|668.8 666.9|339.3 338.0|448.9 447.5|10.8 11.6
557.7 556.0|228.3 228.1|998.0 995.8|888.8 887.6|119.6 120.2|0.3 0.3|0.6 0.3|557.6 556.8|339.3 339.1
888.0 887.2|998.5 999.0|778.9 779.0|10.2 11.1|117.6 118.3|228.9 229.2|668.4 669.1|449.2 448.9|0.2 0.5
"""

WAMPLER_NOISE = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048]
"""The first ten of Wampler's 21 errors, and the last ten in reverse; the middle one is 2048."""


def longley() -> type_of_table:
    return [line.split() for line in LONGLEY.split("\n") if line]


def norris() -> type_of_table:
    return [pair.split() for pair in NORRIS.strip().replace("\n", "|").split("|")]


def wampler(ratio: str, noise: int) -> type_of_table:
    """NIST's polynomials of degree 5 on 0..20: coefficients 1, r, r^2, ..., and errors of growing size."""
    errors = [*WAMPLER_NOISE, 2048, *reversed(WAMPLER_NOISE)]
    table = []
    for x, error in zip(range(21), errors, strict=True):
        y = sum(Fraction(ratio) ** power * x**power for power in range(6)) + noise * error
        shown = f"{float(y):.5f}"
        assert Fraction(shown) == y, "exact to the digits that are written"
        table.append([shown, *(str(x**power) for power in range(1, 6))])
    return table


def filip_like() -> type_of_table:
    """A polynomial of degree 10 on -8.78..-3.13, the shape of NIST's hardest table, Filip.

    Each power is written as the very float64 that is read back, so that the exact solution is that
    of what is trained on.
    """
    table = []
    for i in range(82):
        x = -8.78 + i * 0.0697
        y = f"{0.85 + 0.05 * (x + 6) + 0.02 * (i * 7919 % 83 - 41) / 41:.4f}"
        table.append([y, *(format(Decimal(x**power), "f") for power in range(1, 11))])
    return table


def exact(table: type_of_table) -> list[Fraction]:
    """The least-squares coefficients, intercept first: the normal equations, solved in fractions."""
    truth = [Fraction(row[0]) for row in table]
    given = [[Fraction(1), *map(Fraction, row[1:])] for row in table]
    width = len(given[0])
    equations = [
        [sum(row[i] * row[j] for row in given) for j in range(width)]
        + [sum(row[i] * y for row, y in zip(given, truth, strict=True))]
        for i in range(width)
    ]
    rows = [[Fraction(value) for value in row] for row in equations]
    for column in range(width):
        pivot = next(i for i in range(column, width) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for i in range(width):
            if i != column:
                factor = rows[i][column]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[-1] for row in rows]


TABLES: dict[str, Callable[[], type_of_table]] = {
    "Longley": longley,
    "Norris": norris,
    "Wampler1": lambda: wampler("1", 0),
    "Wampler2": lambda: wampler("0.1", 0),
    "Wampler3": lambda: wampler("1", 1),
    "Wampler4": lambda: wampler("1", 100),
    "Wampler5": lambda: wampler("1", 10_000),
    "Filip's shape": filip_like,
}

CERTIFIED: dict[str, list[float]] = {
    "Longley": [
        *(-3482258.63459582, 15.0618722713733, -0.358191792925910e-01, -2.02022980381683),
        *(-1.03322686717359, -0.511041056535807e-01, 1829.15146461355),
    ],
    "Norris": [-0.262323073774029, 1.00211681802045],
    "Wampler1": [1.0] * 6,
    "Wampler2": [1.0, 0.1, 0.01, 0.001, 0.0001, 0.00001],
    "Wampler3": [1.0] * 6,
    "Wampler4": [1.0] * 6,
    "Wampler5": [1.0] * 6,
}


@pytest.mark.parametrize("name", CERTIFIED)
def test_the_exact_solution_is_the_certified_one(name: str) -> None:
    """The tables above are NIST's: their exact coefficients are the certified ones."""
    assert [float(value) for value in exact(TABLES[name]())] == pytest.approx(CERTIFIED[name], rel=1e-14)


@pytest.mark.parametrize("name", TABLES)
def test_a_certified_regression_is_right_to_nine_digits(name: str, project: Project) -> None:
    table = TABLES[name]()
    names = ["y", *(f"x{number}" for number in range(1, len(table[0])))]
    project.put("nist.csv", "\n".join(",".join(row) for row in [names, *table]) + "\n")
    record = project.train("--source", "nist.csv", "--target", "y", fraction="0")
    model = project.registry.load(record)[-1]
    found = [model.intercept_, *model.coef_]
    assert found == pytest.approx([float(value) for value in exact(table)], rel=1e-9, abs=0)


def test_certified_coefficients_predict_through_the_whole_inference_pipeline(project: Project) -> None:
    table = longley()
    names = ["y", *(f"x{number}" for number in range(1, 7))]
    project.put("nist.csv", "\n".join(",".join(row) for row in [names, *table]) + "\n")
    project.train("--source", "nist.csv", "--target", "y", fraction="0")
    predicted = project.infer("nist.csv")["predictions"]
    coefficients = exact(table)
    right = [
        float(sum(c * v for c, v in zip(coefficients, [Fraction(1), *map(Fraction, row[1:])], strict=True)))
        for row in table
    ]
    assert np.allclose(predicted, right, rtol=1e-9, atol=0)
