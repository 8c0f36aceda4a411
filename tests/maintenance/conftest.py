"""What the tests of verify, repair and gc have in common."""

from __future__ import annotations

import pytest

from bulkhead.maintenance.verify import journal_lines


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test has broken stays so: nothing is gained by waiting for its writer."""
    monkeypatch.setattr(journal_lines, "PATIENCE_SECONDS", 0.05)
