"""The predictions of an inference on the page: from the launcher as they come, or from the record, and refusals."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from tests.support.project import inferred

from bulkhead.prediction_files import Head
from bulkhead.unix_http import Refusal, Response, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.requests import Request as StarletteRequest
    from starlette.testclient import TestClient
    from tests.models_page.conftest import Somebody

    from bulkhead.registry.records import InferenceRecord
    from bulkhead.registry.store import Registry
    from bulkhead.unix_http import Request

HOSTILE = '<script>alert(1)</script>"\u202e'
COLUMNS = ["customer", "prediction", "probability_yes"]
ROWS: list[list[Any]] = [["c1", "yes", 0.75], [HOSTILE, "no", None]]
TABLE = b"customer,prediction,probability_yes\nc1,yes,0.75\n"
GONE = Refusal(410, "it is gone. Restore it from a backup.")


class FakeLauncher:
    """Answers as the test says."""

    def __init__(self, path: Path) -> None:
        self.asked: list[dict[str, Any]] = []
        self.refuses: Refusal | None = None
        self.head = msgspec.json.encode(Head(columns=COLUMNS, rows=2_000_000)) + b"\n"
        self.pieces = [TABLE]
        self.breaks = False
        self.gone = 0
        self.server = Server(path, self._answer)
        self.server.start()

    def _answer(self, request: Request) -> Response:
        assert (request.method, request.path) == ("POST", "/predictions")
        self.asked.append(json.loads(request.body))
        if self.refuses:
            raise self.refuses
        if self.asked[-1]["limit"] is not None:
            return Response(200, self.head + b"".join(msgspec.json.encode(row) + b"\n" for row in ROWS))
        return Response(200, self._printed(), "application/x-bulkhead-predictions")

    def _printed(self) -> Iterator[bytes]:
        # In the middle of a line, as a pipe has it.
        yield self.head[:5]
        yield self.head[5:] + self.pieces[0][:7]
        yield self.pieces[0][7:]
        yield from self.pieces[1:]
        if self.breaks:
            raise ConnectionAbortedError("the container was killed")


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLauncher]:
    monkeypatch.setenv("BULKHEAD_PAGE_LAUNCHER_SOCKET", str(tmp_path / "page.sock"))
    made = FakeLauncher(tmp_path / "page.sock")
    yield made
    made.server.stop()


class Page:
    """The page of a registry with one inference."""

    def __init__(self, client: TestClient, record: InferenceRecord) -> None:
        self.client = client
        self.record = record

    def csv(self) -> Any:
        """The download."""
        return self.client.get("/inferences/0/predictions.csv")

    def rows(self, query: str = "limit=50") -> Any:
        """The first rows."""
        return self.client.get(f"/api/v1/inferences/0/predictions?{query}")

    def html(self) -> str:
        """The inference's page."""
        return self.client.get("/inferences/0").text


