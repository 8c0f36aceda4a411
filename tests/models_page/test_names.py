"""Models side by side on the page and in its API; metrics, problem and plots of a classifier."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.project import CHURN, LEGACY_TRAININGS, inferred, publish, published_unserved, training_failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from starlette.testclient import TestClient
    from tests.models_page.conftest import Somebody

    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]


class TwoModels:
    """Two versions of ``model`` and two of ``churn`` in prd, by turns, and an inference and a failure of each."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.plain: list[ModelRecord] = []
        self.churn: list[ModelRecord] = []
        for number in range(2):
            self.plain.append(publish(registry, "prd", f"plain {number}"))
            self.churn.append(publish(registry, "prd", f"churn {number}", **CHURN))
        inferred(registry, self.plain[1], 1)
        inferred(registry, self.churn[1], 2, model_name="churn")
        registry.record_failure("training", training_failure())
        registry.record_failure("training", training_failure(model_name="churn"))


@pytest.fixture
def two(empty_registry: Registry) -> TwoModels:
    return TwoModels(empty_registry)


def words_of(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_an_environment_serves_a_version_of_each_model(visit: Visit, two: TwoModels) -> None:
    with visit(two.registry) as client:
        served = client.get("/api/v1/environments").json()
        text = words_of(client.get("/").text)
        listed = client.get("/api/v1/models").json()["models"]
    assert [(one["environment"], one["name"], one["served"]["model_filename"]) for one in served["environments"]] == [
        ("prd", "model", two.plain[1].model_filename),
        ("prd", "churn", two.churn[1].model_filename),
    ]
    assert [one["rolls_back_to"] for one in served["environments"]] == [
        two.plain[0].model_filename,
        two.churn[0].model_filename,
    ]
    assert "model prd serves model #2 served r2 0.5 rmse 1.25 since" in text
    assert "churn prd serves churn #2 served roc_auc 0.792 accuracy 0.81 since" in text
    assert [one["served"]["short_name"] for one in served["environments"]] == ["model #2", "churn #2"]
    assert [one["short_name"] for one in listed] == ["churn #2", "model #2", "churn #1", "model #1"]
    assert [(one["name"], one["states"]) for one in listed] == [
        ("churn", ["served"]), ("model", ["served"]), ("churn", ["previous"]), ("model", ["previous"]),
    ]  # fmt: skip
    assert [one["problem"] for one in listed[:2]] == ["binary", "regression"]
    assert [list(one["goals"]) for one in listed[:2]] == [
        ["roc_auc", "accuracy", "log_loss", "brier"], ["r2", "rmse", "mae"],
    ]  # fmt: skip


def test_a_version_that_was_published_unserved_says_so(visit: Visit, two: TwoModels) -> None:
    past = published_unserved(two.registry, "prd", "past", **CHURN)
    with visit(two.registry) as client:
        assert client.get("/api/v1/models").json()["models"][0]["states"] == ["not served"]
        assert "not served" in words_of(client.get(f"/models/{past.model_filename}").text)
        (_, churn) = client.get("/api/v1/environments").json()["environments"]
    assert churn["served"]["model_filename"] == two.churn[1].model_filename


def test_lists_are_filtered_by_name(visit: Visit, two: TwoModels) -> None:
    with visit(two.registry) as client:
        for collection in ("models", "inferences", "failures", "metrics"):
            found = {
                name: client.get(f"/api/v1/{collection}", params={"name": name}).json()["total_entries"]
                for name in ("model", "churn", "demand", "")
            }
            each = 2 if collection in {"models", "metrics"} else 1
            assert found == {"model": each, "churn": each, "demand": 0, "": 2 * each}, collection
        text = client.get("/", params={"name": "churn", "environment": "prd"}).text
        assert "2 model versions" in words_of(text)
        (form,) = re.findall(r'<form class="filters".*?</form>', text, re.DOTALL)
        assert '<option value="churn" selected>' in form
        assert '<option value="model">' in form
        assert '<option value="prd" selected>' in form  # the one filter keeps the other
        assert ">r2<" not in text[text.index("Metrics over time") :]
        for page in ("/inferences", "/failures"):
            assert "churn" in client.get(page, params={"name": "churn"}).text
            assert '<option value="churn" selected>' in client.get(page, params={"name": "churn"}).text


def test_each_model_has_charts_of_its_two_leading_metrics(visit: Visit, two: TwoModels) -> None:
    with visit(two.registry) as client:
        text = client.get("/").text
        points = client.get("/api/v1/metrics").json()["points"]
    assert [words_of(caption) for caption in re.findall(r"<figcaption>(.*?)</figcaption>", text)] == [
        "r2 prd", "rmse prd", "roc_auc of churn prd", "accuracy of churn prd",
    ]  # fmt: skip
    assert [(point["name"], point["short_name"], point["r2"], point["rmse"]) for point in points[:2]] == [
        ("model", "model #1", 0.5, 1.25),
        ("churn", "churn #1", None, None),
    ]
    assert points[0]["metrics"] == {"r2": 0.5, "rmse": 1.25}
    assert points[1]["metrics"] == {"roc_auc": 0.792, "accuracy": 0.81, "log_loss": 0.45, "brier": 0.15}


def test_metrics_of_each_model_are_in_the_list_the_leading_one_first(visit: Visit, two: TwoModels) -> None:
    with visit(two.registry) as client:
        text = client.get("/").text
    rows = re.findall(r"<tr.*?</tr>", text[text.index('<section aria-labelledby="versions">') :], re.DOTALL)
    assert "roc_auc 0.792 accuracy 0.81 log_loss 0.45" in words_of(rows[1])
    assert "brier" not in rows[1]
    assert "r2 0.5 rmse 1.25" in words_of(rows[2])


def test_a_classifiers_page_tells_what_it_is_of(visit: Visit, two: TwoModels) -> None:
    with visit(two.registry) as client:
        text = words_of(client.get(f"/models/{two.churn[1].model_filename}").text)
    for words in (
        "Name churn", "Problem binary : stays, leaves", "Identifier customer", "May be empty age", "Categories plan 3",
        "roc_auc 0.792 more is better", "log_loss 0.45 less is better",
        "column loss of the leading metric plan 0.125 age 0.03125",
        "false_positive_rate true_positive_rate 0 0 0.5 0.75 1 1",
    ):  # fmt: skip
        assert words in text, words


def test_the_button_that_rolls_back_names_the_model(visit: Visit, two: TwoModels) -> None:
    with visit(two.registry) as client:
        text = client.get("/").text
    plain, churn = re.findall(r'<form data-trigger="rollback_model_dag">.*?</form>', text, re.DOTALL)
    assert 'name="name"' not in plain
    assert '<input type="hidden" name="name" value="churn">' in churn
    assert two.churn[0].model_filename in churn


@pytest.mark.parametrize("recorded", ["model", "inference", "failure"])
def test_records_of_a_model_are_shown_to_those_who_may_read_its_dags(
    recorded: str, visit: Visit, registry_with_two_models: Registry, somebody: Somebody
) -> None:
    registry = registry_with_two_models
    if recorded == "model":
        publish(registry, "prd", **CHURN)
    elif recorded == "inference":
        inferred(registry, registry.latest("prd"), model_name="churn")
    else:
        registry.record_failure("training", training_failure(model_name="churn"))
    with visit(registry) as client:
        assert client.get("/").status_code == 200
        for hidden in ("prd_churn_train_model_dag", "prd_churn_inference_pipe_dag"):
            somebody.hidden = {hidden}
            assert client.get("/").status_code == client.get("/api/v1/models").status_code == 403
        somebody.hidden = {"dev_churn_train_model_dag"}
        assert client.get("/").status_code == 200


def test_legacy_records_are_of_the_model_that_comes_with_the_project(visit: Visit, empty_registry: Registry) -> None:
    empty_registry.training_journal.write_bytes(LEGACY_TRAININGS)
    with visit(empty_registry) as client:
        served = client.get("/api/v1/environments").json()["environments"]
        text = client.get("/").text
    assert [(one["environment"], one["name"]) for one in served] == [("dev", "model"), ("prd", "model")]
    (choice,) = re.findall(r'<select name="name">(.*?)</select>', text, re.DOTALL)
    assert words_of(choice) == "any model"
    assert "<figcaption>" not in text


HOSTILE = "<script>window.hacked=1</script>\u202e\x00"
PLOTS: list[Any] = [
    HOSTILE,
    10**30,
    {HOSTILE: HOSTILE},
    {HOSTILE: [HOSTILE] * 5000},
    {"a": [1, 2], "b": [3], "c": []},
    {str(number): number for number in range(5000)},
    [[HOSTILE] * 5000] * 50,
    [{HOSTILE: [HOSTILE]}],
    {"deep": {"deeper": {"deepest": [[[[HOSTILE]]]]}}},
    [],
    {},
    None,
]


def test_whatever_plots_goals_and_names_hold_is_bounded_text(visit: Visit, empty_registry: Registry) -> None:
    publish(empty_registry)
    record = json.loads(empty_registry.training_journal.read_text())
    changes: list[dict[str, Any]] = [{"plots": {HOSTILE: plot}} for plot in PLOTS]
    changes += [
        {"plots": {f"{HOSTILE}{number}": list(range(100)) for number in range(5000)}},
        {"goals": {HOSTILE: HOSTILE, "r2": "sideways"}, "metrics": {HOSTILE: 0.5, "r2": 1e308}},
        {"goals": {f"{HOSTILE}{number}": "maximize" for number in range(5000)}},
        {"model_name": HOSTILE, "problem": HOSTILE, "classes": [HOSTILE] * 5000, "missing": [HOSTILE] * 5000},
        {"identifier": HOSTILE, "categories": {HOSTILE: 3}, "importances": {HOSTILE: 1e308}, "model_name": "x" * 5000},
    ]
    records = [record | change | {"model_filename": f"model_{n}.joblib"} for n, change in enumerate(changes)]
    empty_registry.training_journal.write_text("".join(json.dumps(one) + "\n" for one in records))
    with visit(empty_registry) as client:
        for path in ("/", "/?name=model", *(f"/models/model_{number}.joblib" for number in range(len(records)))):
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert "<script>window" not in answer.text
            assert "\u202e" not in answer.text
            assert len(answer.text) < 300_000, path
        for name in ("environments", "models", "metrics"):
            assert client.get(f"/api/v1/{name}").status_code == 200
