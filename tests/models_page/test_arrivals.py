"""Bodies that do not come to their end, or are more than there is room for: bounded in time, memory and disk."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from models_page.arrivals import Arrivals, NotTaken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def received(arrivals: Arrivals, body: AsyncIterator[bytes], length: int | None = None) -> bytes:
    """What was written.

    Raises:
        NotTaken: nothing was.
    """

    async def receive() -> bytes:
        async with arrivals.receiving(body, length) as arrived:
            return (arrivals._folder / arrived.upload).read_bytes()  # what nobody else sees

    return asyncio.run(receive())


def not_taken(arrivals: Arrivals, body: AsyncIterator[bytes], length: int | None = None) -> tuple[int, str]:
    """The refusal's status and words."""
    with pytest.raises(NotTaken) as refused:
        received(arrivals, body, length)
    return refused.value.status, refused.value.detail


async def whole(content: bytes) -> AsyncIterator[bytes]:
    """All of it."""
    yield content


async def slow(pause: float) -> AsyncIterator[bytes]:
    """A byte now and then."""
    while True:
        yield b"x"
        await asyncio.sleep(pause)


def test_a_body_that_comes_too_slowly_is_given_up(tmp_path: Path) -> None:
    for pause in (0.01, 60):
        began = time.monotonic()
        status, words = not_taken(Arrivals(tmp_path, seconds=0.3), slow(pause))
        assert (status, "did not arrive within 0.3 s" in words) == (408, True)
        assert time.monotonic() - began < 5
        assert list(tmp_path.iterdir()) == []


def test_a_disk_of_which_too_little_would_be_left_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = os.statvfs_result((4096, 4096, 1000, 60, 60, 0, 0, 0, 0, 255))  # 4 MB, of which 5 % are 50 blocks
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    assert received(Arrivals(tmp_path), whole(b"x"), 10 * 4096) == b"x"
    for length in (10 * 4096 + 1, 4 << 20):
        status, words = not_taken(Arrivals(tmp_path), slow(0), length)
        assert status == 507
        assert "has 240.0 KiB left, and 200.0 KiB are kept free" in words
    # Of a large disk no more is kept than ten uploads of the largest kind need.
    assert received(Arrivals(tmp_path, limit=20_000), whole(b"x"), 10_000) == b"x"


def test_a_disk_that_fills_meanwhile_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [1000]

    def disk(_: object) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 1000, free[0], free[0], 0, 0, 0, 0, 255))

    async def body() -> AsyncIterator[bytes]:
        yield bytes(1 << 20)
        free[0] = 10
        while True:
            yield bytes(1 << 20)

    monkeypatch.setattr(os, "statvfs", disk)
    status, words = not_taken(Arrivals(tmp_path), body())
    assert (status, "kept free" in words) == (507, True)
    assert list(tmp_path.iterdir()) == []


def test_a_write_for_which_there_is_no_room_is_told(tmp_path: Path) -> None:
    """In a process whose files may not be so large: as a full disk or a quota says it."""
    program = """
import asyncio, resource, signal, sys
from pathlib import Path
from models_page.arrivals import Arrivals, NotTaken
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
async def body():
    while True:
        yield bytes(65536)
async def receive():
    async with Arrivals(Path(sys.argv[1])).receiving(body(), None):
        pass
try:
    asyncio.run(receive())
except NotTaken as refused:
    print(refused.status, refused.detail)
"""
    python = [sys.executable, "-c", program, str(tmp_path)]
    said = subprocess.run(python, capture_output=True, text=True, check=True).stdout
    assert said.startswith("507 the disk of shared/inputs/ is full.")
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """In a process of its own, which may not have as much as the table is large."""
    program = """
import asyncio, resource, sys
from pathlib import Path
from models_page.arrivals import Arrivals
async def body():
    for _ in range(4096):
        yield bytes(65536)
async def receive():
    async with Arrivals(Path(sys.argv[1])).receiving(body(), None) as arrived:
        return arrived.size
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert asyncio.run(receive()) == 256 << 20
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    python = [sys.executable, "-c", program, str(tmp_path)]
    grown = int(subprocess.run(python, capture_output=True, text=True, check=True).stdout)
    assert grown < 32 << 10, f"{grown} KiB"


def test_a_process_that_was_killed_leaves_what_the_next_one_removes_and_no_more(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from models_page.arrivals import Arrivals
async def body():
    yield bytes(2 << 20)
    print("begun", flush=True)
    await asyncio.sleep(60)
async def receive():
    async with Arrivals(Path(sys.argv[1])).receiving(body(), None):
        pass
asyncio.run(receive())
"""
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as sending:
        assert sending.stdout is not None
        sending.stdout.readline()
        Arrivals(tmp_path).sweep()
        (name,) = [path.name for path in tmp_path.iterdir()]
        assert len(name) == 32
        sending.kill()
    assert (tmp_path / name).exists()
    Arrivals(tmp_path).sweep()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    status, words = not_taken(Arrivals(tmp_path / "arriving"), slow(0))
    assert status == 503
    assert "just up" in words
