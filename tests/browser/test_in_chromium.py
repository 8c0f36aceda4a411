"""The Models page in a real browser, inside the UI of a real Airflow."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Error, Page, sync_playwright
from tests.system.promotions import approval_of, ask, decide
from tests.system.support import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Frame

    Open = Callable[[str, str], Frame]

pytestmark = pytest.mark.system

SECONDS = 60_000  # on a machine that does much else
PAGES = ("/", "/inferences", "/failures", "/inputs", "/health", "/verify", "/docs", "/help/README.md")

HOSTILE = '<script>top.hacked=1</script><img src=x onerror=top.hacked=1>"\' onmouseover="top.hacked=1\u202e'
HOSTILE += "x" * 9000

_SIGNED = """
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
print("token", create_auth_manager().generate_jwt(SimpleAuthManagerUser(username="{0}", role="{0}", teams=None)))
"""

_ROUTES = """
import re
from starlette.routing import Mount
from bulkhead_airflow.models_page_plugin import ModelsPage
(known,) = ModelsPage().fastapi_apps
for route in known["app"].routes:
    if isinstance(route, Mount):
        print("route GET", route.path + "/page.css")
    else:
        for method in sorted(route.methods):
            print("route", method, re.sub("{.*?}", "0", route.path))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = subprocess.run([ROOT / "scripts/chromium.sh"], capture_output=True, text=True, check=True).stdout.strip()
    with sync_playwright() as playwright:
        # Its sandbox does not run as root; it sees this stack alone.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this file's own: its hostile records are nobody else's matter."""
    with Stack(tmp_path_factory.mktemp("stack")).status() as stack:
        yield stack


@pytest.fixture(scope="module")
def trained(stack: Stack) -> Stack:
    """A stack with two models of dev, one of prd, an inference, a failure, and a hostile record of each kind."""
    for environment in ("dev", "prd", "dev"):
        stack.run(f"{environment}_train_model_dag", {"source": "sample"})
    stack.run("prd_inference_pipe_dag", {"source": "sample"})
    stack.run("dev_train_model_dag", {"source": "nowhere.csv"})
    identity = {"dag_id": HOSTILE, "run_id": HOSTILE, "task_id": HOSTILE}
    model = {
        "model_hash": HOSTILE, "model_filename": "model_hostile.joblib", "training_timestamp": HOSTILE,
        "environment": HOSTILE, "metrics": {HOSTILE: HOSTILE, "r2": 1e308}, "parameters": {HOSTILE: HOSTILE},
        "image": HOSTILE, "features": [HOSTILE], **identity,
    }  # fmt: skip
    failed = {"error_timestamp": HOSTILE, "detail": HOSTILE, "cause": HOSTILE, "environment": HOSTILE, **identity}
    used = {
        "inference_time": HOSTILE, "environment": HOSTILE, "inference_data": HOSTILE, "model_used": HOSTILE,
        "predictions": HOSTILE, **identity,
    }  # fmt: skip
    for log, records in (("log.txt", [model, failed]), ("log_inference.txt", [used])):
        with (stack.models / log).open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
    return stack


def token(stack: Stack, role: str) -> str:
    said = stack.compose("exec", "-T", "api-server", "python", "-c", _SIGNED.format(role))
    return next(line.split()[1] for line in said.splitlines() if line.startswith("token "))


def patiently(page: Page, address: str) -> None:
    """Go there; a network that somebody else's containers change meanwhile is no failure."""
    for attempt in range(5):
        try:
            page.goto(address, timeout=SECONDS)
        except Error as error:
            if "ERR_NETWORK_CHANGED" not in str(error) or attempt == 4:
                raise
        else:
            return


@pytest.fixture
def page(trained: Stack, browser: Browser) -> Iterator[Page]:
    """A page of an administrator who has logged in by the form."""
    context = browser.new_context(viewport={"width": 1400, "height": 950}, color_scheme="light")
    opened = context.new_page()
    opened.set_default_timeout(SECONDS)
    patiently(opened, f"{trained.airflow.address}/")
    opened.fill("input[name=username]", trained.airflow.user)
    opened.fill("input[name=password]", trained.airflow.password)
    opened.keyboard.press("Enter")
    opened.wait_for_selector("text=Bulkhead")
    yield opened
    context.close()


def in_frame(page: Page, stack: Stack, path: str) -> Frame:
    """The frame of the UI with the Models page at ``path``."""
    patiently(page, f"{stack.airflow.address}/plugin/models/bulkhead{path}")
    element = page.wait_for_selector("iframe")
    assert element is not None
    frame = element.content_frame()
    assert frame is not None
    frame.wait_for_selector("main")
    frame.wait_for_load_state()  # with its scripts, which a form needs
    return frame


def colours(of: Page | Frame) -> list[str]:
    found: list[str] = of.evaluate(
        "() => { const own = getComputedStyle(document.documentElement);"
        " return ['bg', 'fg', 'border'].map(name => own.getPropertyValue('--chakra-colors-' + name)"
        " || own.getPropertyValue('--' + name)) }"
    )
    return [colour.strip().lower() for colour in found]


