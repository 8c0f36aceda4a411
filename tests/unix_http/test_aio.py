"""The client for many answers at once, against the strict server, and against what is none."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from bulkhead.unix_http import Refusal, Request, Response, Server
from bulkhead.unix_http.aio import AsyncClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Service:
    """A server whose streams go on until they are told to end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "s.sock"
        self.gone = threading.Event()
        self.server = Server(self.path, self._answer, most=200)
        self.server.start()

    def _answer(self, request: Request) -> Response:
        match request.path:
            case "/no":
                raise Refusal(404, "not that")
            case "/pieces":
                return Response(200, (str(number).encode() * 100_000 for number in range(10)), "text/plain")
            case "/quiet":
                request.on_gone(self.gone.set)
                return Response(200, self._quiet(), "text/plain")
            case "/torn":
                return Response(200, self._torn(), "text/plain")
        return Response.of(dict(request.query))

    def _quiet(self) -> Iterator[bytes]:
        yield b"begun"
        self.gone.wait(20)

    def _torn(self) -> Iterator[bytes]:
        yield b"begun"
        raise OSError("the engine has gone")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.gone.set()
    made.server.stop()


def test_an_answer_has_its_status_and_its_whole_body(service: Service) -> None:
    client = AsyncClient(service.path)
    assert asyncio.run(client.get("/any?a=1&b=2")) == (200, b'{"a": "1", "b": "2"}')
    assert asyncio.run(client.get("/no")) == (404, b'{"message": "not that"}')
    status, body = asyncio.run(client.get("/pieces"))
    assert (status, body) == (200, b"".join(str(number).encode() * 100_000 for number in range(10)))


def test_a_stream_is_read_as_it_comes_and_leaving_it_ends_it(service: Service) -> None:
    async def read() -> bytes:
        async with AsyncClient(service.path).stream("/quiet") as answer:
            async for piece in answer.pieces():
                return piece
        return b""

    assert asyncio.run(read()) == b"begun"
    assert service.gone.wait(5)


def test_a_stream_that_is_torn_is_no_end(service: Service) -> None:
    async def read() -> None:
        async with AsyncClient(service.path).stream("/torn") as answer:
            async for _ in answer.pieces():
                pass

    with pytest.raises(OSError, match="cut"):
        asyncio.run(read())


def test_a_hundred_streams_at_once_need_no_thread_here(service: Service) -> None:
    async def read(begun: asyncio.Semaphore) -> None:
        async with AsyncClient(service.path).stream("/quiet") as answer:
            async for _ in answer.pieces():
                begun.release()

    async def run() -> list[str]:
        begun = asyncio.Semaphore(0)
        mine = {thread.ident for thread in threading.enumerate()}
        tasks = [asyncio.create_task(read(begun)) for _ in range(100)]
        for _ in tasks:
            await begun.acquire()
        grown = [thread.name for thread in threading.enumerate() if thread.ident not in mine]
        grown = [name for name in grown if "process_request_thread" not in name]  # the server's own
        service.gone.set()
        await asyncio.gather(*tasks)
        return grown

    assert asyncio.run(run()) == []


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_an_oserror(tmp_path: Path, said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_unix_server(answer, tmp_path / "s.sock")
        async with server:
            await AsyncClient(tmp_path / "s.sock", 2).get("/")

    with pytest.raises(OSError):  # noqa: PT011  # whichever: all that it says is that nobody answered
        asyncio.run(run())


def test_nobody_there_and_nobody_in_time_are_oserrors(tmp_path: Path, service: Service) -> None:
    with pytest.raises(OSError, match="No such file"):
        asyncio.run(AsyncClient(tmp_path / "nobody.sock").get("/"))
    with pytest.raises(TimeoutError):
        asyncio.run(AsyncClient(service.path, 0.3).get("/quiet"))
