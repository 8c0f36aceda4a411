"""HTTP over a unix socket: what is refused, and that nobody can hold up the others."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from bulkhead.unix_http import Client, Refusal, Request, Response, Server, segments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 1.5


class Service:
    """A server that tells what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[Request] = []
        self.gone = threading.Event()
        self.errors: list[Exception] = []
        self.server = Server(
            path,
            self.answer,
            most=20,
            body_limit=1000,
            seconds=SECONDS,
            stalled_seconds=SECONDS,
            report=lambda _, e: self.errors.append(e),
        )
        self.server.start()
        self.client = Client(path, 10)

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        if request.path == "/bug":
            raise ValueError("secret of the service")
        if request.path == "/no":
            raise Refusal(403, "not that")
        if request.path == "/pieces":
            return Response(200, (str(i).encode() * 1000 for i in range(10)), "text/plain")
        if request.path == "/silent":
            request.on_gone(self.gone.set)
            self.gone.wait(20)
            return Response.of({})
        if request.path == "/flood":
            request.on_gone(self.gone.set)
            return Response(200, (b"x" * 65536 for _ in range(1000)), "text/plain")
        if request.path == "/endless":
            request.on_gone(self.gone.set)
            return Response(200, self._until_gone(), "text/plain")
        return Response.of({"method": request.method, "query": dict(request.query), "body": request.body.decode()})

    def _until_gone(self) -> Iterator[bytes]:
        yield b"begun"
        self.gone.wait(20)

    def said(self, sent: bytes, *, pause: float = 0) -> bytes:
        """What comes back when ``sent`` is written byte by byte or at once."""
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(10)
            raw.connect(str(self.path))
            try:
                if pause:
                    for byte in sent:
                        raw.sendall(bytes([byte]))
                        time.sleep(pause)
                else:
                    raw.sendall(sent)
            except OSError:
                pass
            received = b""
            try:
                while piece := raw.recv(65536):
                    received += piece
            except OSError:
                pass
            return received


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "s.sock")
    yield made
    made.server.stop()


def test_a_request_and_its_answer(service: Service) -> None:
    status, body = service.client.request("POST", "/x?a=1&b=", {"k": 2})
    assert status == 200
    assert json.loads(body) == {"method": "POST", "query": {"a": "1", "b": ""}, "body": '{"k": 2}'}


def test_an_answer_may_come_in_pieces(service: Service) -> None:
    status, body = service.client.request("GET", "/pieces")
    assert (status, len(body)) == (200, 10_000)


def test_the_socket_is_for_its_owner_and_group_alone(service: Service) -> None:
    assert service.path.stat().st_mode & 0o777 == 0o660


def test_a_socket_that_a_killed_service_left_is_replaced(service: Service, tmp_path: Path) -> None:
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    server = Server(stale, service.answer)
    server.start()
    assert Client(stale).request("GET", "/")[0] == 200
    server.stop()


def test_where_nobody_listens_the_client_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Client(tmp_path / "none.sock").request("GET", "/")


def test_a_refusal_is_an_answer_with_its_sentence(service: Service) -> None:
    assert service.client.request("GET", "/no") == (403, b'{"message": "not that"}')


def test_a_bug_is_reported_here_and_not_told_there(service: Service) -> None:
    status, body = service.client.request("GET", "/bug")
    assert status == 500
    assert b"secret" not in body
    assert [str(error) for error in service.errors] == ["secret of the service"]
    assert service.client.request("GET", "/")[0] == 200


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (CHUNKED, 411),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, upgrade\r\n\r\n", 403),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -2\r\n\r\n{}", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 0x2\r\n\r\n{}", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n{}", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}", 400),
        (b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", 417),
        (b"GET /?a=1&a=2 HTTP/1.1\r\n\r\n", 400),
        (b"GET http://[x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"X-Y: " + b"z" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X-Y: z\r\n" * 90 + b"X-Z: " + b"z" * 16_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
    ],
    ids=[
        *("chunked", "upgrade", "upgrade in a list", "two lengths", "a negative length", "a length in hex"),
        *("too long", "a huge length", "expect", "a parameter twice", "no address"),
        *("a long header", "long headers", "a long path", "no HTTP", "a version of later"),
    ],
)
def test_what_is_out_of_the_ordinary_is_refused_unseen(service: Service, sent: bytes, status: int) -> None:
    assert f" {status} ".encode() in service.said(sent).split(b"\r\n")[0]
    assert service.asked == []


def test_a_second_request_on_a_connection_is_not_read(service: Service) -> None:
    service.said(b"GET /one HTTP/1.1\r\n\r\nGET /two HTTP/1.1\r\n\r\n")
    assert [request.path for request in service.asked] == ["/one"]


def test_a_request_that_does_not_arrive_is_ended_and_others_are_answered_meanwhile(service: Service) -> None:
    begun = time.monotonic()
    slow = threading.Thread(
        target=service.said,
        args=(b"POST / HTTP/1.1\r\nContent-Length: 900\r\n\r\n" + b" " * 900,),
        kwargs={"pause": 0.05},
    )
    slow.start()
    time.sleep(0.2)
    asked = time.monotonic()
    assert service.client.request("GET", "/")[0] == 200
    assert time.monotonic() - asked < 1
    slow.join(20)
    assert time.monotonic() - begun < 10
    assert [request.method for request in service.asked] == ["GET"]


def test_three_hundred_connections_that_say_nothing_are_gone_soon(service: Service) -> None:
    silent = []
    for _ in range(300):
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(service.path))
        silent.append(made)
    deadline = time.monotonic() + 20
    status = 0
    while status != 200 and time.monotonic() < deadline:
        try:
            status = service.client.request("GET", "/")[0]
        except OSError:
            time.sleep(0.1)
    assert status == 200
    for made in silent:
        made.close()


def test_an_answer_that_nobody_waits_for_any_more_is_ended(service: Service) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(service.path))
        raw.sendall(b"GET /endless HTTP/1.1\r\n\r\n")
        assert raw.recv(100)
        assert not service.gone.is_set()
    assert service.gone.wait(10)


def test_who_goes_before_the_answer_begins_is_noticed_though_it_left_something_unread(service: Service) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(service.path))
        raw.sendall(b"GET /silent HTTP/1.1\r\n\r\nleft behind")
        time.sleep(0.2)
        assert not service.gone.is_set()
    assert service.gone.wait(10)


def test_an_answer_that_nobody_reads_gives_its_place_back(service: Service) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(service.path))
        raw.sendall(b"GET /flood HTTP/1.1\r\n\r\n")
        assert raw.recv(100)
        assert service.gone.wait(10)  # it is connected still


@pytest.mark.parametrize(
    "path", ["relative", "/a/../b", "/a/%2e%2e/b", "/a//b", "/./a", "/a/%2Fetc", "/a/%00", "/a/%0a", "/a/%ff"]
)
def test_a_path_that_could_mean_another_is_none(path: str) -> None:
    with pytest.raises(Refusal, match="the path is none"):
        segments(path)


def test_a_path_is_decoded_once() -> None:
    assert segments("/v1.47/images/bulkhead/a%3Ab/json") == ["v1.47", "images", "bulkhead", "a:b", "json"]
    assert segments("/a/%252e") == ["a", "%2e"]
