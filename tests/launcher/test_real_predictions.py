"""Predictions before the real engine: files that are none, and readers that go, read by the real container."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.launcher.real import RealLauncher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

FOLDER = "shared/runs/prd_inference_pipe_dag/manual__1-0badcafe"
PATH = f"{FOLDER}/predictions_1.parquet"
TABLE: dict[str, list[Any]] = {
    "customer": ["a", "=1+1", '"x", y'],
    "prediction": ["stays", "leaves", "stays"],
    "probability_stays": [0.75, -0.125, None],
}


class Launcher(RealLauncher):
    """Reads predictions."""

    label = "io.bulkhead.show-predictions"

    def write(self, table: dict[str, list[Any]] | pa.Table, path: str = PATH) -> str:
        """A predictions file; returns its hash."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table if isinstance(table, pa.Table) else pa.table(table), file)
        return self.hash_of(file)

    @staticmethod
    def hash_of(file: Path) -> str:
        """Its SHA-256."""
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    def ask(self, sha256: str, path: str = PATH, limit: int | None = None) -> tuple[int, Any]:
        """Status, and the sentence of a refusal, or the first line and the rows."""
        status, body = self.client.request("POST", "/predictions", {"path": path, "sha256": sha256, "limit": limit})
        if status != 200:
            return status, json.loads(body)["message"]
        head, _, rows = body.partition(b"\n")
        return status, (json.loads(head), rows.decode())

    def begin(self, sha256: str) -> socket.socket:
        """Ask for all, and read no more than the beginning."""
        asking = socket.socket(socket.AF_UNIX)
        asking.settimeout(60)
        asking.connect(str(self.socket))
        body = json.dumps({"path": PATH, "sha256": sha256, "limit": None}).encode()
        asking.sendall(b"POST /predictions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert asking.recv(100).startswith(b"HTTP/1.1 200")
        return asking

    def wait_for_no_container(self) -> None:
        """Within the time that a removal takes."""
        deadline = time.monotonic() + 30
        while self.containers():
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    made = Launcher(
        tmp_path_factory.mktemp("project"),
        BULKHEAD_STEP_SECONDS_SHOW_PREDICTIONS="60",
        BULKHEAD_STEP_MEMORY_SHOW_PREDICTIONS="256m",
    )
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def long(launcher: Launcher) -> str:
    """The hash of a file whose rows take some seconds to print."""
    rows = pa.array(range(5_000_000))
    return launcher.write(pa.table({"row": rows, "prediction": rows.cast(pa.float64())}))


def test_a_file_comes_as_csv_that_no_spreadsheet_computes(launcher: Launcher) -> None:
    status, (head, rows) = launcher.ask(launcher.write(TABLE))
    assert (status, head) == (200, {"columns": [*TABLE], "rows": 3, "refused": None, "is_another": False})
    assert rows == ('customer,prediction,probability_stays\na,stays,0.75\n\'=1+1,leaves,-0.125\n"""x"", y",stays,\n')
    launcher.wait_for_no_container()


def test_its_first_rows_come_as_they_are(launcher: Launcher) -> None:
    status, (head, rows) = launcher.ask(launcher.write(TABLE), limit=2)
    assert (status, head["rows"]) == (200, 3)
    assert [json.loads(line) for line in rows.splitlines()] == [["a", "stays", 0.75], ["=1+1", "leaves", -0.125]]
    launcher.wait_for_no_container()


def test_a_file_that_is_not_the_recorded_one_or_none_is_refused_with_a_sentence(launcher: Launcher) -> None:
    recorded = launcher.write(TABLE)
    file = launcher.folder / PATH
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    status, sentence = launcher.ask(recorded)
    assert (status, "is not the file that was written" in sentence) == (409, True)
    assert launcher.ask(launcher.hash_of(file))[0] == 422
    secret = launcher.folder / "secret.parquet"
    secret.write_bytes(b"secret")
    for kind in ("link", "folder", "fifo", "gone"):
        file.unlink(missing_ok=True)
        if kind == "link":
            file.symlink_to(secret)
        elif kind == "folder":
            file.mkdir()
        elif kind == "fifo":
            os.mkfifo(file)
        status, sentence = launcher.ask(recorded)
        assert status == (410 if kind == "gone" else 422), sentence
        assert "Traceback" not in sentence
        if kind == "folder":
            file.rmdir()
    launcher.wait_for_no_container()


def test_a_file_that_takes_more_memory_than_there_is_ends_alone(launcher: Launcher) -> None:
    text = pa.array(["x" * 100_000_000] * 4)
    status, sentence = launcher.ask(launcher.write(pa.table({"customer": text, "prediction": [1.0] * 4})))
    assert (status, "more than 256m of memory" in sentence) == (422, True), sentence
    launcher.wait_for_no_container()
    assert launcher.ask(launcher.write(TABLE))[0] == 200


def test_who_goes_takes_the_container_along(launcher: Launcher, long: str) -> None:
    asking = launcher.begin(long)
    assert len(launcher.containers()) == 1
    asking.close()
    launcher.wait_for_no_container()


def test_a_container_that_is_killed_in_the_middle_gives_no_whole_answer(launcher: Launcher, long: str) -> None:
    with launcher.begin(long) as asking:
        (container,) = launcher.containers()
        subprocess.run(["docker", "kill", container], check=True, capture_output=True)
        received = b""
        while piece := asking.recv(1 << 20):
            received = (received + piece)[-10:]
    assert not received.endswith(b"0\r\n\r\n")
    launcher.wait_for_no_container()


def test_more_at_once_than_may_are_told_to_come_later(launcher: Launcher, long: str) -> None:
    first, second = launcher.begin(long), launcher.begin(long)
    began = time.monotonic()
    status, sentence = launcher.ask(long)
    assert (status, "Try again" in sentence) == (503, True)
    assert time.monotonic() - began < 40
    assert launcher.ask(long, limit=1)[0] == 200
    first.close()
    second.close()
    launcher.wait_for_no_container()


def test_a_launcher_that_is_killed_meanwhile_leaves_nothing_after_its_next_start(launcher: Launcher, long: str) -> None:
    with launcher.begin(long):
        subprocess.run(["docker", "kill", launcher.project], check=True, capture_output=True)
        assert len(launcher.containers()) == 1
        subprocess.run(["docker", "start", launcher.project], check=True, capture_output=True)
        launcher.wait()
        launcher.wait_for_no_container()
