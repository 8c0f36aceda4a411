"""Which rows are held out of training: drawn by the seed, so many exactly, whatever the batches they are read in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLOCK = 1 << 16


class Draw:
    """Draws ``held`` of ``rows`` rows, in their order.

    Rows are drawn in blocks of 65,536, each of which gives its share: memory does not grow with the table, and of a
    table of one block each choice is as likely as any other.

    Args:
        rows: how many there are.
        held: how many of them are drawn.
        key: what the draw depends on: the same key, the same rows.
    """

    def __init__(self, rows: int, held: int, key: list[int]) -> None:
        self._rows = rows
        self._held = held
        self._key = key
        self._place = 0
        self._block = -1
        self._mask = np.zeros(0, dtype=bool)

    def next(self, count: int) -> np.ndarray:
        """Of the next ``count`` rows, which are drawn: shape (count,), bool."""
        found = np.empty(count, dtype=bool)
        done = 0
        while done < count:
            block, offset = divmod(self._place, _BLOCK)
            if block != self._block:
                self._block, self._mask = block, self._drawn(block)
            piece = self._mask[offset : offset + count - done]
            found[done : done + len(piece)] = piece
            done += len(piece)
            self._place += len(piece)
        return found

    def _drawn(self, block: int) -> np.ndarray:
        begin, end = block * _BLOCK, min((block + 1) * _BLOCK, self._rows)
        quota = end * self._held // self._rows - begin * self._held // self._rows
        drawn = np.zeros(end - begin, dtype=bool)
        draw = np.random.default_rng([*self._key, block])
        drawn[draw.choice(end - begin, quota, replace=False, shuffle=False)] = True
        return drawn


class HeldOut:
    """Which rows are held out.

    Args:
        rows: how many the table has.
        share: of them to be held out, in [0, 1); rounded up to whole rows.
        seed: of the draw.
        classes: how many rows each class has, where each is to give its share; None: they are not looked at.

    Attributes:
        count: how many are held out.
    """

    def __init__(self, rows: int, share: float, seed: int, classes: Mapping[Any, int] | None = None) -> None:
        self.rows = rows
        self.count = int(np.ceil(rows * share))
        self._seed = seed
        self._of_class = None if classes is None else _shares(classes, self.count)
        self._sizes = classes

    def shuffled(self, rows: int) -> np.ndarray:
        """Where each of ``rows`` rows stands among those that train: some estimators learn from rows in their order."""
        return np.random.default_rng([self._seed, rows, 0]).permutation(rows)

    def begin(self) -> Pass:
        """From the first row on, once more."""
        if self._of_class is None or self._sizes is None:
            return Pass({None: Draw(self.rows, self.count, [self._seed])})
        return Pass(
            {
                one: Draw(self._sizes[one], held, [self._seed, place])
                for place, (one, held) in enumerate(self._of_class.items(), 1)
            }
        )


class Pass:
    """One reading of the table, from its first row to its last.

    Args:
        draws: by class, its draw; under None that of all rows.
    """

    def __init__(self, draws: Mapping[Any, Draw]) -> None:
        self._draws = draws

    def mask(self, target: np.ndarray) -> np.ndarray:
        """Of the next rows, whose target this is, which are held out: shape (rows,), bool."""
        if None in self._draws:
            return self._draws[None].next(len(target))
        mask = np.zeros(len(target), dtype=bool)
        for one, draw in self._draws.items():
            of_it = np.flatnonzero(target == one)
            mask[of_it] = draw.next(len(of_it))
        return mask


def _shares(classes: Mapping[Any, int], held: int) -> dict[Any, int]:
    """How many of each class are held out, ``held`` in all: as near to its share as whole rows are."""
    rows = sum(classes.values())
    shares = {one: count * held // rows for one, count in classes.items()}
    rests = sorted(classes, key=lambda one: -(classes[one] * held % rows))  # stable: classes of one size in their order
    for one in rests[: held - sum(shares.values())]:
        shares[one] += 1
    return shares
