"""Tables from the browser: who may send them, how much of them, and what is there when one does not arrive."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient
from tests.models_page.conftest import Somebody

from bulkhead.unix_http import Refusal, Response, Server
from models_page.app import create_app
from models_page.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from starlette.types import Receive

    from bulkhead.registry.store import Registry
    from bulkhead.unix_http import Request

CSV = b"a,b\n1,2\n"
TRAIN = "dev_train_model_dag"
URL = "/api/v1/inputs/"


class FakeLauncher:
    """Puts in place whatever it is asked to, unless the test says otherwise."""

    def __init__(self, inputs: Path, path: Path) -> None:
        self.inputs = inputs
        self.arriving = inputs / ".uploads/arriving"
        self.asked: list[dict[str, Any]] = []
        self.seen: list[bytes] = []
        self.refuses: Refusal | None = None
        self.says: bytes | None = None
        self.before: Callable[[], object] = lambda: None
        self.server = Server(path, self._answer)
        self.server.start()

    def _answer(self, request: Request) -> Response:
        asked = json.loads(request.body)
        self.asked.append(asked)
        self.before()
        if self.refuses:
            raise self.refuses
        if self.says is not None:
            return Response(201, self.says)
        arrived = self.arriving / asked["upload"]
        self.seen.append(arrived.read_bytes())
        try:
            os.link(arrived, self.inputs / asked["name"])
        except FileExistsError:
            raise Refusal(409, f"{asked['name']}: is there already in shared/inputs/.") from None
        arrived.unlink()
        column = {"name": "a", "kind": "number", "missing": False}
        table = {"rows": 1, "sha256": asked["sha256"], "columns": [column], "columns_total": 2}
        return Response(201, json.dumps(table).encode())


class Page:
    """The page, and what is behind it."""

    def __init__(self, client: TestClient, launcher: FakeLauncher, somebody: Somebody) -> None:
        self.client = client
        self.launcher = launcher
        self.somebody = somebody
        self.inputs = launcher.inputs

    def send(self, name: str = "t.csv", content: Any = CSV, **headers: str) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        answer = self.client.post(URL + name, content=content, headers=headers)
        return answer.status_code, answer.json()

    def left(self) -> list[str]:
        """Every file below the inputs."""
        return sorted(str(path.relative_to(self.inputs)) for path in self.inputs.rglob("*") if not path.is_dir())


@contextmanager
def serving(
    registry_with_a_model: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch, **bounds: Any
) -> Iterator[Page]:
    """The page with these bounds."""
    shared = folder / "shared"
    arriving = shared / "inputs/.uploads/arriving"
    arriving.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("BULKHEAD_PAGE_LAUNCHER_SOCKET", str(folder / "page.sock"))
    launcher = FakeLauncher(shared / "inputs", folder / "page.sock")
    somebody = Somebody()
    somebody.triggers = {TRAIN}
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    app = create_app(registry_with_a_model.folder, shared, somebody, temporary, arrivals=Arrivals(arriving, **bounds))
    try:
        with TestClient(app) as client:
            yield Page(client, launcher, somebody)
    finally:
        launcher.server.stop()


@pytest.fixture
def page(registry_with_a_model: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    with serving(registry_with_a_model, tmp_path, monkeypatch, limit=1000) as made:
        yield made


def test_a_table_is_written_down_as_it_comes_and_said_to_be_there(page: Page) -> None:
    status, said = page.send("my table.csv", **{"Content-Type": "image/png"})
    assert status == 201
    assert said == {
        "name": "my table.csv",
        "bytes": len(CSV),
        "rows": 1,
        "columns": [{"name": "a", "kind": "number", "missing": False}],
        "columns_total": 2,
        "sha256": hashlib.sha256(CSV).hexdigest(),
        "sentence": "my table.csv is in shared/inputs/: 1 row, 2 columns, 8 B. Give its name as the source of a"
        " training or an inference.",
    }
    assert page.launcher.seen == [CSV]
    assert page.launcher.asked[0]["name"] == "my table.csv"
    assert page.left() == ["my table.csv"]


def test_who_may_not_train_may_not_send_and_not_a_byte_is_read(page: Page) -> None:
    page.somebody.triggers = {"prd_train_model_dag", "promote_model_dag"}
    sent = asyncio.run(_status_without_reading(page, "t.csv"))
    assert sent == 403
    page.somebody.logged_in = False
    assert asyncio.run(_status_without_reading(page, "t.csv")) == 401
    page.somebody.logged_in, page.somebody.triggers = True, {TRAIN}
    for header in ((b"origin", b"https://elsewhere.example"), (b"sec-fetch-site", b"cross-site")):
        assert asyncio.run(_status_without_reading(page, "t.csv", header)) == 403
    for header, status in (((b"content-length", b"1001"), 413), ((b"content-encoding", b"gzip"), 415)):
        assert asyncio.run(_status_without_reading(page, "t.csv", header)) == status
    assert asyncio.run(_status_without_reading(page, "t.txt")) == 415
    assert asyncio.run(_status_without_reading(page, ".t.csv")) == 400
    (page.inputs / "t.csv").write_text("mine")
    assert asyncio.run(_status_without_reading(page, "t.csv")) == 409
    assert page.launcher.asked == []
    assert page.left() == ["t.csv"]


async def _asked(page: Page, name: str, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> tuple[int, Any]:
    """Status and JSON of the answer, without a browser's library between."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": URL + name, "raw_path": (URL + name).encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"testserver"), *headers], "client": ("127.0.0.1", 1), "server": ("testserver", 80),
        "state": {},
    }  # fmt: skip
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    await page.client.app(scope, receive, send)
    return int(said[0]["status"]), json.loads(said[1]["body"])


