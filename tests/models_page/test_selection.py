"""Searching, filtering and sorting versions: the same on the page and by the API, and wrong wishes told in words."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import pytest
from markupsafe import escape
from starlette.testclient import TestClient
from tests.models_page.conftest import Somebody
from tests.support.project import CHURN, inferred, publish, published_unserved

from bulkhead.identity import Identity
from bulkhead.registry import annotating, decisions
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.lineage import Data
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhead.registry.records import ModelRecord

WHY = DecisionContext("ada", "because")


class Shop:
    """Four versions of ``model`` (dev, prd, dev, dev), five of ``churn`` in prd; the last of each is out of service."""

    def __init__(self, registry: Registry, client: TestClient) -> None:
        self.registry = registry
        self.client = client

    def found(self, **query: Any) -> list[str]:
        """The short names that the API answers, which the page shows too, in the same order."""
        answer = self.client.get("/api/v1/models", params=query)
        assert answer.status_code == 200, answer.text
        named = [f"{one['short_name']} {one['environment']}" for one in answer.json()["models"]]
        assert answer.json()["total_entries"] == len(named)
        page = self.client.get("/", params={key: value for key, value in query.items() if key != "limit"})
        rows = re.findall(r'aria-label="Compare (.*?) of (\w+)"', page.text)
        assert [f"{name} {environment}" for name, environment in rows] == named
        return named

    def refused(self, **query: Any) -> str:
        """The sentence with which both refuse."""
        answer = self.client.get("/api/v1/models", params=query)
        assert answer.status_code == 422
        detail: str = answer.json()["detail"]
        page = self.client.get("/", params=query)
        assert page.status_code == 422
        assert f'role="alert"><bdi>{escape(detail)}</bdi>' in page.text
        assert '<form class="filters"' in page.text  # it can be put right there
        return detail


def table(source: str, rows: int, sha256: str) -> Data:
    return Data(path=f"shared/inputs/{source}", sha256=sha256, rows=rows, source=source)


def fill(registry: Registry) -> list[ModelRecord]:
    made: list[ModelRecord] = []
    for number, (environment, r2) in enumerate([("dev", 0.1), ("prd", 0.5), ("dev", 0.9), ("dev", 0.5)]):
        data: Data | None = table("May.csv", 100 - number, f"{number}a" * 32)
        made.append(publish(registry, environment, f"m{number}", metrics={"r2": r2, "rmse": 1 - r2}, data=data))
    for number in range(4):
        metrics = {"roc_auc": 0.6 + number / 10} if number else {}
        june = None if number == 1 else table("customers/june.csv", 10 * number, "c" * 64)
        made.append(publish(registry, "prd", f"c{number}", **{**CHURN, "metrics": metrics, "data": june}))
    made.append(published_unserved(registry, "prd", "c4", **CHURN))
    inferred(registry, made[1], 1)
    for number in range(3):
        inferred(registry, made[6], number + 2, model_name="churn")
    annotating.note(registry, made[0].model_filename, "ada", "The Sensor was broken", Identity())
    annotating.tag(registry, made[5].model_filename, "ada", "stage", "gold", Identity())
    annotating.tag(registry, made[6].model_filename, "ada", "stage", "silver", Identity())
    decisions.revoke(registry, made[3].model_filename, WHY)
    decisions.roll_back(registry, "prd", WHY, None, name="churn")
    return made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    from bulkhead.index import Index
    from models_page.app import create_app

    folder = tmp_path_factory.mktemp("shop")
    (folder / "models").mkdir()
    registry = Registry(folder / "models")
    fill(registry)
    with TestClient(create_app(registry.folder, folder / "shared", Somebody(), folder)) as client:
        Index(registry.folder, folder).wait()
        yield Shop(registry, client)


EVERYTHING = [
    "churn #5 prd", "churn #4 prd", "churn #3 prd", "churn #2 prd", "churn #1 prd",
    "model #4 dev", "model #3 dev", "model #2 prd", "model #1 dev",
]  # fmt: skip


def test_the_newest_is_first(shop: Shop) -> None:
    assert shop.found() == EVERYTHING


@pytest.mark.parametrize(
    ("search", "numbers"),
    [
        ("churn #2", ["churn #2 prd"]),
        ("churn#2", ["churn #2 prd"]),
        ("CHURN", EVERYTHING[:5]),
        ("#4", ["churn #4 prd", "model #4 dev"]),
        ("sensor was", ["model #1 dev"]),
        ("june", ["churn #4 prd", "churn #3 prd", "churn #1 prd"]),
        ("stage=gold", ["churn #2 prd"]),
        ("stage=", ["churn #3 prd", "churn #2 prd"]),
        ("nothing like it", []),
        ("<script>", []),
        ("%", []),
    ],
)
def test_search_finds_whatever_a_version_is_known_by(shop: Shop, search: str, numbers: list[str]) -> None:
    assert shop.found(search=search) == numbers


def test_search_finds_a_file_and_a_hash(shop: Shop) -> None:
    known = shop.client.get("/api/v1/models").json()["models"][3]
    assert shop.found(search=known["model_filename"]) == ["churn #2 prd"]
    assert shop.found(search=known["record"]["model_hash"][5:25]) == ["churn #2 prd"]


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({"state": "served"}, ["churn #3 prd", "model #3 dev", "model #2 prd"]),
        ({"state": "previous"}, ["churn #2 prd", "model #1 dev"]),
        ({"state": "rolled back"}, ["churn #4 prd"]),
        ({"state": "revoked"}, ["model #4 dev"]),
        ({"state": "not served"}, ["churn #5 prd"]),
        ({"state": "missing"}, []),
        ({"state": "served", "name": "churn"}, ["churn #3 prd"]),
        ({"environment": "prd", "name": "model"}, ["model #2 prd"]),
        ({"environment": "nowhere"}, []),
        ({"data": "may"}, EVERYTHING[5:]),
        ({"data": "1a1a1a"}, ["model #2 prd"]),
        ({"data": "JUNE.csv"}, ["churn #4 prd", "churn #3 prd", "churn #1 prd"]),
        ({"note": "SENSOR"}, ["model #1 dev"]),
        ({"note": "nobody said"}, []),
        ({"tag": "stage"}, ["churn #3 prd", "churn #2 prd"]),
        ({"tag": "stage=silver"}, ["churn #3 prd"]),
        ({"tag": "stage="}, []),
        ({"tag": "stag"}, []),
    ],
)
def test_each_filter_takes_what_it_says(shop: Shop, asked: dict[str, str], numbers: list[str]) -> None:
    assert shop.found(**asked) == numbers


@pytest.mark.parametrize(
    ("metric", "numbers"),
    [
        ("r2>=0.5", ["model #4 dev", "model #3 dev", "model #2 prd"]),
        ("r2>0.5", ["model #3 dev"]),
        ("r2=0.5", ["model #4 dev", "model #2 prd"]),
        ("r2<0.5", ["model #1 dev"]),
        ("r2<=1e-1", ["model #1 dev"]),
        (" r2 >= +0.5 , rmse > .25 ,", ["model #4 dev", "model #2 prd"]),
        ("roc_auc>=0.75", ["churn #5 prd", "churn #4 prd", "churn #3 prd"]),
        ("never_measured>0", []),
        (",", EVERYTHING),
    ],
)
def test_a_condition_on_a_metric_takes_those_that_were_measured_so(shop: Shop, metric: str, numbers: list[str]) -> None:
    assert shop.found(metric=metric) == numbers


@pytest.mark.parametrize(
    "metric",
    ["r2", ">=1", "r2>=", "r2>=x", "r2>=1e", "r2>.", "r2 0.5", "r2>>1", "r2=>1", "r2>=1-2", "r2>=0.1;x", "<script>"],
)
def test_a_condition_that_is_none_is_told_with_one_that_is(shop: Shop, metric: str) -> None:
    said = shop.refused(metric=f"r2>0,{metric}")
    assert said.startswith(repr(metric))
    assert "Write it like roc_auc>=0.8" in said


def test_a_state_that_is_none_is_told_with_those_that_are(shop: Shop) -> None:
    said = shop.refused(state="serverd")
    assert "'serverd' is no state" in said
    assert "served, previous, earlier, rolled back, revoked, not served, removed, quarantined, missing" in said


ORDERS = {
    "time": EVERYTHING[::-1],
    "name": [*EVERYTHING[:5][::-1], *EVERYTHING[5:][::-1]],
    "rows": ["churn #1 prd", "churn #5 prd", "churn #3 prd", "churn #4 prd", *EVERYTHING[5:], "churn #2 prd"],
    "r2": ["model #1 dev", "model #2 prd", "model #4 dev", "model #3 dev", *EVERYTHING[:5]],
    "roc_auc": ["churn #2 prd", "churn #5 prd", "churn #3 prd", "churn #4 prd", "churn #1 prd", *EVERYTHING[5:]],
}


@pytest.mark.parametrize("key", ORDERS)
def test_each_order_goes_both_ways_those_without_a_value_last(shop: Shop, key: str) -> None:
    up = shop.found(sort=key)
    down = shop.found(sort=f"-{key}")
    assert sorted(up) == sorted(down) == sorted(EVERYTHING)
    assert up == ORDERS[key]
    without = {"rows": 1, "r2": 5, "roc_auc": 5}.get(key, 0)
    counted = len(up) - without
    assert down == [*up[:counted][::-1], *up[counted:]]


def test_versions_are_sorted_by_how_often_they_were_used(shop: Shop) -> None:
    down = shop.found(sort="-inferences")
    assert down[:2] == ["churn #3 prd", "model #2 prd"]
    assert shop.found(sort="inferences") == down[::-1]


@pytest.mark.parametrize("sort", ["nonsense", "-nonsense", "-", "<script>", "size"])
def test_an_order_by_what_no_version_has_is_told_with_what_there_is(shop: Shop, sort: str) -> None:
    said = shop.refused(sort=sort)
    assert said.startswith(f"no version here has a metric {sort.removeprefix('-')!r}")
    assert "'time', 'name', 'rows', 'inferences', " in said
    assert "'r2'" in said
    assert "'roc_auc'" in said
    assert "'roc_auc'" not in shop.refused(sort=sort, name="model")


@pytest.mark.parametrize("limit", [1, 2, 4, 9])
@pytest.mark.parametrize("key", [*ORDERS, "inferences"])
def test_the_pages_of_every_order_hold_everything_once(shop: Shop, key: str, limit: int) -> None:
    for sort in (key, f"-{key}"):
        found: list[str] = []
        cursor: str | None = None
        while True:
            query: dict[str, str | int] = {
                "sort": sort,
                "limit": limit,
                **({} if cursor is None else {"cursor": cursor}),
            }
            answer = shop.client.get("/api/v1/models", params=query).json()
            assert len(answer["models"]) <= limit
            assert (answer["total_entries"], answer["files"]) == (9, 9)
            found += [f"{one['short_name']} {one['environment']}" for one in answer["models"]]
            cursor = answer["next_cursor"]
            if cursor is None:
                break
        assert found == shop.found(sort=sort)


def test_the_form_holds_what_was_asked_and_the_next_page_keeps_it(shop: Shop) -> None:
    asked = {
        "search": "c",
        "name": "churn",
        "state": "served",
        "metric": "roc_auc>=0.1",
        "tag": "stage",
        "sort": "name",
    }
    text = html.unescape(shop.client.get("/", params=asked).text)
    for field in ("search", "metric", "tag", "sort"):
        assert re.search(rf'<input[^>]* name="{field}" value="{re.escape(asked[field])}"', text), field
    assert '<option value="churn" selected>' in text
    assert '<option value="served" selected>' in text
    assert 'aria-sort="ascending"' in text
    assert "1 model version</h1>" in text


def test_each_way_to_another_list_leads_to_the_list(shop: Shop) -> None:
    text = html.unescape(shop.client.get("/", params={"name": "churn", "cursor": "8"}).text)
    listed = text[text.index('<section aria-labelledby="versions">') :]
    assert '<form class="filters" method="get" action="/#versions">' in listed
    assert '<a href="/#versions">Clear</a>' in listed
    ways = re.findall(r'href="(\?[^"]*)"', listed)
    assert len(ways) > 5
    assert [way for way in ways if not way.endswith("#versions")] == []


def test_the_heading_counts_files_and_the_list_publications_and_promotions(shop: Shop) -> None:
    text = shop.client.get("/").text
    assert "<h1>9 model versions</h1>" in text
    assert "9 publications and promotions" in text
