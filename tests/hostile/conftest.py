"""One stack for all attacks, which are made at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.hostile.support import Attacked

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    made = Attacked(tmp_path_factory.mktemp("stack"))
    try:
        made.begin()
        yield made
    finally:
        made.down()
