"""Predictions for the Models page: what the launcher starts to read them, and what it hands on of its output."""

from __future__ import annotations

import json
import os
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.launcher.readings import FOLDER, HEAD, MADE, PATH, ROWS, SHA256, ReadingHost
from tests.launcher.support import PROJECT

from bulkhead.prediction_files import Head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ReadingHost]:
    made = ReadingHost(tmp_path)
    yield made
    made.server.stop()
    made.engine.server.stop()


@pytest.mark.parametrize("limit", [None, 500])
def test_what_the_container_prints_is_the_answer_and_the_container_is_removed(
    host: ReadingHost, limit: int | None
) -> None:
    host.engine.complained = b"a warning\n"
    assert host.ask(limit=limit) == (200, HEAD + ROWS)
    host.wait_for(host.has_removed_its_own)
    calls = [path.rpartition("/")[2] for method, path, *_ in host.engine.asked if method == "POST"]
    assert calls == ["create", "attach", "start"]  # attached first: not a byte may be missed


def test_a_long_output_comes_whole_whatever_its_pieces(host: ReadingHost) -> None:
    rows = b"".join(b"%d,1.5\n" % number for number in range(200_000))
    host.engine.said = HEAD + rows
    assert host.ask() == (200, HEAD + rows)


def test_what_reads_them_sees_the_run_folder_alone_and_may_do_less_than_a_step(host: ReadingHost) -> None:
    host.ask(limit=50)
    (body,) = [body for _, path, _, body in host.engine.asked if path == "/containers/create"]
    sealed = body.pop("HostConfig")
    assert body["Image"] == "sha256:1"
    assert body["Cmd"] == ["show_predictions", f"--path={PATH}", f"--sha256={SHA256}", "--limit=50"]
    assert body["User"] == "1234:0"
    assert body["Labels"] == {
        "io.bulkhead.project": PROJECT,
        "io.bulkhead.show-predictions": "",
        "com.docker.compose.project": "",
        "com.docker.compose.service": "",
    }
    assert sealed == {
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
        "Memory": 512 << 20,
        "MemorySwap": 512 << 20,
        "Ulimits": [{"Name": "fsize", "Soft": 1 << 20, "Hard": 1 << 20}],
        "LogConfig": {"Type": "none", "Config": {}},
        "Mounts": [{"Type": "bind", "Source": f"/project/{FOLDER}", "Target": "/shared", "ReadOnly": True}],
    }


def test_env_sets_its_limits_by_its_name(host: ReadingHost) -> None:
    host.variables |= {"BULKHEAD_STEP_MEMORY_SHOW_PREDICTIONS": "300m", "BULKHEAD_STEP_CPUS_SHOW_PREDICTIONS": "0.5"}
    host.ask()
    (body,) = [body for _, path, _, body in host.engine.asked if path == "/containers/create"]
    assert (body["HostConfig"]["Memory"], body["HostConfig"]["NanoCpus"]) == (300 << 20, 500_000_000)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "models/log.txt",
        "shared/inputs/t.parquet",
        "shared/runs/../inputs/t.parquet",
        f"{FOLDER}/../r2/p.parquet",
        f"{FOLDER}/deeper/p.parquet",
        "shared/runs/p.parquet",
        f"{FOLDER}/",
        "shared/runs//p",
        "shared/runs/d/\0",
        "",
    ],
)
def test_a_path_that_is_no_file_of_a_run_is_refused_before_anything_is_started(host: ReadingHost, path: str) -> None:
    (host.folder / "shared/inputs/t.parquet").write_bytes(b"x")
    (host.folder / "shared/runs/p.parquet").write_bytes(b"x")
    status, _ = host.ask(path=path)
    assert status in {410, 422}
    assert host.engine.changes == []


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "sparse", "run is a link", "dag is a link", "gone"])
def test_what_is_no_plain_file_is_refused_before_anything_is_started(host: ReadingHost, kind: str) -> None:
    file = host.folder / PATH
    file.unlink()
    elsewhere = host.folder / "elsewhere"
    if kind == "link":
        file.symlink_to("/etc/passwd")
    elif kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "sparse":
        with file.open("wb") as sparse:
            sparse.truncate(1 << 30)
    elif kind != "gone":
        file.write_bytes(b"x")
        moved = file.parent if kind == "run is a link" else file.parent.parent
        moved.rename(elsewhere)
        moved.symlink_to(elsewhere)
    status, sentence = host.ask()
    assert status == (410 if kind == "gone" else 422), sentence
    assert host.engine.changes == []


@pytest.mark.parametrize(
    "changes", [{"sha256": "x" * 64}, {"sha256": None}, {"limit": 0}, {"limit": 501}, {"path": 1}, {"more": 1}]
)
def test_a_request_that_is_none_is_refused(host: ReadingHost, changes: dict[str, Any]) -> None:
    assert host.ask(**changes)[0] == 400
    assert host.engine.changes == []


