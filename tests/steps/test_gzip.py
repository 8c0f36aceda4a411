"""A CSV file that is compressed with gzip is the table that gunzip makes of it, or is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhead.columns import number
from bulkhead.errors import Refused
from bulkhead.prediction.typed import TypedReader
from tabular import csv_text, tables
from tabular.csv_text import Text

if TYPE_CHECKING:
    from pathlib import Path

TABLE = b"a,target\n" + b"".join(b"%d,%d\n" % (i, i) for i in range(1000))


def rows_of(folder: Path, content: bytes) -> int:
    (folder / "t.csv.gz").write_bytes(content)
    table = tables.read_source("t.csv.gz", folder, bytes)
    return sum(len(batch.arrays["a"]) for batch in table.typed(TypedReader({"a": number()})))


@settings(max_examples=200)
@given(st.lists(st.text("ab,1", max_size=40), min_size=1, max_size=12), st.integers(1, 40))
def test_every_byte_of_every_member_is_unpacked_and_hashed_however_the_file_is_read(
    members: list[str], piece: int
) -> None:
    """A member may be empty, and end anywhere: in the middle of what is read at once, or with it."""
    packed = b"".join(gzip.compress(one.encode()) for one in members)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_text, "_PIECE", piece)
        text = Text(io.BytesIO(packed), "t.csv.gz", is_compressed=True)
        found = text.read()
    together = "".join(members).encode()
    assert found == (together + b"\n" if together else b"")
    assert text.finish() == hashlib.sha256(packed).hexdigest()


def test_a_table_in_thousands_of_members_loses_no_row(tmp_path: Path) -> None:
    """As bgzip, and whoever appends to a packed log, writes them."""
    lines = TABLE.splitlines(keepends=True)
    packed = [gzip.compress(line) for line in [lines[0], *lines[1:] * 25]]
    assert sum(map(len, packed)) > 2 * csv_text._PIECE
    assert rows_of(tmp_path, b"".join(packed)) == 25_000


@pytest.mark.parametrize("end", [b"", b"\0" * 1000, gzip.compress(b""), gzip.compress(b"") + b"\0"])
def test_padding_and_an_empty_member_at_the_end_are_nothing(end: bytes, tmp_path: Path) -> None:
    assert rows_of(tmp_path, gzip.compress(TABLE) + end) == 1000


BROKEN = {
    "cut off": (gzip.compress(TABLE)[:-20], "ended before"),
    "cut off in its checksum": (gzip.compress(TABLE)[:-3], "ended before"),
    "cut off in the second member": (gzip.compress(TABLE) + gzip.compress(TABLE)[:30], "ended before"),
    "garbage after it": (gzip.compress(TABLE) + b"garbage", "cannot be unpacked as gzip"),
    "garbage after padding": (gzip.compress(TABLE) + b"\0\0garbage", "cannot be unpacked as gzip"),
    "a wrong checksum": (gzip.compress(TABLE)[:-8] + b"\0" * 8, "CRC check failed"),
    "plain text": (TABLE, "cannot be unpacked as gzip"),
    "no byte": (b"", "it is empty"),
    "nothing in it": (gzip.compress(b""), "it is empty"),
    "zlib's own form": (zlib.compress(TABLE), "cannot be unpacked as gzip"),
    "packed twice": (gzip.compress(gzip.compress(TABLE)), "t.csv.gz"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_refused(what: str, tmp_path: Path) -> None:
    content, fragment = BROKEN[what]
    with pytest.raises(Refused) as error:
        rows_of(tmp_path, content)
    assert fragment in str(error.value)


def test_megabytes_of_zeros_in_kilobytes_are_refused_at_its_first_piece(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=31)
    zeros = bytes(1 << 20)
    content = b"".join(packer.compress(zeros) for _ in range(64)) + packer.flush()
    with pytest.raises(Refused, match="zero bytes"):
        rows_of(tmp_path, content)


def test_what_is_unpacked_at_once_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A hundred megabytes of short rows in a few kilobytes: a piece of them at a time."""
    packer = zlib.compressobj(wbits=31)
    rows = b"1,2\n" * 262_144
    content = packer.compress(b"a,b\n") + b"".join(packer.compress(rows) for _ in range(100)) + packer.flush()
    (tmp_path / "t.csv.gz").write_bytes(content)
    with (tmp_path / "t.csv.gz").open("rb") as file:
        text, largest, size = Text(file, "t.csv.gz", is_compressed=True), 0, 0
        while piece := text.read(1 << 20):
            largest = max(largest, len(text._ready))
            size += len(piece)
    assert size == 4 + 100 * len(rows)
    assert largest <= 1 << 20


def test_noise_is_refused(tmp_path: Path) -> None:
    noise = random.Random(0)  # noqa: S311  # the same noise each time
    for _ in range(50):
        with pytest.raises(Refused):
            rows_of(tmp_path, b"\x1f\x8b" + noise.randbytes(200))
