"""One stack for all the system tests; it takes half a minute to come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.system.support import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack")).status() as stack:
        yield stack