@pytest.mark.parametrize(("is_another", "status"), [(True, 409), (False, 422)])
def test_what_the_container_refuses_is_refused_with_its_sentence(
    host: ReadingHost, *, is_another: bool, status: int
) -> None:
    host.engine.said = msgspec.json.encode(Head(refused="it is none. Fix it.", is_another=is_another)) + b"\n"
    host.engine.code = 1
    assert host.ask() == (status, "it is none. Fix it.")
    host.wait_for(host.has_removed_its_own)


@pytest.mark.parametrize(
    ("code", "said", "complained", "status", "words"),
    [
        (2, b"", b"Usage: inference", 503, "of another version. Run 'just build-images'"),
        (137, b"", b"", 422, "more than 512m of memory. Raise BULKHEAD_STEP_MEMORY_SHOW_PREDICTIONS"),
        (70, b"", b"Traceback\nOverflowError: too big\n", 422, "exit code 70 (OverflowError: too big)"),
        (0, b"", b"", 422, "exit code 0 (and said nothing)"),
        (0, b"no json\n", b"", 422, "exit code 0"),
        (0, b"x" * (5 << 20), b"", 422, "exit code 0"),
    ],
)
def test_a_container_that_ends_before_its_first_row_is_a_refusal(
    host: ReadingHost, code: int, said: bytes, complained: bytes, status: int, words: str
) -> None:
    host.engine.code, host.engine.said, host.engine.complained = code, said, complained
    answered, sentence = host.ask()
    assert answered == status
    assert words in sentence
    host.wait_for(host.has_removed_its_own)


def test_a_container_that_ends_in_the_middle_gives_no_whole_answer(host: ReadingHost) -> None:
    host.engine.code = 137
    with pytest.raises(ConnectionError):
        host.ask()
    host.wait_for(host.has_removed_its_own)
    host.wait_for(lambda: "before its end: 'shared/runs/" in host.said[-1])
    assert host.ask(limit=50)[0] == 422  # which is whole before it is answered


def test_one_that_takes_too_long_is_ended(host: ReadingHost) -> None:
    host.variables["BULKHEAD_STEP_SECONDS_SHOW_PREDICTIONS"] = "0.3"
    host.engine.never_ends, host.engine.said = True, b""
    status, sentence = host.ask()
    assert (status, "takes longer than 0.3 s" in sentence) == (422, True)
    host.engine.said = HEAD + ROWS
    with pytest.raises(ConnectionError):
        host.ask()
    host.wait_for(lambda: host.engine.removed == [MADE, MADE])


@pytest.mark.parametrize("said", [b"", HEAD + ROWS, HEAD + b"x" * (8 << 20)])
def test_who_goes_ends_the_container_and_makes_room(host: ReadingHost, said: bytes) -> None:
    host.engine.never_ends, host.engine.said = True, said
    body = json.dumps({"path": PATH, "sha256": SHA256}).encode()
    for number in range(1, 5):
        host.engine.started.clear()
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(host.socket))
            asking.sendall(b"POST /predictions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            assert host.engine.started.wait(10)
            if said:
                assert asking.recv(10)
        host.wait_for(partial(host.has_removed, number))
    assert host.engine.removed == [MADE] * 4


def test_a_launcher_that_ends_takes_its_readings_along(host: ReadingHost) -> None:
    host.engine.never_ends, host.engine.said = True, b""
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(host.ask()[0]))
    asking.start()
    assert host.engine.started.wait(10)
    host.routes.stop()
    asking.join(10)
    assert answers == [503]
    assert host.engine.removed == [MADE]
    assert host.ask()[0] == 503


def test_what_an_earlier_launcher_has_left_is_removed_and_what_is_read_now_is_not(host: ReadingHost) -> None:
    host.engine.left = ["e" * 64]
    host.routes.begin()
    host.wait_for(lambda: host.engine.left == [])
    host.engine.never_ends, host.engine.said = True, b""
    asking = threading.Thread(target=host.ask)
    asking.start()
    assert host.engine.hanging.wait(10)
    host.engine.left = ["f" * 64, MADE]
    host.engine.never_ends, host.engine.said = False, HEAD + ROWS
    host.engine.next_id = "c" * 64
    assert host.ask(limit=1)[0] == 200
    assert host.engine.removed[:2] == ["e" * 64, "f" * 64]
    assert MADE not in host.engine.removed
    host.routes.stop()
    asking.join(10)
    assert host.engine.removed == ["e" * 64, "f" * 64, "c" * 64, MADE]


def test_an_engine_that_refuses_or_is_away_is_told(host: ReadingHost) -> None:
    host.engine.refuses_start = True
    assert host.ask() == (503, "the predictions were not read: invalid mount. Try again later.")
    host.wait_for(host.has_removed_its_own)
    host.engine.images.clear()
    status, sentence = host.ask()
    assert (status, "No such image" in sentence) == (503, True)
    host.engine.server.stop()
    host.engine.socket.unlink()
    status, sentence = host.ask()
    assert (status, "the engine does not answer" in sentence) == (503, True)
