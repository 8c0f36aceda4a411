"""Small tables that are read as large ones are: in many batches."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tabular import csv_file, csv_text, pieces

if TYPE_CHECKING:
    import pytest

LONGEST_ROW = 200
"""Bytes: a row, and the header, must fit into a block."""


def in_batches_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, tables are read ``rows`` rows at a time, or a few more."""
    monkeypatch.setattr(pieces, "_MOST_ROWS", rows)
    monkeypatch.setattr(pieces, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(csv_file, "_BLOCK", LONGEST_ROW)
    monkeypatch.setattr(csv_text, "_PIECE", 64)


def threads_of_steps() -> list[str]:
    """The threads that read ahead, or write behind."""
    return [one.name for one in threading.enumerate() if one.name.startswith(("reads ahead", "writes"))]
