"""Tables from the browser: what the launcher starts to look at them, and what it puts in place."""

from __future__ import annotations

import os
import stat
import threading
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.launcher.checks import CONTENT, MADE, UPLOAD, CheckHost, found
from tests.launcher.support import PROJECT, Host

from bulkhead.uploads import CheckAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def checks(tmp_path: Path) -> Iterator[CheckHost]:
    made = CheckHost(tmp_path)
    yield made
    made.engine.server.stop()


def removed(checks: CheckHost) -> list[str]:
    """The containers that were removed, by force."""
    return [
        path.rpartition("/")[2]
        for method, path, query, _ in checks.engine.asked
        if method == "DELETE" and query["force"]
    ]


def test_a_table_that_was_read_whole_is_put_in_its_place(checks: CheckHost) -> None:
    checks.arrive()
    status, answer = checks.check()
    assert (status, answer) == (201, msgspec.to_builtins(found().table))
    assert (checks.inputs / "t.csv").read_bytes() == CONTENT
    assert stat.S_IMODE((checks.inputs / "t.csv").stat().st_mode) == 0o644
    assert (checks.inputs / "t.csv").stat().st_nlink == 1
    assert checks.left() == ["t.csv"]
    assert removed(checks) == [MADE]


def test_what_reads_it_sees_that_file_alone_and_may_do_less_than_a_step(checks: CheckHost) -> None:
    checks.arrive()
    checks.check("my table, 1.csv")
    (body,) = [body for _, path, _, body in checks.engine.asked if path == "/containers/create"]
    host = body.pop("HostConfig")
    assert body["Image"] == "sha256:1"
    assert body["Cmd"] == ["check_input", "--json", "--source", "my table, 1.csv"]
    assert body["User"] == "1234:0"
    assert body["Labels"] == {
        "io.bulkhead.project": PROJECT,
        "io.bulkhead.check-input": "",
        "com.docker.compose.project": "",
        "com.docker.compose.service": "",
    }
    assert host == {
        "AutoRemove": False,
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": "size=256m,mode=1777"},
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": 64,
        "Init": True,
        "CpuShares": 256,
        "OomScoreAdj": 500,
        "NanoCpus": 1_000_000_000,
        "Memory": 1 << 30,
        "MemorySwap": 1 << 30,
        "Ulimits": [{"Name": "fsize", "Soft": 1 << 20, "Hard": 1 << 20}],
        "LogConfig": {"Type": "local", "Config": {"max-size": "4m", "max-file": "2", "compress": "false"}},
        "Mounts": [
            {
                "Type": "bind",
                "Source": f"/project/shared/inputs/.uploads/{UPLOAD}",
                "Target": "/inputs/my table, 1.csv",
                "ReadOnly": True,
            }
        ],
    }


def test_env_sets_its_limits_by_its_name(checks: CheckHost) -> None:
    checks.variables |= {"BULKHEAD_STEP_MEMORY_CHECK_INPUT": "300m", "BULKHEAD_STEP_CPUS_CHECK_INPUT": "0.5"}
    checks.routes = checks.made()
    checks.arrive()
    checks.check()
    (body,) = [body for _, path, _, body in checks.engine.asked if path == "/containers/create"]
    assert (body["HostConfig"]["Memory"], body["HostConfig"]["NanoCpus"]) == (300 << 20, 500_000_000)


def test_a_table_that_is_none_is_refused_with_the_checks_own_sentence(checks: CheckHost) -> None:
    checks.arrive()
    checks.engine.said = msgspec.json.encode(CheckAnswer(refused="t.csv: it is empty. Give a table."))
    checks.engine.code = 1
    assert checks.check() == (422, "t.csv: it is empty. Give a table.")
    assert checks.left() == []
    assert removed(checks) == [MADE]


@pytest.mark.parametrize(
    ("code", "said", "complained", "status", "words"),
    [
        (137, b"", b"", 422, "more than 1g of memory"),
        (139, b"", b"", 422, "exit code 139 (and said nothing)"),
        (70, b"", b"Traceback\nOverflowError: too big\n", 422, "exit code 70 (OverflowError: too big)"),
        (0, b"no json", b"", 422, "exit code 0"),
        (0, b'{"table": {"rows": -1}}', b"", 422, "exit code 0"),
        (0, b"{}", b"", 422, "nothing was found"),
        (0, b"x" * (5 << 20), b"", 422, "exit code 0"),
        (2, b"", b"Usage", 503, "of another version"),
    ],
)
def test_a_check_that_ends_otherwise_puts_nothing_in_place(  # a table
    checks: CheckHost, code: int, said: bytes, complained: bytes, status: int, words: str
) -> None:
    checks.arrive()
    checks.engine.code, checks.engine.said, checks.engine.complained = code, said, complained
    answered, sentence = checks.check()
    assert answered == status
    assert words in sentence
    assert checks.left() == []
    assert removed(checks) == [MADE]


