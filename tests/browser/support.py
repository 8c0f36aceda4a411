"""The Models page in a Chromium without a stack: every request is answered in this process."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page, Response, Route
    from starlette.requests import Request
    from starlette.testclient import TestClient

    from models_page.login import Visitor

    Open = Callable[..., "Visit"]

ROOT = Path(__file__).parents[2]
ORIGIN = "http://airflow.test"
_HOP_BY_HOP = {"content-length", "transfer-encoding"}


@contextmanager
def launched() -> Iterator[Browser]:
    """A Chromium."""
    path = subprocess.run([ROOT / "scripts/chromium.sh"], capture_output=True, text=True, check=True).stdout.strip()
    with sync_playwright() as playwright:
        # Its sandbox does not run as root; it sees these pages alone.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Anybody:
    """Everybody is the same one, and may do everything."""

    async def visitor(self, request: Request) -> Visitor:  # noqa: ARG002  # everybody is the same one
        """Who asks."""
        from models_page.login import Visitor

        return Visitor("somebody", lambda _: True, lambda _: True)


class Visit:
    """A page of the browser on the application, and what went wrong on it."""

    def __init__(self, page: Page, client: TestClient) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._client = client
        self.waiting: list[dict[str, Any]] = []
        """What Airflow says waits for somebody's answer."""
        self._expected = 200
        page.set_default_timeout(20_000)
        page.route("**/*", self._answer)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', event =>"
            " console.error('CSP: ' + event.violatedDirective + ' ' + event.blockedURI))"
        )

    def go(self, path: str, status: int = 200) -> Response:
        """Open the page at ``path``, which is answered with ``status``, and wait until its figures are drawn."""
        self._expected = status
        answer = self.page.goto(f"{ORIGIN}/bulkhead{path}")
        assert answer is not None
        assert answer.status == status, path
        return answer

    def expect(self, status: int) -> None:
        """From now on the browser may complain of answers of this ``status``."""
        self._expected = status

    def wait_for_figures(self) -> None:
        """Until everything that is to be drawn is."""
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('figure .drawing')].every(place => place.querySelector('svg'))"
        )

    def _answer(self, route: Route) -> None:
        asked = urlsplit(route.request.url)
        if f"{asked.scheme}://{asked.netloc}" != ORIGIN:
            self.complaints.append(f"asked {route.request.url}")
            route.abort()
            return
        if asked.path.startswith("/api/"):  # Airflow's own, where everything can be triggered
            told = {"hitl_details": self.waiting, "total_entries": len(self.waiting)}
            route.fulfill(status=200, json={"dag_run_id": "manual__1"} if route.request.method == "POST" else told)
            return
        answer = self._client.request(
            route.request.method,
            f"{asked.path}?{asked.query}" if asked.query else asked.path,
            headers={name: route.request.headers[name] for name in ("accept",) if name in route.request.headers},
            content=route.request.post_data_buffer,
            follow_redirects=False,
        )
        kept = {name: value for name, value in answer.headers.items() if name not in _HOP_BY_HOP}
        route.fulfill(status=answer.status_code, headers=kept, body=answer.content)

    def _hear(self, message: ConsoleMessage) -> None:
        # The browser says of a page that is to be answered so that it was.
        if message.type in ("error", "warning") and f"status of {self._expected}" not in message.text:
            self.complaints.append(message.text)


def texts_of(found: list[Any]) -> list[str]:
    """What axe has found, a line each."""
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found
        for node in one["nodes"][:3]
    ]