def test_it_opens_from_the_navigation_and_wears_the_theme_of_the_moment(page: Page) -> None:
    page.click("nav >> text=Bulkhead") if page.locator("nav >> text=Bulkhead").count() else page.click("text=Bulkhead")
    element = page.wait_for_selector("iframe")
    assert element is not None
    frame = element.content_frame()
    assert frame is not None
    frame.wait_for_selector("text=prd serves")
    seen = []
    for theme in ("light", "dark", "light"):
        page.evaluate("theme => { document.documentElement.className = theme }", theme)  # what Airflow's switch does
        frame.wait_for_selector(f"html[data-theme={theme}]", state="attached")
        assert colours(frame) == colours(page)
        seen.append(frame.evaluate("() => getComputedStyle(document.body).backgroundColor"))
    assert seen[0] == seen[2] != seen[1]


def test_without_airflow_around_it_the_page_wears_the_theme_that_was_chosen(trained: Stack, page: Page) -> None:
    for theme in ("dark", "light"):
        page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
        patiently(page, f"{trained.airflow.address}/bulkhead/")
        assert page.get_attribute("html", "data-theme") == theme


def test_the_browser_asks_nobody_but_airflow_and_no_record_runs(trained: Stack, page: Page) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for path in (*PAGES, "/models/model_hostile.joblib"):
        frame = in_frame(page, trained, path)
        frame.wait_for_load_state("networkidle")
        if path in ("/", "/inferences", "/failures"):
            assert "<script>top.hacked=1</script>" in frame.inner_text("main")
        wide = frame.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], path
        assert page.evaluate("() => window.hacked") is None
    assert {url.split("/")[2] for url in asked} == {trained.airflow.address.split("/")[2]}
    assert not [words for words in complaints if "ERR_NETWORK_CHANGED" not in words]


def test_a_verify_runs_beside_and_tells_what_it_found(trained: Stack, page: Page) -> None:
    frame = in_frame(page, trained, "/verify")
    frame.click("button:has-text('Verify')")
    frame.wait_for_selector("text=findings of damage")  # the hostile records' models have no files
    assert "model_hostile.joblib" in frame.inner_text("main")
    found = trained.airflow.request("GET", "/bulkhead/api/v1/verify")
    assert found["trouble"] is None
    assert found["running"] is None
    assert found["clean"] is False


def test_a_rollback_is_triggered_and_the_page_then_marks_the_model_before(trained: Stack, page: Page) -> None:
    served = trained.airflow.request("GET", "/bulkhead/api/v1/environments")["environments"]
    (dev,) = [one for one in served if one["environment"] == "dev"]
    frame = in_frame(page, trained, "/")
    card = frame.locator("section.place", has=frame.locator("h3:has-text('dev serves')"))
    card.locator("summary").click()
    card.locator("input[name=reason]").fill("the one before was better")
    card.locator("button").click()
    card.locator("output a").wait_for()
    (run,) = trained.airflow.request("GET", "/api/v2/dags/rollback_model_dag/dagRuns")["dag_runs"]
    *_, (state, _) = trained.airflow.states("rollback_model_dag", run["dag_run_id"])
    assert state == "success"
    served = trained.airflow.request("GET", "/bulkhead/api/v1/environments")["environments"]
    (now,) = [one for one in served if one["environment"] == "dev"]
    assert now["served"]["model_filename"] == dev["rolls_back_to"]


def test_a_link_to_a_run_leaves_the_frame(trained: Stack, page: Page) -> None:
    model = next(record for record in trained.trainings() if record.get("sha256"))
    frame = in_frame(page, trained, f"/models/{model['model_filename']}")
    frame.click(f"a[data-leave]:has-text('{model['run_id']}')")
    page.wait_for_url("**/dags/dev_train_model_dag/runs/**")
    assert "/plugin/" not in page.url


def test_a_promotion_is_triggered_as_the_user_and_waits_for_approval(trained: Stack, page: Page) -> None:
    airflow = trained.airflow
    airflow.wait_for_dag("promote_model_dag")
    dev = [record for record in trained.trainings() if record.get("sha256") and record["environment"] == "dev"][-1]
    frame = in_frame(page, trained, f"/models/{dev['model_filename']}")
    frame.click("text=Promote to prd…")
    frame.fill("input[name=reason]", "better on <b>every</b> row")
    frame.click("button:has-text('Ask for promotion')")
    frame.click("output a")
    page.wait_for_url("**/dags/promote_model_dag/runs/**")
    (run,) = airflow.request("GET", "/api/v2/dags/promote_model_dag/dagRuns")["dag_runs"]
    reason = "better on <b>every</b> row"
    assert run["conf"] == {"model": dev["model_filename"], "environment": "prd", "reason": reason}
    assert run["triggering_user_name"] == airflow.user


