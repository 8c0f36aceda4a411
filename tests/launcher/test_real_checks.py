"""Tables from the browser before the real engine: files that lie about what they are, read in the real container."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.launcher.real import RealLauncher

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + bytes(range(256)) * 64
CSV = b"a,b,when\n1,x,2026-11-30\n2,,2026-12-01\n"


def parquet(rows: int = 3, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(rows)), "b": ["x"] * rows}), file, **options)
    return file.getvalue()


def lying_parquet() -> bytes:
    """Its end says more rows than there are, which the pages do not have."""
    whole = bytearray(parquet(1000, compression="none", use_dictionary=False))
    whole[4:2000] = bytes(1996)
    return bytes(whole)


def long_footer() -> bytes:
    whole = bytearray(parquet())
    whole[-8:-4] = struct.pack("<I", 0x7FFFFFFF)
    return bytes(whole)


class Launcher(RealLauncher):
    """Checks tables."""

    label = "io.bulkhead.check-input"

    def send(self, name: str, content: bytes) -> tuple[int, dict[str, Any]]:
        """As the API server does it."""
        upload = uuid.uuid4().hex
        (self.arriving / upload).write_bytes(content)
        wanted = {"upload": upload, "name": name, "sha256": hashlib.sha256(content).hexdigest()}
        try:
            status, body = self.client.request("POST", "/check_input", wanted)
        finally:
            (self.arriving / upload).unlink(missing_ok=True)
        return status, json.loads(body)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    made = Launcher(
        tmp_path_factory.mktemp("project"),
        BULKHEAD_STEP_SECONDS_CHECK_INPUT="60",
        BULKHEAD_STEP_MEMORY_CHECK_INPUT="600m",
    )
    try:
        yield made
    finally:
        made.remove()


def test_a_table_is_read_and_put_in_its_place(launcher: Launcher) -> None:
    for name, content in {"t.csv": CSV, "größe, 1 (2).csv": CSV, "t.csv.gz": gzip.compress(CSV)}.items():
        status, said = launcher.send(name, content)
        assert status == 201, said
        assert (said["rows"], said["columns_total"]) == (2, 3)
        assert said["sha256"] == hashlib.sha256(content).hexdigest()
        assert said["columns"] == [
            {"name": "a", "kind": "number", "missing": False},
            {"name": "b", "kind": "category", "missing": True},
            {"name": "when", "kind": "date", "missing": False},
        ]
        assert (launcher.inputs / name).read_bytes() == content
        assert launcher.send(name, content)[0] == 409
    status, said = launcher.send("t.parquet", parquet())
    assert (status, said["rows"]) == (201, 3)
    assert launcher.containers() == []


LIES = {
    "picture.csv": (PNG, "zero bytes"),
    "program.parquet": (Path("/bin/true").read_bytes(), "cannot be read as Parquet"),
    "table.parquet": (CSV, "cannot be read as Parquet"),
    "footer.parquet": (long_footer(), "cannot be read as Parquet"),
    "pages.parquet": (lying_parquet(), "cannot be read"),
    "cut.parquet": (parquet(1000)[:-100], "cannot be read as Parquet"),
    "packed.csv": (gzip.compress(CSV), "call it .csv.gz"),
    "plain.csv.gz": (CSV, "cannot be unpacked as gzip"),
    "twice.csv": (b"a,a\n1,2\n", "2 columns are called 'a'"),
    "empty.csv": (b"", "it is empty"),
    "blank.csv": (b"\n\n \n", "empty"),
    "no_rows.csv": (b"a,b\n", "no rows"),
    "no_rows.parquet": (parquet(0), "no rows"),
    "ragged.csv": (b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
    "zeros.csv": (b"a,b\n1,\x00\n", "zero bytes"),
    "utf16.csv": ("a,b\n1,2\n".encode("utf-16"), "zero bytes"),
    "latin.csv": ("a,b\n1,größe\n".encode("latin-1"), "UTF8"),
    "late.csv": (b"a,b\n" + b"1,2\n" * 300_000 + b"1,\xff\n", "UTF8"),
    "line.csv": (b"a,b\n" + b"x" * 2_000_000 + b",1\n", "longer than a megabyte"),
    "bell.csv": (b"a,b\x07\n1,2\n", "control character"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_file_that_lies_about_what_it_is_is_refused_with_a_sentence(launcher: Launcher, name: str) -> None:
    content, words = LIES[name]
    status, said = launcher.send(name, content)
    assert status == 422, said
    assert words in said["message"], said
    assert said["message"].startswith(name)
    assert "\n" not in said["message"]
    assert not (launcher.inputs / name).exists()
    assert launcher.containers() == []


def test_ten_thousand_columns_are_read_and_the_first_are_said(launcher: Launcher) -> None:
    names = ",".join(f"c{number}" for number in range(10_000))
    row = ",".join("1.5" for _ in range(10_000))
    status, said = launcher.send("wide.csv", f"{names}\n{row}\n{row}\n".encode())
    assert status == 201, said
    assert (said["columns_total"], len(said["columns"])) == (10_000, 200)


def test_ten_thousand_columns_of_long_names_are_within_the_bounds_of_the_answer(launcher: Launcher) -> None:
    names = ",".join(f"{number:05}" + "\U0001f6a2" * 230 for number in range(900))
    row = ",".join("1" for _ in range(900))
    status, said = launcher.send("long.csv", f"{names}\n{row}\n".encode())
    assert status == 201, said
    assert said["columns"][0]["name"] == "00000" + "\U0001f6a2" * 230


def test_a_gzip_bomb_ends_at_its_limits_and_takes_nothing_down(launcher: Launcher) -> None:
    """Some megabytes, of which unpacking makes more than a gigabyte of cells."""
    row = b"1," * 20_000 + b"1\n"
    header = ",".join(f"c{number}" for number in range(20_001)).encode() + b"\n"
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as file:
        file.write(header)
        for _ in range(60):
            file.write(row * 500)
    assert len(packed.getvalue()) < 8 << 20
    began = time.monotonic()
    status, said = launcher.send("bomb.csv.gz", packed.getvalue())
    assert status == 422, said
    assert "takes" in said["message"], said
    assert time.monotonic() - began < 120
    assert launcher.containers() == []
    assert launcher.send("after.csv", CSV)[0] == 201


def test_a_launcher_that_is_killed_meanwhile_leaves_nothing_after_its_next_start(launcher: Launcher) -> None:
    upload = uuid.uuid4().hex
    (launcher.arriving / upload).write_bytes(b"a,b\n" + b"1.5,2.5\n" * 8_000_000)
    asking = subprocess.Popen(
        ["curl", "--silent", "--unix-socket", str(launcher.inputs.parent.parent / "run/page.sock"),
         "--data", json.dumps({"upload": upload, "name": "killed.csv", "sha256": "0" * 64}),
         "http://launcher/check_input"]
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not launcher.containers():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    subprocess.run(["docker", "kill", launcher.project], check=True, capture_output=True)
    assert asking.wait(30) != 0
    subprocess.run(["docker", "start", launcher.project], check=True, capture_output=True)
    deadline = time.monotonic() + 60
    while launcher.containers() or (launcher.inputs / ".uploads" / upload).exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not (launcher.inputs / "killed.csv").exists()
