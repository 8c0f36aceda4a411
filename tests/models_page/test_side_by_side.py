"""Two versions beside each other: chosen by anybody, and a candidate beside what an environment serves."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.project import CHURN, inferred, publish
from tests.support.registry_project import DECIDED

from bulkhead.queries import promotion
from bulkhead.registry import decisions
from bulkhead.registry.profiles import Drift, Evaluation
from bulkhead.registry.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.testclient import TestClient
    from tests.models_page.conftest import Somebody

    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]

SCATTER = Evaluation(rows=2, scatter={"actual": [1.0, 2.0], "predicted": [1.0, 3.0]})


def words_of(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.fixture
def pair(empty_registry: Registry) -> list[ModelRecord]:
    """Two versions of ``model`` in dev, the second one better, of other data, and with an evaluation."""
    first = publish(empty_registry, "dev", "one", metrics={"r2": 0.5, "rmse": 1.25})
    more: dict[str, Any] = {"metrics": {"r2": 0.75, "rmse": 1.5}, "parameters": {"test_fraction": 0.3}}
    return [first, publish(empty_registry, "dev", "two", **more, evaluation=SCATTER)]


def test_two_versions_are_compared_what_differs_first(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord]
) -> None:
    first, second = (one.model_filename for one in pair)
    with visit(empty_registry) as client:
        text = client.get("/compare", params={"version": [first, second]}).text
        other = client.get("/compare", params={"version": [second, first]}).text
    differing, same = text.split("What is the same</summary>")
    rows = [words_of(row) for row in re.findall(r"<tr><td>.*?</tr>", differing, re.DOTALL)]
    assert "metrics r2 0.5 0.75 better" in rows
    assert "metrics rmse 1.25 better 1.5" in rows
    assert "parameters test_fraction 0.2 0.3" in rows
    assert not any("libraries" in row for row in rows)
    assert "libraries python 3.13.0 3.13.0" in words_of(same)
    assert "metrics r2 0.75 better 0.5" in words_of(other)
    assert f'href="?version={second}&amp;version={first}">Change sides' in text
    assert "model #1 and model #2" in words_of(re.findall(r"<h1>.*?</h1>", text, re.DOTALL)[0])
    # The one figure has the other's absence beside it.
    assert text.count("<figure") == 1
    assert "Not recorded." in text


def test_versions_are_named_by_whatever_people_call_them(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord]
) -> None:
    first, second = pair
    named = [(first.model_filename, "model#2"), ("model #1", second.model_hash[:8])]
    with visit(empty_registry) as client:
        for one, other in named:
            assert "model #1 and model #2" in words_of(client.get("/compare", params={"version": [one, other]}).text)
            assert "model #1 and model #2" in words_of(client.get("/compare", params={"a": one, "b": other}).text)


def test_one_three_or_none_are_no_two(visit: Visit, empty_registry: Registry, pair: list[ModelRecord]) -> None:
    name = pair[0].model_filename
    with visit(empty_registry) as client:
        for count in (0, 1, 3, 50):
            answer = client.get("/compare", params={"version": [name] * count})
            assert answer.status_code == 422
            assert f"and not {count}" in answer.text
            assert '<a href="/">All models</a>' in answer.text


def test_a_version_that_there_is_not_or_that_could_be_several_is_told(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord]
) -> None:
    publish(empty_registry, "dev", "c", **CHURN)
    with visit(empty_registry) as client:
        answer = client.get("/compare", params={"version": [pair[0].model_filename, "<b>none</b>"]})
        assert answer.status_code == 404
        assert "has no model" in answer.text
        assert "<b>none" not in answer.text
        answer = client.get("/compare", params={"version": [pair[0].model_filename, "#1"]})
        assert answer.status_code == 409
        assert "is the short name of 2 models: churn #1 (" in words_of(answer.text)


def test_a_version_compared_with_itself_differs_in_nothing(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord]
) -> None:
    name = pair[1].model_filename
    with visit(empty_registry) as client:
        answer = client.get("/compare", params={"version": [name, name]})
    assert answer.status_code == 200
    assert "0 differ," in words_of(answer.text)
    assert "<p>Nothing.</p>" in answer.text
    assert answer.text.count("<figure") == 2


def test_a_version_leads_to_what_each_environment_serves_beside_it(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord]
) -> None:
    prd = publish(empty_registry, "prd", "three")
    first, second = (one.model_filename for one in pair)
    with visit(empty_registry) as client:
        text = client.get(f"/models/{first}").text
        served = client.get(f"/models/{second}").text
    compared = [f"compare?version={first}&amp;version={one}" for one in (second, prd.model_filename)]
    assert all(one in text for one in compared)
    assert "Compare with what dev serves" not in served


def outlook_of(candidate: ModelRecord, served: ModelRecord | None, models: Path) -> dict[str, str | None]:
    found = promotion.outlook(models, candidate, served, "prd")
    return {change.what.split()[0]: change.verdict for change in found.metrics}


def test_each_metric_is_better_or_worse_by_its_own_goal(empty_registry: Registry, pair: list[ModelRecord]) -> None:
    first, second = pair
    folder = empty_registry.folder
    assert outlook_of(second, first, folder) == {"r2": "better", "rmse": "worse", "mae": None}
    assert outlook_of(first, second, folder) == {"r2": "worse", "rmse": "better", "mae": None}
    assert outlook_of(first, first, folder) == {"r2": None, "rmse": None, "mae": None}
    assert outlook_of(first, None, folder) == {"r2": None, "rmse": None, "mae": None}


def test_what_differs_is_before_what_is_the_same(empty_registry: Registry, pair: list[ModelRecord]) -> None:
    first, second = pair
    other = publish(empty_registry, "dev", "x", target="z", transformation="e" * 64, evaluation=SCATTER)
    found = promotion.outlook(empty_registry.folder, other, first, "prd")
    assert [change.is_same for change in found.changes] == sorted(change.is_same for change in found.changes)
    assert {change.what for change in found.changes if not change.is_same} == {"target", "transformation"}
    assert promotion.outlook(empty_registry.folder, second, first, "prd").signature == []
    assert any("target" in line for line in found.signature)
    alone = promotion.outlook(empty_registry.folder, other, None, "prd")
    assert alone.signature == []
    assert {change.served for change in alone.changes} == {"nothing"}


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("[prd]\nmin_r2 = 0.7\n", "r2"),
        ("[prd]\nmin_r2 = 0.4\n", None),
        ("[dev]\nmin_r2 = 0.7\n", None),
        ("this is no gate", "gate.toml"),
    ],
)
def test_the_gate_of_the_environment_is_asked(
    empty_registry: Registry, pair: list[ModelRecord], gate: str, said: str | None
) -> None:
    (empty_registry.folder / "gate.toml").write_text(gate)
    found = promotion.outlook(empty_registry.folder, pair[0], None, "prd").gate
    assert found is None if said is None else said in (found or "")


def test_the_page_of_a_promotion_says_what_changes_first(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord]
) -> None:
    served = publish(empty_registry, "prd", "s", metrics={"r2": 0.6, "rmse": 1.0}, features=["a", "b"])
    drift = Drift(rows=90, sampled=90, columns={"a": 0.9}, drifted=["a"], limit=0.2)
    inferred(empty_registry, pair[1], 1, drift=drift)
    (empty_registry.folder / "gate.toml").write_text("[prd]\nmin_r2 = 0.7\n")
    path = f"/promote/prd/{pair[1].model_filename}"
    with visit(empty_registry) as client:
        text = client.get(path).text
        (empty_registry.folder / "gate.toml").write_text("[prd]\nmin_r2 = 0.9\n")
        refused = words_of(client.get(path).text)
    said = words_of(text)
    for words in (
        "Promote model #2 to prd", "prd serves model #3 now", "Other columns or another target: without 'b'",
        "The gate of prd: it passes", "r2 more is better 0.75 0.6 better", "rmse less is better 1.5 1 worse",
        "Drift of its newest inference in dev: a ", "rows 3 3 same",
    ):  # fmt: skip
        assert words in said, words
    assert f'href="/compare?version={pair[1].model_filename}&amp;version={served.model_filename}"' in text
    assert '<input type="hidden" name="environment" value="prd">' in text
    assert f'<input type="hidden" name="model" value="{pair[1].model_filename}">' in text
    assert "0.75" in refused.split("The gate of prd:")[1][:200]
    assert "it passes" not in refused
    # The table of what changes stands before the form that asks.
    assert text.index("What changes</h2>") < text.index('data-trigger="promote_model_dag"')


def test_the_page_of_a_promotion_says_what_is_the_same_and_that_it_was_rejected(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord]
) -> None:
    publish(empty_registry, "prd", "s", metrics={"r2": 0.75, "rmse": 1.0})
    asked = pair[1].model_filename
    for environment, reason in (("prd", "the first time"), ("elsewhere", "not here"), ("prd", "the second time")):
        rejection = Rejection(
            rejection_time="2026-01-02T00:00:00.000000+00:00", environment=environment, model_filename=asked,
            outcome="rejected", by="grace", requested_by="ada", reason=reason,
        )  # fmt: skip
        decisions.reject(empty_registry, rejection)
    with visit(empty_registry) as client:
        said = words_of(client.get(f"/promote/prd/{asked}").text)
        model = words_of(client.get(f"/models/{asked}").text)
    assert "r2 more is better 0.75 0.75 same" in said
    rejected = "Promotion to prd rejected 2026-01-02 00:00:00 by grace , asked for by ada : the {} time"
    assert rejected.format("second") in said
    assert "the first time" not in said
    assert "not here" not in said
    assert rejected.format("first") in model
    assert rejected.format("second") in model


def test_what_a_gate_has_compared_is_words_and_not_json(visit: Visit, empty_registry: Registry) -> None:
    gate = {"served_metrics": {"r2": 0.46524531234567, "rmse": 53.125}, "excepted": [], "many": list(range(60))}
    first = publish(empty_registry, "dev", "one", gate=gate)
    second = publish(empty_registry, "dev", "two")
    with visit(empty_registry) as client:
        asked = {"version": [first.model_filename, second.model_filename]}
        said = words_of(client.get("/compare", params=asked).text)
    assert "gate served_metrics r2 0.465245, rmse 53.125 -" in said
    assert "gate excepted none -" in said
    assert "48, 49, and 10 more" in said


def test_where_nothing_is_served_a_promotion_replaces_nothing(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord]
) -> None:
    with visit(empty_registry) as client:
        said = words_of(client.get(f"/promote/prd/{pair[0].model_filename}").text)
    assert "prd serves nothing now" in said
    assert "Compare everything" not in said
    assert "better" not in said.replace("more is better", "").replace("less is better", "")


def test_what_cannot_be_promoted_says_why_and_has_no_form(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord], somebody: Somebody
) -> None:
    prd = publish(empty_registry, "prd", "p")
    decisions.revoke(empty_registry, pair[0].model_filename, DECIDED)
    with visit(empty_registry) as client:
        for filename, why in (
            (prd.model_filename, "prd serves it already"),
            (pair[0].model_filename, "It is out of service: it was revoked by"),
        ):
            text = client.get(f"/promote/prd/{filename}").text
            assert why in words_of(text)
            assert "data-trigger" not in text
        somebody.triggers = set()
        text = client.get(f"/promote/prd/{pair[1].model_filename}").text
        assert "permission to trigger promote_model_dag" in text
        assert "data-trigger" not in text


def test_nothing_is_promoted_to_an_environment_that_takes_none(
    visit: Visit, empty_registry: Registry, pair: list[ModelRecord]
) -> None:
    with visit(empty_registry) as client:
        for environment in ("dev", "nowhere", "<b>", "x" * 5000):
            answer = client.get(f"/promote/{environment}/{pair[0].model_filename}")
            assert answer.status_code == 404
            assert "Models are promoted to prd" in answer.text
            assert len(answer.text) < 20_000


def test_a_model_that_is_the_same_as_a_revoked_one_is_marked(
    visit: Visit, empty_registry: Registry, somebody: Somebody
) -> None:
    del somebody
    first, again = (publish(empty_registry, "dev", "the same") for _ in range(2))
    decisions.revoke(empty_registry, first.model_filename, DECIDED)
    with visit(empty_registry) as client:
        said = words_of(client.get(f"/models/{again.model_filename}").text)
        answer = client.get(f"/api/v1/models/{again.model_filename}").json()
    assert "This is the same fitted model as model #1 , which was revoked" in said
    assert answer["revoked_twin"] == first.model_filename
