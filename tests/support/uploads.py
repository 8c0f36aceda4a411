"""Sends tables to a stack's Models page, as a browser does."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.system.support import Stack

URL = "/bulkhead/api/v1/inputs"

_SIGNED = """
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
print("token", create_auth_manager().generate_jwt(SimpleAuthManagerUser(username="{0}", role="{0}", teams=None)))
"""


class Sender:
    """A user of the stack, who has logged in."""

    def __init__(self, stack: Stack, role: str = "ADMIN") -> None:
        self.stack = stack
        self.port = int(stack.environment["BULKHEAD_PORT"])
        said = stack.compose("exec", "-T", "api-server", "python", "-c", _SIGNED.format(role))
        token = next(line.split()[1] for line in said.splitlines() if line.startswith("token "))
        self.headers = {"Authorization": f"Bearer {token}"}

    def send(self, name: str, content: bytes | Iterable[bytes], **headers: str) -> tuple[int, Any]:
        """Status and JSON of the answer; what comes in pieces is sent without a length."""
        return self.asked("POST", f"{URL}/{name}", content, headers)

    def listed(self) -> Any:
        """What there is to choose from."""
        return self.asked("GET", URL)[1]

    def files(self) -> list[str]:
        """Every file below the inputs, those on their way too."""
        inputs = self.stack.inputs
        return sorted(str(path.relative_to(inputs)) for path in inputs.rglob("*") if not path.is_dir())

    def asked(
        self, method: str, path: str, content: bytes | Iterable[bytes] = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of the answer to any request."""
        status, body = self.answered(method, path, content, headers or {})
        return status, json.loads(body)

    def answered(
        self, method: str, path: str, content: bytes | Iterable[bytes], headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """Status and body of the answer, the whole of it.

        Raises:
            OSError: the connection broke.
            http.client.HTTPException: the answer did.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        is_whole = isinstance(content, bytes)
        given = self.headers | headers | ({} if is_whole else {"Transfer-Encoding": "chunked"})
        try:
            connection.request(method, path, content, given, encode_chunked=not is_whole)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
