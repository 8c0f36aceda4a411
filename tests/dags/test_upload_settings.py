"""What ``.env`` says of tables from the browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dags.without_airflow import load

arrivals = load("upload_settings").arrivals
FOLDER = Path("/nowhere")


@pytest.mark.parametrize(("given", "limit"), [({}, 1 << 30), ({"LIMIT": "20m"}, 20 << 20), ({"LIMIT": "0"}, 0)])
def test_the_limit_is_in_dockers_notation(given: dict[str, str], limit: int) -> None:
    made, trouble = arrivals(FOLDER, {f"BULKHEAD_UPLOAD_{name}": value for name, value in given.items()})
    assert (made.limit, trouble) == (limit, "")


@pytest.mark.parametrize(("name", "value"), [("LIMIT", "much"), ("LIMIT", "-1"), ("SECONDS", "0"), ("SECONDS", "soon")])
def test_a_value_that_is_none_keeps_tables_out_and_says_so(name: str, value: str) -> None:
    made, trouble = arrivals(FOLDER, {f"BULKHEAD_UPLOAD_{name}": value})
    assert made is None
    assert f"BULKHEAD_UPLOAD_{name} is '{value}'" in trouble
    assert "just up" in trouble
