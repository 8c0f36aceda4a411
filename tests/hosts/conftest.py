"""One cluster for each file: a first host and two more, by its SETTINGS, with its TRAINER as image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.faults.engine import is_possible
from tests.faults.shell import WAITS
from tests.hosts.support import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/hosts/" in item.nodeid:
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.hosts)


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """It is up, with the file's SETTINGS, and goes with the last test of the file."""
    if not is_possible():
        pytest.fail("engines of one's own take root, or sudo without a password")
    settings = dict(getattr(request.module, "SETTINGS", {}))
    if make_project := getattr(request.module, "make_project", None):
        settings["BULKHEAD_PROJECT_FOLDER"] = str(make_project(tmp_path_factory.mktemp("own")))
    made = Cluster(tmp_path_factory.mktemp("cluster"), "one", "two", **settings)
    try:
        with ThreadPoolExecutor(2) as pool:
            made.begin(pool, getattr(request.module, "QUEUES", {}))
        with made.images(getattr(request.module, "TRAINER", WAITS)):
            yield made
    finally:
        made.end()
