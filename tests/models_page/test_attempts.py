"""Inferences and failures: each inference a page, lists from both ends, filters, drift."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.generated import TIME, failure
from tests.support.project import inferred, publish, training_failure

from bulkhead.registry import decisions
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.profiles import ColumnProfile, Drift, Profile
from bulkhead.registry.records import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from starlette.testclient import TestClient

    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]

AGE = ColumnProfile(kind="number", rows=100, edges=[20.0, 40.0], shares=[0.25, 0.5, 0.25], low=18.0, high=90.0)
PREDICTED = ColumnProfile(kind="category", rows=100, categories=["no", "yes"], shares=[0.75, 0.25, 0.0])
PROFILE = Profile(rows=100, columns={"age": AGE, "flat": AGE}, predictions=PREDICTED)
DRIFT = Drift(
    rows=80, sampled=80, columns={"age": 0.75, "flat": 0.01}, predictions=0.5, chance=0.1, limit=0.2,
    shares={"prediction": [0.25, 0.75, 0.0, 0.0], "age": [0.0, 0.1, 0.7, 0.2]}, drifted=["age", "prediction"],
)  # fmt: skip


def words_of(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@pytest.fixture
def model(empty_registry: Registry) -> ModelRecord:
    """A version with a profile; three inferences, the second one drifted, then a failure and one more inference."""
    made = publish(empty_registry, "prd", profile=PROFILE)
    inferred(empty_registry, made, 1, source="may.csv", drift=Drift(rows=9, sampled=9, columns={"age": 0.0}, limit=0.2))
    inferred(empty_registry, made, 2, source="june.csv", drift=DRIFT)
    inferred(empty_registry, made, 3, source="may.csv")
    empty_registry.record_failure("inference", failure(9, "prd", source="may.csv"))
    inferred(empty_registry, made, 4, model_used="model_gone.joblib", drift=DRIFT)
    return made


def offsets(registry: Registry) -> list[int]:
    found, at = [], 0
    for line in registry.inference_journal.read_bytes().splitlines(keepends=True):
        found.append(at)
        at += len(line)
    return found


def test_an_inference_has_a_page_with_its_model_its_input_and_its_drift(
    visit: Visit, empty_registry: Registry, model: ModelRecord
) -> None:
    offset = offsets(empty_registry)[1]
    with visit(empty_registry) as client:
        text = client.get(f"/inferences/{offset}").text
        answer = client.get(f"/api/v1/inferences/{offset}").json()
        assert f'href="/inferences/{offset}"' in client.get("/inferences").text
        assert f'href="/inferences/{offset}"' in client.get(f"/models/{model.model_filename}").text
    said = words_of(text)
    assert f'<a href="/models/{model.model_filename}"' in text
    for words in (
        "2 predictions in prd , 2026-02-01 00:00:02 UTC", "Model model #1", "Input june.csv", "1" * 64,
        "drifted age, prediction", "80 rows against training. A column has drifted where it is beyond both:",
        "the limit, 0.2, and what may come of chance in so few rows, 0.1 at most.",
        "predictions 0.5 age 0.75 flat 0.01",
    ):  # fmt: skip
        assert words in said, words
    assert '<a href="/inferences?source=june.csv">All inferences on this table</a>' in text
    assert (answer["offset"], answer["pipeline"], answer["outcome"]) == (offset, "inference", "success")
    assert answer["at"] == "2026-02-01T00:00:02+00:00"
    assert answer["record"]["drift"]["drifted"] == ["age", "prediction"]
    assert answer["drifted"]


def test_what_an_inference_has_read_is_beside_what_training_had(
    visit: Visit, empty_registry: Registry, model: ModelRecord
) -> None:
    del model
    with visit(empty_registry) as client:
        text = client.get(f"/inferences/{offsets(empty_registry)[1]}").text
        plain = client.get(f"/inferences/{offsets(empty_registry)[2]}").text
    figures = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert [words_of(re.findall(r"<figcaption>(.*?)</figcaption>", one)[0]) for one in figures] == [
        "Predictions training this inference", "age training this inference",
    ]  # fmt: skip
    assert "up to 20 25.00% 0.00%" in words_of(figures[1])
    assert "empty 0.00% 20.00%" in words_of(figures[1])
    assert "yes 25.00% 75.00%" in words_of(figures[0])
    assert "<figure" not in plain
    assert "Not measured" in plain


def test_an_inference_whose_model_is_not_there_is_shown_all_the_same(
    visit: Visit, empty_registry: Registry, model: ModelRecord
) -> None:
    decisions.revoke(empty_registry, model.model_filename, DecisionContext("ada", "because"))
    first, *_, last = offsets(empty_registry)
    with visit(empty_registry) as client:
        gone = client.get(f"/inferences/{last}")
        revoked = client.get(f"/inferences/{first}").text
    assert gone.status_code == 200
    assert "model_gone.joblib" in gone.text
    assert "<figure" not in gone.text
    assert "out of service" in revoked


def test_no_other_byte_is_an_inference(visit: Visit, empty_registry: Registry, model: ModelRecord) -> None:
    del model
    found = offsets(empty_registry)
    size = empty_registry.inference_journal.stat().st_size
    others = [found[1] + 1, found[1] - 1, found[3], size, size + 1, 10**9, 2**63 - 1, 2**63, 2**64, 10**30, 10**400]
    with visit(empty_registry) as client:
        for offset in others:
            page, answer = client.get(f"/inferences/{offset}"), client.get(f"/api/v1/inferences/{offset}")
            assert (page.status_code, answer.status_code) == (404, 404), offset
            assert "<!doctype html>" in page.text
            assert "has no inference at byte" in page.text
            assert "has no inference at byte" in answer.json()["detail"]
        for text in ("-1", "1.5", "x", "0x10", "1e3", "\u0661x"):
            page = client.get(f"/inferences/{text}")
            assert (page.status_code, "<h1>No such inference</h1>" in page.text) == (404, True), text
            assert client.get(f"/api/v1/inferences/{text}").status_code == 422


def test_a_line_that_is_hidden_in_another_ones_text_is_no_inference(
    visit: Visit, empty_registry: Registry, model: ModelRecord
) -> None:
    """What begins in the middle of a line may look like a record, and is somebody's words."""
    inner = '{"inference_time":"t","environment":"prd","inference_data":"x","model_used":"y"}'
    inferred(empty_registry, model, 7, run_id=f"\n{inner}\n")
    content = empty_registry.inference_journal.read_bytes()
    hidden = content.index(inner[1:].replace('"', '\\"').encode()) - 1
    with visit(empty_registry) as client:
        for offset in range(hidden - 2, hidden + 3):
            assert client.get(f"/inferences/{offset}").status_code == 404


