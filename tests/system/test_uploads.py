"""A table goes from a browser into ``shared/inputs/``, and is trained on; what lies or breaks off is not."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.faults.support import wait_until
from tests.support.uploads import URL, Sender

if TYPE_CHECKING:
    from tests.system.support import Stack

pytestmark = pytest.mark.system

CSV = b"a,target\n" + b"".join(b"%d,%d\n" % (row, 2 * row) for row in range(40))
TRAIN = "dev_train_model_dag"


@pytest.fixture(scope="module")
def sender(stack: Stack) -> Sender:
    return Sender(stack)


def checks(stack: Stack) -> list[str]:
    wanted = [f"label=io.bulkhead.project={stack.project}", "label=io.bulkhead.check-input"]
    listed = ["docker", "ps", "--all", "--quiet"] + [word for one in wanted for word in ("--filter", one)]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()


def arriving(stack: Stack) -> list[str]:
    return [path.name for path in (stack.inputs / ".uploads/arriving").iterdir()]


def test_a_table_that_was_sent_is_trained_on(stack: Stack, sender: Sender) -> None:
    status, said = sender.send("sent.csv", CSV)
    assert status == 201, said
    assert (said["rows"], said["columns_total"]) == (40, 2)
    assert (stack.inputs / "sent.csv").read_bytes() == CSV
    assert (stack.inputs / "sent.csv").stat().st_mode & 0o777 == 0o644
    assert sender.listed()["inputs"][0]["name"] == "sent.csv"
    run_id, state = stack.run(TRAIN, {"source": "sent.csv"})
    assert state == "success"
    (record,) = stack.trainings(run_id)
    assert record["data"]["sha256"] == said["sha256"]
    assert sender.send("sent.csv", CSV)[0] == 409


def test_who_may_only_look_sends_nothing(stack: Stack) -> None:
    viewer = Sender(stack, "VIEWER")
    status, said = viewer.send("viewed.csv", CSV * 100_000)
    assert (status, TRAIN in said["detail"]) == (403, True)
    assert not viewer.listed()["may_upload"]
    viewer.headers = {}
    assert viewer.send("viewed.csv", CSV)[0] == 401
    assert not (stack.inputs / "viewed.csv").exists()
    assert Sender(stack, "USER").send("used.csv", CSV)[0] == 201


@pytest.mark.parametrize("origin", [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_another_sites_page_sends_nothing(sender: Sender, origin: dict[str, str]) -> None:
    assert sender.send("crossed.csv", CSV, **origin)[0] == 403


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("picture.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 100, "zero bytes"),
        ("table.parquet", CSV, "cannot be read as Parquet"),
        ("twice.csv", b"a,a\n1,2\n", "2 columns are called"),
        ("nothing.csv", b"", "it is empty"),
    ],
)
def test_a_file_that_lies_is_refused(sender: Sender, name: str, content: bytes, words: str) -> None:
    before = sender.files()
    status, said = sender.send(name, content)
    assert (status, words in said["detail"]) == (422, True), said
    assert sender.files() == before
    assert checks(sender.stack) == []


def test_a_table_of_half_a_gigabyte_passes_through_a_small_memory(stack: Stack, sender: Sender) -> None:
    """More than the API server may have beside what it has: it would be killed."""
    piece = b"1.5,2.5\n" * 131_072
    status, said = sender.send("large.csv", iter([b"a,b\n", *[piece] * 500]))
    assert status == 201, said
    assert (stack.inputs / "large.csv").stat().st_size == 4 + 500 * len(piece)
    (stack.inputs / "large.csv").unlink()


def test_twenty_at_once_are_taken_or_told_to_come_later(stack: Stack, sender: Sender) -> None:
    answers: dict[int, int] = {}

    def send(number: int) -> None:
        answers[number] = sender.send(f"many{number}.csv", CSV)[0]

    threads = [threading.Thread(target=send, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers.values()) <= {201, 503}
    assert sum(status == 201 for status in answers.values()) >= 4
    there = {path.name for path in stack.inputs.glob("many*.csv")}
    assert there == {f"many{number}.csv" for number, status in answers.items() if status == 201}
    assert arriving(stack) == []


def test_two_of_one_name_at_once_have_one_winner(stack: Stack, sender: Sender) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(sender.send("one.csv", CSV)[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 409]
    assert arriving(stack) == []


@pytest.mark.parametrize("head", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_client_that_goes_in_the_middle_leaves_nothing(stack: Stack, sender: Sender, head: str) -> None:
    with socket.create_connection(("127.0.0.1", sender.port)) as client:
        token = f"Authorization: {sender.headers['Authorization']}"
        client.sendall(f"POST {URL}/gone.csv HTTP/1.1\r\nHost: x\r\n{token}\r\n{head}\r\n\r\n".encode())
        client.sendall(b"5\r\na,b\n1\r\n" if head.startswith("T") else CSV)
        wait_until(lambda: arriving(stack), 20, "it does not begin to arrive")
    wait_until(lambda: not arriving(stack), 20, "what has not arrived stays")
    assert not (stack.inputs / "gone.csv").exists()


def test_a_launcher_that_is_killed_meanwhile_is_told_and_leaves_nothing(stack: Stack, sender: Sender) -> None:
    answers: list[tuple[int, object]] = []
    content = b"a,b\n" + b"1.5,2.5\n" * 6_000_000
    sending = threading.Thread(target=lambda: answers.append(sender.send("killed.csv", content)))
    sending.start()
    wait_until(lambda: checks(stack), 60, "it is not checked")
    launcher = stack.service("launcher")
    subprocess.run(["docker", "kill", launcher], check=True, capture_output=True)
    sending.join(60)
    ((status, said),) = answers
    assert (status, "just logs launcher" in json.dumps(said)) == (503, True)
    subprocess.run(["docker", "start", launcher], check=True, capture_output=True)
    wait_until(lambda: not checks(stack), 60, "its container stays")
    left = [name for name in sender.files() if name.startswith(".uploads") or name == "killed.csv"]
    assert left == []
    deadline = time.monotonic() + 30
    status = 0
    while status != 201 and time.monotonic() < deadline:
        with suppress(OSError):
            status = sender.send(f"after{time.monotonic_ns()}.csv", CSV)[0]
    assert status == 201


def test_a_server_that_is_killed_meanwhile_leaves_nothing_after_its_start(stack: Stack, sender: Sender) -> None:
    with socket.create_connection(("127.0.0.1", sender.port)) as client:
        token = f"Authorization: {sender.headers['Authorization']}"
        client.sendall(
            f"POST {URL}/gone.csv HTTP/1.1\r\nHost: x\r\n{token}\r\nContent-Length: 900000\r\n\r\n".encode() + CSV
        )
        wait_until(lambda: arriving(stack), 20, "it does not begin to arrive")
        subprocess.run(["docker", "kill", stack.service("api-server")], check=True, capture_output=True)
    assert len(arriving(stack)) == 1
    stack.compose("up", "--detach", "--wait", "--no-build", "api-server")
    wait_until(lambda: not arriving(stack), 30, "what was left stays")