def test_a_name_that_is_taken_is_refused_before_anything_is_started(checks: CheckHost) -> None:
    for name in ("t.csv", "folder.csv", "link.csv"):
        checks.arrive()
        if name == "t.csv":
            (checks.inputs / name).write_text("mine")
        elif name == "folder.csv":
            (checks.inputs / name).mkdir()
        else:
            (checks.inputs / name).symlink_to("nowhere")
        status, sentence = checks.check(name)
        assert status == 409
        assert "is there already" in sentence
    assert checks.engine.changes == []
    assert (checks.inputs / "t.csv").read_text() == "mine"


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(checks: CheckHost) -> None:
    checks.arrive()
    checks.engine.on_start = lambda: (checks.inputs / "t.csv").write_text("theirs")
    assert checks.check()[0] == 409
    assert (checks.inputs / "t.csv").read_text() == "theirs"
    assert checks.left() == ["t.csv"]


@pytest.mark.parametrize("name", ["../t.csv", "a/b.csv", ".t.csv", "_t.csv", "-t.csv", "t.txt", "", "t\n.csv", "*.csv"])
def test_a_name_that_no_input_can_have_is_refused(checks: CheckHost, name: str) -> None:
    checks.arrive()
    assert checks.check(name)[0] == 400
    assert checks.engine.asked == []


@pytest.mark.parametrize("upload", ["../t", "a" * 31, "A" * 32, f"{UPLOAD}/", f"{UPLOAD}\n", ""])
def test_an_upload_that_is_no_id_is_refused(checks: CheckHost, upload: str) -> None:
    assert checks.check(upload=upload)[0] == 400


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"[" * 4000, b'{"upload": "x"}', b'{"name": "\\ud800.csv"}'])
def test_a_request_that_is_none_is_refused(checks: CheckHost, body: bytes) -> None:
    assert checks.ask("POST", "/check_input", body)[0] == 400


@pytest.mark.parametrize("kind", ["link", "link to a file", "folder", "fifo", "second name", "sparse", "nothing"])
def test_what_is_no_plain_file_of_one_name_is_neither_mounted_nor_placed(checks: CheckHost, kind: str) -> None:
    path = checks.arriving / UPLOAD
    secret = checks.folder / "secret.csv"
    secret.write_bytes(CONTENT)
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "link to a file":
        path.symlink_to(secret)
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "second name":
        path.write_bytes(CONTENT)
        os.link(path, checks.arriving / "second")
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(1 << 30)
    assert checks.check()[0] == 503
    assert checks.engine.changes == []
    assert not (checks.inputs / "t.csv").exists()
    assert secret.read_bytes() == CONTENT


