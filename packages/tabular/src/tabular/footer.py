"""The end of a Parquet file, which says what is where in it."""

from __future__ import annotations

import os

_END = 8
"""Bytes at a Parquet file's end: the length of what is before them, and PAR1."""
_LONGEST = 256 << 20


def footer(descriptor: int, size: int) -> bytes:
    """The end of the file ``descriptor`` of ``size`` bytes.

    Raises:
        ValueError: it is no Parquet file's.
        OSError: it cannot be read.
    """
    end = os.pread(descriptor, _END, max(size - _END, 0))
    length = int.from_bytes(end[:4], "little") + _END
    if len(end) < _END or not _END < length <= min(size, _LONGEST):
        raise ValueError("no Parquet file")
    return os.pread(descriptor, length, size - length)
