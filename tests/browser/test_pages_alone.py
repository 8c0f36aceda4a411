"""Every page in a Chromium, without a stack: at all widths, in both themes, by the keyboard, without scripts."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from starlette.testclient import TestClient
from tests.browser.support import Anybody, Visit, launched, texts_of
from tests.support.stepped import fill

from bulkhead.hosts_protocol import HostReport, HostStatus
from bulkhead.registrar_protocol import SOCKET_VARIABLE
from bulkhead.unix_http import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Locator, ViewportSize
    from tests.support.stepped import SteppedProject

    Open = Callable[..., Visit]

pytestmark = pytest.mark.browser

WIDTHS = (1440, 800, 390)
THEMES = ("light", "dark")
REPORT = HostReport(
    time=0, began=0, commit="c0ffee" * 7, engine="E", engine_version="26.1", cpus=4, memory=16 << 30, slots=4
)
HOSTS = [
    HostStatus(name="main", queues=["default"], report=REPORT, seconds_silent=1.2, running=2),
    HostStatus(name="gpu1", queues=["gpu"], report=REPORT, seconds_silent=99, problems=["its clock <is> wrong."]),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> SteppedProject:
    return fill(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def registrar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A socket where somebody knows of two hosts, and is well."""
    path = tmp_path_factory.mktemp("registrar") / "r.sock"
    answers: dict[str, Any] = {"/hosts": HOSTS, "/health": {}, "/chain": {}}

    def answer(request: Request) -> Response:
        return Response(200, msgspec.json.encode(answers[request.path]))

    server = Server(path, answer)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SOCKET_VARIABLE, str(path))
        yield
    server.stop()


@pytest.fixture(scope="module")
def client(
    stepped: SteppedProject, registrar: None, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[TestClient]:
    from bulkhead.index import Index
    from models_page.app import create_app
    from models_page.arrivals import Arrivals

    del registrar
    folder = tmp_path_factory.mktemp("temporary")
    shared = stepped.project.folder / "shared"
    (shared / "runs").mkdir(exist_ok=True)
    shutil.copytree(stepped.project.inputs, shared / "inputs")
    app = create_app(
        stepped.registry.folder,
        shared,
        Anybody(),
        folder,
        docs=pytestconfig.rootpath,
        arrivals=Arrivals(tmp_path_factory.mktemp("arriving")),
    )
    with TestClient(app, base_url="http://airflow.test", root_path="/bulkhead") as made:
        Index(stepped.registry.folder, folder).wait()
        yield made


@pytest.fixture
def opened(browser: Browser, client: TestClient) -> Iterator[Open]:
    """Opens a page of the browser; options are those of its context."""
    contexts = []

    def open_page(width: int = 1440, theme: str = "light", **options: Any) -> Visit:
        window: ViewportSize = {"width": width, "height": 950}
        context = browser.new_context(viewport=window, color_scheme=theme, **options)  # type: ignore[arg-type]
        contexts.append(context)
        return Visit(context.new_page(), client)

    yield open_page
    for context in contexts:
        context.close()


def pages(made: SteppedProject) -> dict[str, int]:
    """Every kind of page, in every state that has a shape of its own, with its status."""
    first, prd, last = (one.model_filename for one in made.regressions)
    revoked, served = (one.model_filename for one in made.classifiers)
    good, drifted, *_, hostile = made.offsets()
    found = [
        "/", "/?name=churn&environment=dev&sort=-roc_auc", "/?search=nothing+like+it", "/?name=demand&sort=time",
        f"/models/{first}", f"/models/{last}", f"/models/{served}", f"/models/{revoked}",
        "/models/model_hostile.joblib",
        f"/compare?version={first}&version={last}", f"/compare?version={prd}&version={served}",
        f"/promote/prd/{last}", f"/promote/prd/{served}", f"/promote/prd/{first}",
        "/inferences", "/inferences?name=churn&environment=dev", "/inferences?sort=time&outcome=drifted",
        f"/inferences/{good}", f"/inferences/{drifted}", f"/inferences/{hostile}",
        "/failures", "/failures?source=nowhere.csv", "/inputs", "/health", "/hosts", "/verify", "/docs",
        "/help/README.md", "/help/docs/models-page.md",
    ]  # fmt: skip
    refused = {"/?metric=nonsense": 422, "/compare?version=x": 422, "/inferences?since=x": 422, "/nonsense": 404}
    return dict.fromkeys(found, 200) | refused


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_draws_its_figures_and_nothing_complains(
    opened: Open, stepped: SteppedProject, width: int, theme: str
) -> None:
    visit = opened(width, theme)
    for path, status in pages(stepped).items():
        answer = visit.go(path, status)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        visit.wait_for_figures()
        assert visit.page.locator("h1").count() == 1, path
        assert visit.page.get_attribute("html", "data-theme") == theme
        visit.page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true }")
        visit.wait_for_figures()
        wide = visit.page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], (path, wide, overflowing(visit))
        assert visit.page.evaluate("() => window.hacked") is None
        for drawn in marks(visit):
            assert drawn["marks"] > 0, (path, drawn)
            assert drawn["beyond"] <= 12, (path, drawn)  # half a dot, and a line's width
        assert visit.complaints == [], path


