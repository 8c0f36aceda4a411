"""The Models page in this process, without Airflow: who asks is said by the test."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.requests import Request

    from bulkhead.registry.store import Registry
    from models_page.login import Visitor


class Somebody:
    """Knows one user, or nobody."""

    def __init__(self) -> None:
        self.logged_in = True
        self.hidden: set[str] = set()
        """DAGs that they may not read."""
        self.triggers = {"promote_model_dag", "rollback_model_dag", "revoke_model_dag"}

    async def visitor(self, request: Request) -> Visitor:  # noqa: ARG002  # everybody is the same one
        """Who asks."""
        from models_page.login import NotLoggedIn, Visitor

        if not self.logged_in:
            raise NotLoggedIn("Not authenticated")
        return Visitor("somebody", lambda dag_id: dag_id not in self.hidden, lambda dag_id: dag_id in self.triggers)


@pytest.fixture
def somebody() -> Somebody:
    """A user who may do everything."""
    return Somebody()


@pytest.fixture
def visit(somebody: Somebody, tmp_path: Path) -> Callable[[Registry], AbstractContextManager[TestClient]]:
    """A browser on the page of a registry."""

    @contextmanager
    def visiting(registry: Registry) -> Iterator[TestClient]:
        from bulkhead.index import Index
        from models_page.app import create_app

        folder = tmp_path / "temporary"
        folder.mkdir(exist_ok=True)
        with TestClient(create_app(registry.folder, tmp_path / "shared", somebody, folder)) as client:
            Index(registry.folder, folder).wait()
            yield client

    return visiting