@pytest.fixture
def page(
    registry_with_a_model: Registry, visit: Callable[[Registry], AbstractContextManager[TestClient]]
) -> Iterator[Callable[..., Page]]:
    """Records an inference, and gives the page."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def made(**changes: Any) -> Page:
            record = inferred(registry_with_a_model, registry_with_a_model.latest("prd"), 1, **changes)
            return Page(stack.enter_context(visit(registry_with_a_model)), record)

        yield made


def test_all_of_them_are_a_csv_file_as_the_launcher_has_it(page: Callable[..., Page], launcher: FakeLauncher) -> None:
    launcher.pieces = [TABLE, *(b"c%d,no,0.5\n" % number * 1000 for number in range(200))]
    shown = page(model_name="churn")
    answer = shown.csv()
    assert answer.status_code == 200
    assert answer.content == b"".join(launcher.pieces)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="predictions_churn_prd_2026-02-01T00.00.01.csv"'
    )
    assert answer.headers["cache-control"] == "private, no-store"
    assert launcher.asked == [
        {"path": shown.record.predictions_path, "sha256": shown.record.output_sha256, "limit": None}
    ]


def test_the_first_rows_are_json(page: Callable[..., Page], launcher: FakeLauncher) -> None:
    shown = page()
    assert shown.rows("limit=2").json() == {
        "columns": COLUMNS,
        "rows": ROWS,
        "total_rows": 2_000_000,
        "in_file": True,
        "sentence": None,
    }
    assert shown.rows("").status_code == 200
    assert [one["limit"] for one in launcher.asked] == [2, 50]
    for query in ("limit=0", "limit=501", "limit=x", "sort=row"):
        assert shown.rows(query).status_code == 422
    assert len(launcher.asked) == 2


def test_of_a_file_that_is_gone_the_records_are_given_and_that_is_said(
    page: Callable[..., Page], launcher: FakeLauncher
) -> None:
    launcher.refuses = GONE
    shown = page(predictions=["yes", "=1+1", -2.5])
    answer = shown.csv()
    assert answer.text == "row,prediction\n1,yes\n2,'=1+1\n3,-2.5\n"
    assert answer.headers["content-disposition"].endswith('_of_record.csv"')
    assert shown.rows("limit=2").json() == {
        "columns": ["row", "prediction"],
        "rows": [[1, "yes"], [2, "=1+1"]],
        "total_rows": 3,
        "in_file": False,
        "sentence": "The predictions file is gone; these are the predictions in the record.",
    }


def test_of_a_record_that_names_no_file_its_own_are_given_and_nobody_is_asked(
    page: Callable[..., Page], launcher: FakeLauncher
) -> None:
    shown = page(predictions_path=None, output_sha256=None)
    assert shown.csv().text == "row,prediction\n1,1.5\n2,2.5\n"
    assert shown.rows().json()["in_file"] is False
    assert launcher.asked == []
    assert "data-in-file" not in shown.html()


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Refusal(409, "it is another. Restore it."), 409),
        (GONE, 410),
        (Refusal(422, "it is no table. Run it again."), 422),
        (Refusal(503, "come later. Try again."), 503),
        (Refusal(403, "no call that the page needs"), 503),
        (Refusal(500, "a bug"), 503),
    ],
)
def test_a_refusal_is_a_status_and_a_sentence_and_no_file(
    page: Callable[..., Page], launcher: FakeLauncher, refusal: Refusal, status: int
) -> None:
    launcher.refuses = refusal
    shown = page(predictions=None)
    answer = shown.csv()
    assert answer.status_code == status
    assert "content-disposition" not in answer.headers
    assert refusal.message in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    told = shown.rows()
    assert (told.status_code, told.json()) == (status, {"detail": refusal.message})


@pytest.mark.parametrize("said", [b"", b"no json\n", b"x" * (5 << 20), b'{"rows": -1}\n'])
def test_an_answer_that_is_none_is_a_refusal(page: Callable[..., Page], launcher: FakeLauncher, said: bytes) -> None:
    launcher.head, launcher.pieces = said, [b""]
    shown = page()
    assert shown.csv().status_code == 503
    assert shown.rows().status_code == 503


def test_a_file_that_breaks_off_is_no_whole_answer_behind_airflows_middleware_either(
    page: Callable[..., Page], launcher: FakeLauncher
) -> None:
    class Passing(BaseHTTPMiddleware):
        """As Airflow has one around all applications."""

        async def dispatch(self, request: StarletteRequest, call_next: Any) -> Any:
            return await call_next(request)

    launcher.breaks = True
    shown = page()
    for app in (shown.client.app, Passing(shown.client.app), GZipMiddleware(Passing(shown.client.app))):
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            if not isinstance(message.get("body", b""), bytes):
                raise TypeError("as every server has it")
            sent.append(message)

        with pytest.raises((TypeError, ConnectionError)):
            asyncio.run(_asked(app, send))
        assert b"".join(one.get("body", b"") for one in sent) == TABLE
        assert all(one["more_body"] for one in sent[1:])


async def _asked(app: Any, send: Any) -> None:
    async def receive() -> Any:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        return None

    asked: list[bool] = []
    path = "/inferences/0/predictions.csv"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "", "headers": []}
    await app({**scope, "query_string": b"", "scheme": "http", "server": ("testserver", 80)}, receive, send)


def test_a_launcher_that_is_away_is_told(
    page: Callable[..., Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKHEAD_PAGE_LAUNCHER_SOCKET", str(tmp_path / "nowhere.sock"))
    shown = page()
    assert shown.csv().status_code == 503
    told = shown.rows()
    assert "just logs launcher" in told.json()["detail"]
    assert told.headers["retry-after"] == "30"


@pytest.mark.parametrize("sha256", [None, "", "0" * 63, "x" * 64])
def test_a_file_without_a_recorded_hash_is_not_read(
    page: Callable[..., Page], launcher: FakeLauncher, sha256: str | None
) -> None:
    assert page(output_sha256=sha256).rows().status_code == 409
    assert launcher.asked == []


def test_an_offset_that_is_no_inference_has_none(page: Callable[..., Page], launcher: FakeLauncher) -> None:
    shown = page()
    for offset in (1, 10**15):
        assert shown.client.get(f"/inferences/{offset}/predictions.csv").status_code == 404
        told = shown.client.get(f"/api/v1/inferences/{offset}/predictions")
        assert (told.status_code, "no inference at byte" in told.json()["detail"]) == (404, True)
    assert shown.client.get("/api/v1/inferences/-1/predictions").status_code == 422
    assert launcher.asked == []


def test_who_may_not_read_the_runs_gets_none(
    page: Callable[..., Page], launcher: FakeLauncher, somebody: Somebody
) -> None:
    shown = page()
    somebody.hidden = {"prd_inference_pipe_dag"}
    assert (shown.csv().status_code, shown.rows().status_code) == (403, 403)
    somebody.logged_in = False
    assert (shown.csv().status_code, shown.rows().status_code) == (401, 401)
    assert launcher.asked == []


def test_the_name_of_the_file_is_plain_whatever_the_record_says(
    page: Callable[..., Page], launcher: FakeLauncher
) -> None:
    assert launcher.asked == []
    answer = page(model_name='../"\r\nX: y; größe' + "n" * 300).csv()
    (name,) = re.findall(r'^attachment; filename="([A-Za-z0-9_.-]+)"$', answer.headers["content-disposition"])
    assert len(name) < 160
    assert "x" not in answer.headers


def test_the_page_has_the_records_first_fifty_as_text_in_a_table_without_a_script(page: Callable[..., Page]) -> None:
    shown = page(predictions=[HOSTILE, *range(70)]).html()
    assert HOSTILE not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "\u202e" not in shown
    table = shown[shown.index("data-predictions=") :]
    assert table.count('<th scope="row"') == 50
    assert '<th scope="col">prediction</th>' in table
    assert "The first 50 of 71, as recorded." in table
    assert '/inferences/0/predictions.csv">' in shown
    assert "data-in-file" in shown


def test_what_is_a_csv_file_is_one(page: Callable[..., Page]) -> None:
    """Cells of every kind come out of it as they went in, but for what a spreadsheet would compute."""
    cells = [
        "a,b",
        'say "x"',
        "two\nlines",
        "a\rb",
        "größe",
        "-5",
        "+49 1",
        "@x",
        "\t=1",
        "x;=1",
        "x;-1;",
        "-1e5",
        "",
        True,
    ]
    shown = page(predictions_path=None, predictions=cells)
    _, *rows = csv.reader(io.StringIO(shown.csv().content.decode(), newline=""))
    assert [row[1] for row in rows] == [
        "a,b",
        'say "x"',
        "two\nlines",
        "a\rb",
        "größe",
        "-5",
        "'+49 1",
        "'@x",
        "'\t'=1",
        "x;'=1",
        "x;'-1;",
        "-1e5",
        "",
        "True",
    ]
