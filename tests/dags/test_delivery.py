"""What a receiver of notices gets, and what a bad one costs."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from tests.dags.without_airflow import load
from tests.support import receivers

from bulkhead.errors import Refused

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

delivery, notices, settings_module = map(load, ("delivery", "notice", "notify_settings"))
SECRET = "of the receiver"  # noqa: S105  # of this test


def notice(**changes: Any) -> Any:
    given = {
        "event": "failure",
        "sentence": "train_model: refused: no",
        "environment": "prd",
        "model": "churn",
        "dag_id": "d",
        "run_id": "r",
        "task_id": "train_model",
        "try_number": 2,
        "link": "http://localhost/dags/d",
    }
    return notices.Notice(**{**given, **changes}).bounded()


def settings(**variables: str) -> Any:
    return settings_module.NotifySettings.from_environment(variables)


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """The address of a good one, and what it got."""
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(({"path": self.path, **self.headers}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?to=ours", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_the_notice_as_json_signed(receiver: tuple[str, list[Any]]) -> None:
    address, got = receiver
    of = settings(BULKHEAD_NOTIFY_WEBHOOK=address, BULKHEAD_NOTIFY_WEBHOOK_SECRET=SECRET)
    assert delivery.deliver(notice(), of) == {"webhook": None}
    [(headers, body)] = got
    assert headers["path"] == "/hook?to=ours"
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Bulkhead-Signature-256"] == f"sha256={expected}"
    told = json.loads(body)
    assert told.pop("time").startswith("20")
    assert told == {
        "event": "failure",
        "sentence": "train_model: refused: no",
        "environment": "prd",
        "model": "churn",
        "dag_id": "d",
        "run_id": "r",
        "task_id": "train_model",
        "map_index": -1,
        "try": 2,
        "link": "http://localhost/dags/d",
    }
    assert SECRET.encode() not in body


def test_without_a_secret_nothing_is_signed(receiver: tuple[str, list[Any]]) -> None:
    address, got = receiver
    delivery.deliver(notice(), settings(BULKHEAD_NOTIFY_WEBHOOK=address))
    assert "X-Bulkhead-Signature-256" not in got[0][0]


BAD = {
    "hangs": receivers.hang,
    "drips": receivers.drip,
    "resets": receivers.reset,
    "floods with headers": receivers.flood_of_headers,
    "answers 500": receivers.answering("500 Internal Server Error"),
    "sends elsewhere": receivers.answering("302 Found", "Location: http://127.0.0.1:1/\r\n"),
}


@pytest.mark.parametrize("behave", BAD.values(), ids=BAD)
def test_a_bad_receiver_costs_the_time_that_there_is_and_no_more(behave: Callable[[socket.socket], None]) -> None:
    with receivers.listening(behave) as port:
        begun = time.monotonic()
        said = delivery.deliver(notice(), settings(BULKHEAD_NOTIFY_WEBHOOK=f"http://127.0.0.1:{port}/"), seconds=1.5)
        assert time.monotonic() - begun < 5
    assert said["webhook"] is not None


def test_an_endless_answer_is_not_read() -> None:
    with receivers.listening(receivers.flood) as port:
        begun = time.monotonic()
        said = delivery.deliver(notice(), settings(BULKHEAD_NOTIFY_WEBHOOK=f"http://127.0.0.1:{port}/"))
        assert time.monotonic() - begun < 5
    assert said == {"webhook": None}


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/s3cret", "http://no-such-host.invalid/s3cret"])
def test_nobody_there_is_told_without_the_address(address: str) -> None:
    why = delivery.deliver(notice(), settings(BULKHEAD_NOTIFY_WEBHOOK=address))["webhook"]
    assert why
    assert "s3cret" not in why
    assert "invalid" not in why


def test_a_name_that_is_looked_up_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(30))
    begun = time.monotonic()
    said = delivery.deliver(notice(), settings(BULKHEAD_NOTIFY_WEBHOOK="http://slow.invalid/"), seconds=0.5)
    assert time.monotonic() - begun < 5
    assert said == {"webhook": "it took longer than 0.5 s"}


def test_what_others_wrote_is_bounded_and_one_line() -> None:
    told = notice(sentence="a\r\nBcc: x\n" + "y" * 100_000, task_id="t\nt", link="http://x/" + "z" * 5000)
    assert len(told.sentence) == notices.LONGEST_SENTENCE
    assert told.sentence.isprintable()
    assert told.subject.isprintable()
    assert len(told.subject) <= 200
    assert told.link == ""


def test_a_mails_text_is_text() -> None:
    shown = notice(sentence="<img src=x onerror=alert(1)>", model='"><script>').html
    assert "<img" not in shown
    assert "<script" not in shown
    assert "&lt;img" in shown


def test_nobody_is_told_by_default() -> None:
    assert not settings().is_on
    assert not settings(BULKHEAD_NOTIFY_WEBHOOK="").is_on
    assert settings_module.check_schedule({}) is None


def test_events_are_chosen() -> None:
    of = settings(BULKHEAD_NOTIFY_WEBHOOK="https://x/y", BULKHEAD_NOTIFY_EVENTS="gate, drift")
    assert [event for event in settings_module.EVENTS if of.tells(event)] == ["gate", "drift"]


WRONG = [
    {"BULKHEAD_NOTIFY_WEBHOOK": "file:///etc/passwd"},
    {"BULKHEAD_NOTIFY_WEBHOOK": "https://"},
    {"BULKHEAD_NOTIFY_WEBHOOK": "http://x:99999/"},
    {"BULKHEAD_NOTIFY_WEBHOOK": "http://x/ y"},
    {"BULKHEAD_NOTIFY_WEBHOOK": "http://x/\r\nHost: y"},
    {"BULKHEAD_NOTIFY_WEBHOOK": "http://x", "BULKHEAD_NOTIFY_EVENTS": "failures"},
    {"BULKHEAD_NOTIFY_MAIL_TO": "a@b"},
    {"BULKHEAD_NOTIFY_MAIL_TO": "nobody", "BULKHEAD_SMTP_HOST": "h"},
    {"BULKHEAD_NOTIFY_MAIL_TO": "a@b", "BULKHEAD_SMTP_HOST": "h", "BULKHEAD_SMTP_PORT": "0"},
    {"BULKHEAD_NOTIFY_MAIL_TO": "a@b", "BULKHEAD_SMTP_HOST": "h", "BULKHEAD_SMTP_STARTTLS": "maybe"},
]


@pytest.mark.parametrize("variables", WRONG, ids=str)
def test_a_setting_that_is_none_is_refused_with_its_name(variables: dict[str, str]) -> None:
    with pytest.raises(Refused, match=r"BULKHEAD_.* Fix .env") as refused:
        settings(**variables)
    if "WEBHOOK" in str(refused.value) and len(variables["BULKHEAD_NOTIFY_WEBHOOK"]) > len("https://"):
        assert variables["BULKHEAD_NOTIFY_WEBHOOK"] not in str(refused.value)


def test_no_secret_is_in_what_is_printed_of_the_settings() -> None:
    shown = repr(
        settings(
            BULKHEAD_NOTIFY_WEBHOOK="https://x/t0ken",
            BULKHEAD_NOTIFY_WEBHOOK_SECRET=SECRET,
            BULKHEAD_NOTIFY_MAIL_TO="a@b",
            BULKHEAD_SMTP_HOST="h",
            BULKHEAD_SMTP_PASSWORD="passw0rd",  # noqa: S106  # of this test
        )
    )
    assert not any(secret in shown for secret in ("t0ken", SECRET, "passw0rd"))
