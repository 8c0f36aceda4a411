"""Airflow takes a task's report for nobody's: what was done is found again, and not done again."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from tests.faults.acts import created, held_training, task, wait_until_followed
from tests.faults.api_proxy import ApiProxy
from tests.faults.support import AT_ONCE, TRAIN, Fault, status, wait_until
from tests.system.support import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.fault, pytest.mark.usefixtures("events")]


class ReportingStack(Stack):
    """Its tasks report to the API server through a proxy."""

    proxy: ApiProxy


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReportingStack]:
    folder = tmp_path_factory.mktemp("stack")
    more = folder / "more.yaml"
    made = ReportingStack(folder, COMPOSE_FILE=f"docker-compose.yaml:{more}", **AT_ONCE)
    made.proxy = ApiProxy(int(made.environment["BULKHEAD_PORT"]))
    url = f"http://host.docker.internal:{made.proxy.port}/execution/"
    scheduler = {
        "environment": {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": url},
        "extra_hosts": ["host.docker.internal:host-gateway"],
    }
    more.write_text(json.dumps({"services": {"scheduler": scheduler}}))
    try:
        with status(made):
            yield made
    finally:
        made.proxy.close()


@pytest.mark.parametrize("answer", [404, 409])
def test_a_success_whose_report_is_refused_is_adopted_by_the_next_try(
    stack: ReportingStack, fault: Fault, answer: int
) -> None:
    with held_training(stack) as (run_id, _):
        attempt = task(stack, run_id)["id"]
        stack.proxy.rule = lambda method, path, body: (
            answer if method == "PATCH" and f"{attempt}/state" in path and b"success" in body else None
        )
    since = time.monotonic()
    try:
        wait_until(lambda: task(stack, run_id).get("try_number") == 2, 120, "no second try")
        wait_until(lambda: task(stack, run_id).get("state") == "success", 60, "the second try does not adopt it")
    finally:
        stack.proxy.rule = lambda *_: None
    fault.row.recovered_seconds = time.monotonic() - since
    assert any(attempt in request for request in stack.proxy.refused)
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    assert created(stack, run_id) == 1


def test_a_task_that_is_told_404_at_its_heartbeat_leaves_its_step_to_the_next_try(
    stack: ReportingStack, fault: Fault
) -> None:
    with held_training(stack) as (run_id, _):
        attempt = task(stack, run_id)["id"]
        stack.proxy.rule = lambda _, path, __: 404 if f"{attempt}/heartbeat" in path else None
        since = time.monotonic()
        try:
            fault.row.recovered_seconds = wait_until_followed(stack, run_id, 2, 120) - since
        finally:
            stack.proxy.rule = lambda *_: None
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    assert created(stack, run_id) == 1
