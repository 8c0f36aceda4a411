"""What the pages' scripts do in a Chromium, without a stack: draw, count, load again, lead to the list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from bulkhead.identity import Identity
from bulkhead.registry import annotating, decisions
from bulkhead.registry.records import Rejection

if TYPE_CHECKING:
    from tests.browser.support import Open, Visit
    from tests.support.stepped import SteppedProject

pytestmark = pytest.mark.browser


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


def test_a_page_is_loaded_again_by_itself_after_its_form_was_sent(opened: Open, stepped: SteppedProject) -> None:
    asked = stepped.regressions[2].model_filename
    visit = opened()
    visit.go(f"/promote/prd/{asked}")
    visit.page.fill("input[name=reason]", "to be rejected")
    visit.page.click("button")
    visit.page.wait_for_selector("output >> text=Triggered.")
    assert "the approval waits there" in visit.page.inner_text("output")
    visit.waiting = [{"subject": f"Promote {asked}?", "task_instance": {"dag_run_id": "manual__1"}}]
    visit.page.wait_for_selector("[data-pending] >> text=Approval wanted")
    assert visit.page.inner_text("output").strip() == "Triggered. See its run"
    visit.waiting = []
    rejection = Rejection(
        rejection_time="2026-11-30T00:00:00.000000+00:00", environment="prd", model_filename=asked,
        outcome="rejected", by="grace", requested_by="ada", reason="to be rejected",
    )  # fmt: skip
    decisions.reject(stepped.registry, rejection)
    visit.page.wait_for_selector("text=Promotion to prd rejected")  # without a click
    assert visit.page.input_value("input[name=reason]") == ""
    assert visit.page.locator("#news").count() == 0
    # A form that somebody has begun to fill in is left alone.
    visit.page.fill("input[name=reason]", "once more")
    annotating.note(stepped.registry, asked, "ada", "rejected, why?", Identity())
    visit.page.wait_for_selector("#news")
    assert visit.page.input_value("input[name=reason]") == "once more"
    assert visit.complaints == []


@pytest.mark.parametrize("width", [1440, 800, 390])
def test_each_way_to_another_list_of_versions_leads_to_the_list(opened: Open, width: int) -> None:
    visit = opened(width)
    visit.go("/")
    visit.wait_for_figures()
    visit.page.fill("input[name=search]", "churn")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url("**/?search=churn**#versions")
    assert_list_is_seen(visit)
    visit.page.keyboard.press("Tab")
    assert visit.page.locator("input[name=search]:focus").count() == 1  # the next one after the heading
    visit.page.click("th a:has-text('Version')")
    visit.page.wait_for_url("**sort=-name#versions")
    assert_list_is_seen(visit)
    visit.page.go_back()
    visit.page.wait_for_url("**/?search=churn**#versions")
    assert "sort" not in visit.page.url
    visit.page.go_forward()
    visit.page.wait_for_url("**sort=-name#versions")
    assert visit.complaints == []


def assert_list_is_seen(visit: Visit) -> None:
    visit.wait_for_figures()
    visit.page.wait_for_function(
        "() => Math.abs(document.querySelector('#versions').getBoundingClientRect().top) < 20"
        " || (scrollY > 0 && scrollY + innerHeight > document.documentElement.scrollHeight - 2)"
    )


def test_an_axis_of_time_is_of_24_hours_and_says_utc(opened: Open, stepped: SteppedProject) -> None:
    visit = opened(timezone_id="America/New_York")
    for path, figures in (("/?name=model", 2), ("/?name=demand", 2), ("/inferences?name=model&environment=dev", 1)):
        visit.go(path)
        visit.wait_for_figures()
        drawn = visit.page.locator("figure svg").all()
        assert len(drawn) == figures, path
        for svg in drawn:
            assert svg.locator("text", has_text="UTC").count() == 1, path
            ticks = svg.locator("g[font-variant=tabular-nums]:not([text-anchor]) text").all_text_contents()
            assert ticks, path
            for tick in ticks:
                assert re.fullmatch(r"(\d\d:\d\d(:\d\d(\.\d{3})?)?)?(\d{4}-\d\d-\d\d)?", tick), (path, ticks)
            assert re.search(r"\d{4}-\d\d-\d\d$", ticks[0]), (path, ticks)
    del stepped


def test_two_versions_can_be_compared_and_not_one_or_three(opened: Open) -> None:
    visit = opened()
    visit.go("/?name=demand")
    button, told = visit.page.locator("button", has_text="Compare"), visit.page.locator("form[data-two] [role=status]")
    boxes = visit.page.locator("form[data-two] input[type=checkbox]")
    for count, words in enumerate(
        ("Tick two versions to compare them.", "Tick one more to compare.", "", "3 are ticked")
    ):
        if count:
            boxes.nth(count).check()
        assert button.is_enabled() == (count == 2)
        assert told.inner_text().startswith(words)
    boxes.nth(1).uncheck()
    button.click()
    visit.page.wait_for_url("**/compare?version=*&version=*")
    visit.page.go_back()
    visit.page.wait_for_load_state()
    assert button.is_enabled() == (visit.page.locator("form[data-two] input:checked").count() == 2)


def test_without_scripts_the_button_that_compares_is_there(opened: Open) -> None:
    visit = opened(java_script_enabled=False)
    visit.go("/?name=demand")
    for at in (0, 1):
        visit.page.locator("form[data-two] input[type=checkbox]").nth(at).check()
    visit.page.click("button:has-text('Compare')")
    visit.page.wait_for_url("**/compare?version=*&version=*")


@pytest.mark.parametrize("path", ["/inputs", "promote"])
def test_a_name_in_a_table_that_scrolls_is_not_broken(opened: Open, stepped: SteppedProject, path: str) -> None:
    visit = opened(390)
    visit.go(f"/promote/prd/{stepped.regressions[2].model_filename}" if path == "promote" else path)
    heights = visit.page.evaluate(
        "() => [...document.querySelectorAll('tbody th bdi, tbody td bdi')]"
        ".filter(one => !one.textContent.includes(' '))"
        ".map(one => [one.textContent, one.getClientRects().length])"
    )
    assert len(heights) > 2
    assert [words for words, lines in heights if lines > 1] == []


def test_a_name_longer_than_any_is_sent_whole(opened: Open) -> None:
    visit = opened()
    visit.go("/inputs")
    visit.page.set_input_files("input[type=file]", {"name": "t.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    visit.page.fill("input[name=name]", "n" * 200 + ".csv")
    visit.expect(400)
    visit.page.click("button:has-text('Upload')")
    visit.page.wait_for_selector("output >> text=the name is too long: it has 204 bytes, and 200 are taken at most")
    assert visit.complaints == []