async def _status_without_reading(page: Page, name: str, *headers: tuple[bytes, bytes]) -> int:
    """The status, of a request whose body must not be asked for."""

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    return (await _asked(page, name, headers, receive))[0]


@pytest.mark.parametrize("header", [(b"content-length", b"900"), (b"transfer-encoding", b"chunked")])
def test_a_client_that_goes_in_the_middle_leaves_nothing(page: Page, header: tuple[bytes, bytes]) -> None:
    """A body shorter than its Content-Length is one, too: the server waits for the rest, and the client goes."""
    messages: list[dict[str, Any]] = [{"type": "http.disconnect"}, {"type": "http.request", "body": CSV}]
    messages[1]["more_body"] = True

    async def receive() -> dict[str, Any]:
        if messages[-1]["type"] == "http.disconnect":
            assert len(page.left()) == 1
        return messages.pop()

    status, said = asyncio.run(_asked(page, "t.csv", [header], receive))
    assert (status, "did not arrive to its end" in said["detail"]) == (400, True)
    assert page.left() == []
    assert page.launcher.asked == []


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("..%2Ft.csv", 400),
        ("%2e%2e/%2e%2e/t.csv", 400),
        ("a/b.csv", 400),
        ("%2Fetc%2Ft.csv", 400),
        ("a%5Cb.csv", 400),
        ("t%00.csv", 400),
        ("t%0A.csv", 404),
        ("t%E2%80%AEvsc.csv", 400),
        (".csv", 400),
        ("_t.csv", 400),
        ("*.csv", 400),
        ("n" * 197 + ".csv", 400),
        ("ä" * 99 + ".csv", 400),
        ("t.txt", 415),
        ("t.csv.exe", 415),
        ("csv", 415),
    ],
)
def test_a_name_that_no_input_can_have_is_refused(page: Page, name: str, status: int) -> None:
    answered, said = page.send(name)
    assert answered == status
    assert said["detail"]
    assert page.launcher.asked == []
    assert page.left() == []


def test_a_name_that_is_too_long_is_told_with_the_most_that_is_taken(page: Page) -> None:
    said = page.send("n" * 197 + ".csv")[1]["detail"]
    assert said.endswith("the name is too long: it has 201 bytes, and 200 are taken at most. Give a shorter one.")


@pytest.mark.parametrize("name", ["T.CSV", "n" * 196 + ".csv", "größe (1), neu.csv.gz", "t.parquet"])
def test_any_other_name_is_taken(page: Page, name: str) -> None:
    assert page.send(name)[0] == 201
    assert page.left() == [name]


def test_the_limit_is_exact_whatever_the_headers_say(page: Page) -> None:
    def pieces(size: int) -> Iterator[bytes]:
        yield from (b"x" for _ in range(size))

    assert page.send("whole.csv", b"x" * 1000)[0] == 201
    assert page.send("pieces.csv", pieces(1000))[0] == 201
    for name, content in (("a.csv", b"x" * 1001), ("b.csv", pieces(1001))):
        status, said = page.send(name, content)
        assert status == 413
        assert "larger than 1000 B" in said["detail"]
        assert "BULKHEAD_UPLOAD_LIMIT" in said["detail"]
    assert page.left() == ["pieces.csv", "whole.csv"]


@pytest.mark.parametrize(
    ("status", "shown"), [(400, 400), (409, 409), (422, 422), (503, 503), (500, 503), (502, 503), (403, 503)]
)
def test_what_the_launcher_refuses_is_said_in_its_words_and_gone(page: Page, status: int, shown: int) -> None:
    page.launcher.refuses = Refusal(status, "t.csv: why. What next.")
    assert page.send() == (shown, {"detail": "t.csv: why. What next."})
    assert page.left() == []


@pytest.mark.parametrize("says", [b"", b"[]", b'{"rows": 1}', b"\xff"])
def test_an_answer_that_is_none_is_not_believed(page: Page, says: bytes) -> None:
    page.launcher.says = says
    status, said = page.send()
    assert (status, "the launcher's answer is none" in said["detail"]) == (503, True)
    assert page.left() == []


def test_a_launcher_that_is_away_is_told_and_leaves_nothing(page: Page) -> None:
    page.launcher.server.stop()
    status, said = page.send()
    assert status == 503
    assert "launcher does not answer" in said["detail"]
    assert "just logs launcher" in said["detail"]
    assert page.left() == []


def test_two_of_one_name_at_once_have_one_winner(page: Page) -> None:
    both = threading.Barrier(2)
    page.launcher.before = lambda: both.wait(10)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(page.send()[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 409]
    assert page.left() == ["t.csv"]


def test_of_twenty_at_once_four_are_taken_and_the_others_are_told_to_come_later(page: Page) -> None:
    go = threading.Event()
    page.launcher.before = lambda: go.wait(30)
    answers: list[tuple[int, str | None]] = []

    def send(number: int) -> None:
        answer = page.client.post(f"{URL}{number}.csv", content=CSV)
        answers.append((answer.status_code, answer.headers.get("Retry-After")))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while len(answers) < 16 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert answers == [(503, "30")] * 16
    go.set()
    for thread in threads:
        thread.join()
    assert sorted(answers[16:]) == [(201, None)] * 4
    assert len(page.left()) == 4
    assert page.send("after.csv")[0] == 201
