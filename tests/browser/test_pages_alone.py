"""Every page in a Chromium, without a stack: at all widths, in both themes, by the keyboard, without scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.support import texts_of

if TYPE_CHECKING:
    from playwright.sync_api import Locator
    from tests.browser.support import Open, Visit
    from tests.support.stepped import SteppedProject

pytestmark = pytest.mark.browser

WIDTHS = (1440, 800, 390)
THEMES = ("light", "dark")


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
        assert not out_of_cards(visit), path
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


def out_of_cards(visit: Visit) -> list[str]:
    """What stands beyond the right side of the card that it is in."""
    found: list[str] = visit.page.evaluate(
        "() => [...document.querySelectorAll('.card *')]"
        ".filter(one => one.getBoundingClientRect().right > one.closest('.card').getBoundingClientRect().right"
        " && !one.closest('.scroll, .hidden, svg'))"
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