def overflowing(visit: Visit) -> list[str]:
    """What is wider than the window."""
    found: list[str] = visit.page.evaluate(
        "() => [...document.querySelectorAll('body *')]"
        ".filter(one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll'))"
        ".map(one => one.outerHTML.slice(0, 120))"
    )
    return found[:5]


def marks(visit: Visit) -> list[dict[str, Any]]:
    """Of each figure that is drawn: how many shapes in a series' colour, and how far one is out of the picture."""
    found: list[dict[str, Any]] = visit.page.evaluate(
        """() => [...document.querySelectorAll('figure .drawing svg')].map(svg => {
          const frame = svg.getBoundingClientRect();
          const coloured = '[fill*="--series"], [stroke*="--series"]';
          const shapes = [...svg.querySelectorAll('path, rect, circle, line, polyline')]
            .filter(one => one.closest(coloured) !== null).map(one => one.getBoundingClientRect());
          const beyond = shapes.map(one => Math.max(frame.left - one.left, one.right - frame.right,
            frame.top - one.top, one.bottom - frame.bottom));
          return {title: svg.closest('figure').querySelector('figcaption').textContent, marks: shapes.length,
            beyond: Math.max(0, ...beyond)};
        })"""
    )
    return found


CHANGED_BY_THEME_AND_WIDTH = [
    "color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size", "hidden-content",
]  # fmt: skip
"""Rules of axe; the others look at what is the same in each."""


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_no_violation_on_any_page(opened: Open, stepped: SteppedProject, width: int, theme: str) -> None:
    from axe_playwright_python.base import AXE_SCRIPT

    visit = opened(width, theme, bypass_csp=True)  # axe is put into the page as a script
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if (width, theme) != (WIDTHS[0], THEMES[0]):
        options["runOnly"] = {"type": "rule", "values": CHANGED_BY_THEME_AND_WIDTH}
    found = {}
    for path, status in pages(stepped).items():
        visit.go(path, status)
        visit.wait_for_figures()
        visit.page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true }")
        visit.wait_for_figures()
        visit.page.evaluate(AXE_SCRIPT)
        said = visit.page.evaluate("options => axe.run(options)", options)
        if said["violations"]:
            found[path] = texts_of(said["violations"])
    assert not found, json.dumps(found, indent=1)


def press_until(visit: Visit, wanted: str) -> Locator:
    """Press Tab until what ``wanted`` selects has the focus."""
    for _ in range(200):
        visit.page.keyboard.press("Tab")
        focused = visit.page.locator(f":focus{wanted}")
        if focused.count():
            return focused
    raise AssertionError(f"{wanted} is out of the keyboard's reach")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_point_is_reached_by_tab_told_by_name_and_opened_by_enter(opened: Open, width: int) -> None:
    visit = opened(width)
    for path, leads_to, named in (
        ("/?name=churn", "**/bulkhead/models/model_*", "churn #1, dev, 20"),
        ("/inferences?name=model&environment=dev", "**/bulkhead/inferences/*", ": prediction 0."),
    ):
        visit.go(path)
        visit.wait_for_figures()
        point = press_until(visit, "[aria-label]:is(svg a)")
        assert named in (point.get_attribute("aria-label") or "")
        outline = point.locator(":scope > *").first.evaluate("shape => getComputedStyle(shape).strokeWidth")
        assert outline == "3px"  # it is seen
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url(leads_to)
        assert visit.page.locator("h1").count() == 1
    assert visit.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_without_scripts_every_figure_is_a_sentence_and_a_table(
    opened: Open, stepped: SteppedProject, width: int
) -> None:
    visit = opened(width, java_script_enabled=False)
    seen = 0
    for path, status in pages(stepped).items():
        visit.go(path, status)
        for figure in visit.page.locator("figure").all():
            seen += 1
            assert figure.locator("svg").count() == 0
            assert figure.locator("p.quiet").first.inner_text().strip()
            if figure.locator("details[open]").count() == 0:
                figure.locator("summary").click()
            table = figure.locator("table")
            assert table.is_visible()
            assert table.locator("td").count() > 0, path
    assert seen > 40


def test_a_theme_that_changes_recolours_the_figures_at_once(opened: Open, stepped: SteppedProject) -> None:
    visit = opened()
    visit.go(f"/models/{stepped.regressions[0].model_filename}")
    visit.wait_for_figures()
    colour = "() => getComputedStyle(document.querySelector('figure svg [fill*=series]')).fill"
    light = visit.page.evaluate(colour)
    visit.page.emulate_media(color_scheme="dark")
    assert visit.page.get_attribute("html", "data-theme") == "dark"
    assert visit.page.evaluate(colour) != light
    assert visit.complaints == []


def test_figures_are_drawn_anew_when_the_window_changes(opened: Open, stepped: SteppedProject) -> None:
    visit = opened(1440)
    visit.go(f"/models/{stepped.classifiers[1].model_filename}")
    visit.wait_for_figures()
    visit.page.set_viewport_size({"width": 390, "height": 800})
    visit.page.wait_for_function(
        "() => [...document.querySelectorAll('figure svg')]"
        ".every(one => one.getBoundingClientRect().right <= innerWidth)"
    )
    assert visit.complaints == []