def test_a_folder_of_uploads_that_is_a_link_is_not_followed(checks: CheckHost, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (checks.uploads).rename(elsewhere)
    checks.uploads.symlink_to(elsewhere)
    (elsewhere / "arriving" / UPLOAD).write_bytes(CONTENT)
    assert checks.check()[0] == 503
    assert (elsewhere / "arriving" / UPLOAD).exists()


def test_a_file_that_changes_while_it_is_checked_is_not_placed(checks: CheckHost) -> None:
    with checks.arrive().open("ab", buffering=0) as held:
        checks.engine.on_start = lambda: held.write(b"x")
        status, sentence = checks.check()
    assert status == 503
    assert "has changed while it was checked" in sentence
    assert checks.left() == []


def test_what_was_checked_has_to_be_what_was_sent(checks: CheckHost) -> None:
    checks.arrive()
    status, sentence = checks.check(sha256="0" * 64)
    assert status == 503
    assert "not the one that was sent" in sentence
    assert checks.left() == []


def test_two_of_one_name_at_once_have_one_winner(checks: CheckHost) -> None:
    others = [f"{number:032x}" for number in range(6)]
    answers: list[int] = []
    for upload in others:
        checks.arrive(upload)
    threads = [
        threading.Thread(target=lambda upload=upload: answers.append(checks.check(upload=upload)[0]))
        for upload in others
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 409, 409, 409, 409, 409]
    assert len(checks.left()) <= 1 + len(others)  # those that were refused at once are the API server's to remove
    assert (checks.inputs / "t.csv").read_bytes() == CONTENT


def test_a_check_that_takes_too_long_is_ended(checks: CheckHost) -> None:
    checks.variables["BULKHEAD_STEP_SECONDS_CHECK_INPUT"] = "0.3"
    checks.routes = checks.made()
    checks.engine.never_ends = True
    checks.arrive()
    status, sentence = checks.check()
    assert status == 422
    assert "takes longer than 0.3 s" in sentence
    assert "BULKHEAD_STEP_SECONDS_CHECK_INPUT" in sentence
    assert removed(checks) == [MADE]
    assert checks.left() == []


def test_a_check_that_nobody_waits_for_is_ended_and_puts_nothing_in_place(checks: CheckHost) -> None:
    checks.engine.never_ends = True
    checks.arrive()
    status, sentence = checks.check(gone=checks.engine.begun)
    assert (status, "nobody waits" in sentence) == (503, True)
    assert removed(checks) == [MADE]
    assert checks.left() == []


def test_a_launcher_that_ends_takes_its_check_along(checks: CheckHost) -> None:
    checks.engine.never_ends = True
    checks.arrive()
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(checks.check()[0]))
    asking.start()
    assert checks.engine.begun.wait(10)
    checks.routes.stop()
    asking.join(10)
    assert answers == [503]
    assert removed(checks) == [MADE]
    assert checks.left() == []


def test_a_launcher_that_starts_removes_what_an_earlier_one_has_left(checks: CheckHost) -> None:
    (checks.uploads / UPLOAD).write_bytes(CONTENT)
    (checks.uploads / "link").symlink_to("/etc/passwd")
    arriving = checks.arrive("f" * 32)
    checks.engine.left = ["e" * 64]
    checks.routes.begin()
    deadline = time.monotonic() + 10
    while checks.engine.left and time.monotonic() < deadline:
        time.sleep(0.01)
    assert removed(checks) == ["e" * 64]
    assert checks.left() == [f".uploads/arriving/{arriving.name}"]  # it is the API server's, and may be growing


def test_each_check_removes_what_was_left_by_one_that_could_not(checks: CheckHost) -> None:
    checks.engine.left = ["e" * 64]
    checks.arrive()
    assert checks.check()[0] == 201
    assert removed(checks) == ["e" * 64, MADE]


def test_an_engine_that_hangs_or_is_away_is_told_and_leaves_nothing(checks: CheckHost) -> None:
    checks.engine.on_start = lambda: time.sleep(3)
    checks.routes = checks.made(0.3)
    checks.arrive()
    status, sentence = checks.check()
    assert (status, "the engine does not answer" in sentence) == (503, True)
    assert checks.left() == []
    checks.engine.server.stop()
    checks.engine.socket.unlink()
    checks.arrive()
    status, sentence = checks.check()
    assert (status, "the engine does not answer" in sentence) == (503, True)
    assert checks.left() == []


def test_an_engine_that_refuses_is_told_as_it_says_it(checks: CheckHost) -> None:
    checks.engine.refuses_start = True
    checks.arrive()
    assert checks.check() == (503, "the table was not checked: invalid mount. Send it again later.")
    assert removed(checks) == [MADE]
    checks.engine.images.clear()
    checks.arrive()
    status, sentence = checks.check()
    assert (status, "No such image" in sentence) == (503, True)
    assert checks.left() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/containers/json"), ("POST", "/containers/create"), ("GET", "/check_input"), ("POST", "/probe")],
)
def test_the_page_may_ask_nothing_else(checks: CheckHost, method: str, path: str) -> None:
    assert checks.ask(method, path)[0] == 403
    assert checks.engine.asked == []


def test_whoever_starts_steps_cannot_ask_for_a_check(host: Host) -> None:
    (host.folder / "shared/inputs/.uploads/arriving").mkdir(parents=True)
    status, _ = host.ask("POST", "/check_input", {"upload": UPLOAD, "name": "t.csv", "sha256": "0" * 64})
    assert status == 403