def total(client: TestClient, path: str, **query: Any) -> int:
    found: int = client.get(f"/api/v1/{path}", params=query).json()["total_entries"]
    text = client.get(f"/{path}", params=query).text
    assert re.search(rf"<h1>{found} \w+</h1>", text), (path, query)
    assert text.count('<td class="time">') == found
    return found


def test_attempts_are_filtered_by_their_table_and_by_drift(
    visit: Visit, empty_registry: Registry, model: ModelRecord
) -> None:
    empty_registry.record_failure("training", training_failure(source="may.csv"))
    with visit(empty_registry) as client:
        assert total(client, "inferences") == 5
        assert total(client, "inferences", source="may.csv") == 3
        assert total(client, "inferences", source="june.csv") == 1
        assert total(client, "inferences", source="may") == 0
        assert total(client, "inferences", outcome="drifted") == 2
        assert total(client, "inferences", outcome="drifted", source="june.csv") == 1
        assert total(client, "inferences", outcome="success") == 4
        assert total(client, "inferences", outcome="failed") == 1
        assert total(client, "failures", source="may.csv") == 2
        assert total(client, "failures", source="june.csv") == 0
        for name in ("model #1", "model#1", model.model_filename, model.model_hash[:10]):
            assert total(client, "inferences", model=name) == 3, name
        assert total(client, "inferences", model="model #7") == 0
        assert total(client, "inferences", model="model_gone.joblib") == 1
        assert total(client, "inferences", environment="prd", outcome="drifted") == 2
        assert total(client, "inferences", environment="dev", outcome="drifted") == 0
        listed = client.get("/api/v1/inferences").json()["inferences"]
        assert sorted((one["outcome"], one["drifted"]) for one in listed) == [
            ("failed", False), ("success", False), ("success", False), ("success", True), ("success", True),
        ]  # fmt: skip


def test_a_failure_names_its_table_in_its_list(visit: Visit, empty_registry: Registry) -> None:
    evidence = Evidence(exit_code=1)
    empty_registry.record_failure("training", training_failure(source="a <table>.csv", evidence=evidence))
    empty_registry.record_failure("training", training_failure())
    with visit(empty_registry) as client:
        text = client.get("/failures").text
        listed = client.get("/api/v1/failures").json()["failures"]
    assert '<th scope="col">Table</th>' in text
    assert "<bdi>a &lt;table&gt;.csv</bdi>" in text
    assert [one["record"].get("source") for one in listed] == [None, "a <table>.csv"]