def test_a_viewer_reads_everything_and_triggers_nothing(trained: Stack, browser: Browser) -> None:
    address = trained.airflow.address
    context = browser.new_context()
    context.add_cookies([{"name": "_token", "value": token(trained, "VIEWER"), "url": address}])
    page = context.new_page()
    dev = next(record for record in trained.trainings() if record.get("sha256"))["model_filename"]
    for path, dag in (("models", "revoke_model_dag"), ("promote/prd", "promote_model_dag")):
        patiently(page, f"{address}/bulkhead/{path}/{dev}")
        assert page.locator(f"text=permission to trigger {dag}").count() == 1
        assert page.locator("[data-trigger], [data-send]").count() == 0
    patiently(page, f"{address}/bulkhead/inputs")
    assert page.locator("text=permission to trigger dev_train_model_dag").count() == 1
    assert page.locator("#upload-form").count() == 0
    runs = f"{address}/api/v2/dags/promote_model_dag/dagRuns"
    conf = {"logical_date": None, "conf": {"model": dev, "reason": "r"}}
    posted = "([url, body]) => fetch(url, {method: 'POST', headers: {'Content-Type': 'application/json'}, body})"
    assert page.evaluate(f"{posted.replace('body})', 'body}).then(a => a.status)')}", [runs, json.dumps(conf)]) == 403
    context.close()


def status(address: str, method: str, headers: dict[str, str]) -> int:
    request = urllib.request.Request(address, method=method, headers=headers)  # noqa: S310  # http, ours
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_no_route_answers_without_a_valid_login(trained: Stack) -> None:
    said = trained.compose("exec", "-T", "api-server", "python", "-c", _ROUTES)
    routes = [line.split()[1:] for line in said.splitlines() if line.startswith("route ")]
    assert len(routes) > 14
    viewer = token(trained, "VIEWER")
    for method, path in [*routes, ["GET", "/nowhere"], ["GET", "/docs"]]:
        address = f"{trained.airflow.address}/bulkhead{path}"
        refused: list[dict[str, str]] = [
            {},
            {"Cookie": "_token=invalid"},
            {"Authorization": "Bearer invalid"},
            {"Cookie": f"_token={viewer[:-4]}AAAA"},
        ]
        for headers in refused:
            assert status(address, method, headers) == 401, (method, path, headers)
        if method == "GET":
            assert status(address, method, {"Cookie": f"_token={viewer}"}) in (200, 404, 422), path
            assert status(address, method, {"Authorization": f"Bearer {viewer}"}) in (200, 404, 422), path


def test_the_plugin_is_loaded_without_an_error(trained: Stack) -> None:
    answer: dict[str, Any] = trained.airflow.request("GET", "/api/v2/plugins/importErrors")
    assert answer["import_errors"] == []


def test_the_api_server_sees_a_new_record_at_once(trained: Stack) -> None:
    def total() -> int:
        return int(trained.airflow.request("GET", "/bulkhead/api/v1/failures")["total_entries"])

    before = total()
    with (trained.models / "log.txt").open("a") as file:
        file.write('{"error_timestamp": "2026-01-01T00:00:00+00:00", "detail": "d"}\n')
    assert total() == before + 1


def test_a_waiting_request_is_told_on_the_model_and_a_decision_shows_by_itself(trained: Stack, page: Page) -> None:
    dev = next(record for record in trained.trainings() if record.get("sha256") and record["environment"] == "dev")
    run = ask(trained, dev["model_filename"])
    approval_of(trained, run)
    frame = in_frame(page, trained, f"/models/{dev['model_filename']}")
    frame.wait_for_selector("[data-pending] >> text=Approval wanted")
    decide(trained, run, "Reject")
    frame.wait_for_selector("text=Promotion to prd rejected")  # without a click


def test_a_note_a_tag_and_a_table_are_written_in_the_visitors_name(trained: Stack, page: Page, tmp_path: Path) -> None:
    dev = [record for record in trained.trainings() if record.get("sha256") and record["environment"] == "dev"][-1]
    frame = in_frame(page, trained, f"/models/{dev['model_filename']}")
    frame.click("text=Add a note…")
    frame.fill("textarea[name=text]", "trained <b>before</b> the prices changed")
    frame.click("form[data-send=POST] button")
    frame.wait_for_selector("blockquote >> text=trained <b>before</b> the prices changed")
    frame.click("text=Set a tag…")
    frame.fill("input[name=key]", "owner")
    frame.fill("input[name=value]", "ada")
    frame.click("form[data-send=PUT] button")
    frame.wait_for_selector("a.tag >> text=owner=ada")
    written = [record for record in trained.trainings() if "note_time" in record or "tag_time" in record]
    assert [record["by"] for record in written] == [trained.airflow.user] * 2
    table = tmp_path / "from_browser.csv"
    table.write_text("a,b\n1,2\n3,4\n")
    frame = in_frame(page, trained, "/inputs")
    for expected in ("2 rows, 2 columns", "is there already"):
        frame.set_input_files("input[type=file]", table)
        frame.click("#upload-form button")
        frame.wait_for_selector(f"output:has-text('{expected}')")
