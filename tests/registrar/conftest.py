"""A registrar to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.registrar.support import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.index.close()