def test_the_list_tells_which_inferences_drifted_and_shows_drift_over_time(
    visit: Visit, empty_registry: Registry, model: ModelRecord
) -> None:
    del model
    first, second, *_ = offsets(empty_registry)
    with visit(empty_registry) as client:
        text = client.get("/inferences", params={"name": "model", "environment": "prd"}).text
        of_failures = client.get("/failures").text
        nowhere = client.get("/inferences", params={"environment": "dev"}).text
    (figure,) = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert "inferences of model in prd" in words_of(figure)
    assert "3 inferences" in words_of(figure)
    assert f'href="/inferences/{first}"' in figure
    assert f'href="/inferences/{second}"' in figure
    rows = text[text.index("<thead>", text.index("</figure>")) :]
    assert [words_of(one) for one in re.findall(r'<span class="state warn">.*?</span>', rows)] == [
        "age, prediction"
    ] * 2
    assert "<figure" not in of_failures
    assert "<figure" not in nowhere


def walked(client: TestClient, path: str, **query: Any) -> list[str]:
    """The runs on the pages of a list, by its links, page by page."""
    found: list[str] = []
    address = f"/{path}?{'&'.join(f'{key}={value}' for key, value in query.items())}"
    for _ in range(20):
        text = client.get(address).text
        found += re.findall(r'<td class="time">.*?(\d\d:\d\d:\d\d)', text)
        following = re.search(r'<a href="(\?[^"]*)" rel="next">(.*?)</a>', text)
        if following is None:
            return found
        assert following[2] == ("Newer" if query.get("sort") == "time" else "Older")
        address = f"/{path}{following[1].replace('&amp;', '&')}"
    raise AssertionError("the pages have no end")


def test_both_ends_of_both_journals_are_reached_by_the_pages_links(visit: Visit, empty_registry: Registry) -> None:
    for second in range(60):
        empty_registry.record_failure("training", training_failure(TIME.format(second)))
        empty_registry.record_failure("inference", failure(second))
    with visit(empty_registry) as client:
        newest_first = walked(client, "failures")
        oldest_first = walked(client, "failures", sort="time")
        text = client.get("/failures").text
    assert len(newest_first) == 120
    assert newest_first == oldest_first[::-1]
    assert (newest_first[0], newest_first[-1]) == ("00:00:59", "00:00:00")
    assert "From the oldest on" in text


def test_the_api_walks_both_ways_too(visit: Visit, empty_registry: Registry) -> None:
    for second in (1, 1, 1, 2, 2, 3):
        empty_registry.record_failure("training", training_failure(TIME.format(second)))
        empty_registry.record_failure("inference", failure(second))
    with visit(empty_registry) as client:
        ways = {}
        for sort in ("time", "-time"):
            found: list[tuple[str, int]] = []
            query: dict[str, Any] = {"sort": sort, "limit": 5}
            while True:
                answer = client.get("/api/v1/failures", params=query).json()
                found += [(one["pipeline"], one["offset"]) for one in answer["failures"]]
                if answer["next_cursor"] is None:
                    break
                query["cursor"] = answer["next_cursor"]
            ways[sort] = found
    assert len(set(ways["time"])) == 12
    assert ways["time"] == ways["-time"][::-1]


def test_a_model_served_again_says_since_when(visit: Visit, empty_registry: Registry) -> None:
    first, second = (publish(empty_registry, "prd", number) for number in range(2))
    decisions.roll_back(empty_registry, "prd", DecisionContext("ada", "it was worse"), None)
    with visit(empty_registry) as client:
        (served,) = client.get("/api/v1/environments").json()["environments"]
        (decision,) = client.get(f"/api/v1/models/{second.model_filename}").json()["decisions"]
        card = words_of(client.get("/").text)
        text = words_of(client.get(f"/models/{second.model_filename}").text)
    assert served["served"]["model_filename"] == first.model_filename
    assert served["served_since"] == decision["rollback_time"] > first.training_timestamp
    assert f"since (UTC) {decision['rollback_time'][:19].replace('T', ' ')} " in card
    assert "Rolled back in prd, to model #1 ," in text
    assert " by ada: it was worse" in text.replace(" : ", ": ")
