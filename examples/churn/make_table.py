"""Print a table of customers as CSV: ``python3 make_table.py [ROWS] [SEED] > churn.csv``. Needs Python alone."""

from __future__ import annotations

import csv
import math
import random
import sys
from datetime import date, timedelta

PLANS = {"basic": 0.4, "family": -0.4, "business": -0.9}
REGIONS = ("north", "south", "east", "west")


def rows(count: int, seed: int) -> list[list[object]]:
    """Customers who leave the sooner the more they pay, the less they visit, and the shorter they are here."""
    draw = random.Random(seed)  # noqa: S311  # a table, no secret
    made: list[list[object]] = []
    for number in range(count):
        plan = draw.choice(list(PLANS))
        signed_up = date(2026, 11, 1) - timedelta(days=draw.randrange(1, 2000))
        monthly = round(draw.lognormvariate(3.2, 0.4), 2)
        visits = min(60, int(draw.expovariate(0.12)))
        autopay = draw.random() < 0.6
        days = (date(2026, 11, 1) - signed_up).days
        leaning = PLANS[plan] + 0.05 * (monthly - 25) - 0.09 * visits - 0.0008 * days - 0.7 * autopay + 0.9
        leaves = draw.random() < 1 / (1 + math.exp(-leaning))
        made.append(
            [
                f"C{number:05d}",
                plan,
                "" if draw.random() < 0.05 else draw.choice(REGIONS),
                "yes" if autopay else "no",
                signed_up.isoformat(),
                "" if draw.random() < 0.04 else monthly,
                visits,
                draw.choice(["", "called, twice", 'said "maybe"']),
                "yes" if leaves else "no",
            ]
        )
    return made


def main(arguments: list[str]) -> None:
    """Print the table."""
    count, seed = (int(word) for word in [*arguments, *("20000", "0")[len(arguments) :]])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["customer", "plan", "region", "autopay", "signed_up", "monthly", "visits", "notes", "churned"])
    writer.writerows(rows(count, seed))


if __name__ == "__main__":
    main(sys.argv[1:])
