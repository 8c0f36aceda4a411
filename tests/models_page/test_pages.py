"""What the pages and the API tell of a registry, whatever it holds."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.support.project import LEGACY_INFERENCES, LEGACY_TRAININGS, publish, training_failure

from bulkhead.registry import journal
from bulkhead.registry.records import Evidence, InferenceRecord, Promotion, Quarantine, Revocation, Rollback

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from starlette.testclient import TestClient

    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]

PAGES = ("/", "/inferences", "/failures", "/health", "/verify", "/docs")
COLLECTIONS = ("environments", "models", "metrics", "inferences", "failures", "verify", "index")


def infer(registry: Registry, model: ModelRecord, second: int = 0, **changes: Any) -> None:
    given: dict[str, Any] = {
        "inference_time": f"2026-02-01T00:00:{second:02}.000000+00:00",
        "environment": model.environment,
        "inference_data": "shared/inputs/new.csv",
        "model_used": model.model_filename,
        "predictions": [1.5, 2.5],
        "rows": 2,
        "dag_id": "prd_inference_pipe_dag",
        "run_id": f"manual__{second}",
        "task_id": "model_inference",
    }
    registry.record_inference(InferenceRecord(**{**given, **changes}))


def every_answer(client: TestClient) -> dict[str, str]:
    """The text of each page and each collection; none of them is an error."""
    texts = {}
    for path in (*PAGES, *(f"/api/v1/{name}" for name in COLLECTIONS)):
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        texts[path] = answer.text
    return texts


def test_the_served_model_of_each_environment_is_marked(visit: Visit, registry_with_two_models: Registry) -> None:
    prd = registry_with_two_models.latest("prd")
    newer = publish(registry_with_two_models, "prd", {"weights": [3.0]})
    with visit(registry_with_two_models) as client:
        text = client.get("/").text
        found = client.get("/api/v1/models").json()
    rows = re.findall(
        r'<tr( class="marked")?>\s*<td><input.*?title="(model_[^"]+)"><bdi>(.*?)</bdi>.*?<td class="one"><bdi>(\w+)<',
        text,
        re.DOTALL,
    )
    assert [(bool(marked), called, where) for marked, _, called, where in rows] == [
        (True, "model #3", "prd"), (True, "model #2", "dev"), (False, "model #1", "prd"),
    ]  # fmt: skip
    assert [name for _, name, _, _ in rows][::2] == [newer.model_filename, prd.model_filename]
    assert [model["short_name"] for model in found["models"]] == ["model #3", "model #2", "model #1"]
    assert [model["states"] for model in found["models"]] == [["served"], ["served"], ["previous"]]
    assert found["total_entries"] == 3


def test_a_model_that_was_promoted_rolled_back_and_revoked_says_so(
    visit: Visit, registry_with_two_models: Registry
) -> None:
    registry = registry_with_two_models
    dev, prd = registry.latest("dev"), registry.latest("prd")
    promotion = Promotion(
        promotion_time="2026-03-01T00:00:00.000000+00:00", origin="dev", replaces=None, by="ada", reason="better"
    )
    decision: dict[str, Any] = {"by": "grace", "reason": "it was worse"}
    journal.append(registry.training_journal, msgspec.structs.replace(dev, environment="prd", promotion=promotion))
    journal.append(
        registry.training_journal,
        Rollback(
            rollback_time="2026-03-02T00:00:00.000000+00:00", environment="prd", model_filename=prd.model_filename,
            withdrawn=[dev.model_filename], **decision,
        ),
    )  # fmt: skip
    with visit(registry) as client:
        assert client.get("/api/v1/models").json()["models"][0]["states"] == ["rolled back", "promoted from dev"]
        text = client.get(f"/models/{dev.model_filename}").text
        for words in ("rolled back", "promoted from dev", "ada", "better", "Rolled back", "grace", "it was worse"):
            assert words in text
        journal.append(
            registry.training_journal,
            Revocation(
                revocation_time="2026-03-03T00:00:00.000000+00:00", model_filename=dev.model_filename, model_hash="h",
                by="ada", reason="wrong data",
            ),
        )  # fmt: skip
        assert "wrong data" in client.get(f"/models/{dev.model_filename}").text
        history = client.get(f"/api/v1/models/{dev.model_filename}").json()
    assert [placing["states"][0] for placing in history["placings"]] == ["revoked", "revoked"]
    assert [list(decision)[-1] for decision in history["decisions"]]
    assert [bool(decision.get("revocation_time")) for decision in history["decisions"]] == [False, True]


def test_a_models_page_tells_its_whole_lineage_and_its_inferences(visit: Visit, empty_registry: Registry) -> None:
    model = publish(
        empty_registry, "prd", git_commit="c" * 40 + "-dirty", image="bulkhead/trainer@sha256:1234", intercept=0.5,
        coefficients={"a": -2.25}, duration_seconds=1.5, peak_memory_bytes=3 << 20, gate={"min_r2": 0.1},
    )  # fmt: skip
    infer(empty_registry, model, 7)
    with visit(empty_registry) as client:
        text = client.get(f"/models/{model.model_filename}").text
    shown = re.sub(r"<[^>]+>", " ", text)
    assert model.sha256 is not None
    for words in (
        model.sha256, "0" * 64, "shared/inputs/t.csv", "c" * 40, "uncommitted changes", "bulkhead/trainer@sha256:1234",
        "f" * 64, "-2.25", "0.5", "1.50 s", "3.0 MiB", "min_r2", "test_fraction", "python", "3.13.0", "1 inference",
        "manual__7",
    ):  # fmt: skip
        assert words in shown, words
    assert 'href="/dags/prd_train_model_dag/runs/manual__1/tasks/train_model" target="_top"' in text


def test_filters_of_the_audit_are_those_of_the_form(visit: Visit, registry_with_two_models: Registry) -> None:
    registry = registry_with_two_models
    for second in range(3):
        infer(registry, registry.latest("prd"), second)
    infer(registry, registry.latest("dev"), 30)
    with visit(registry) as client:
        names = re.findall(r'name="(\w+)"', client.get("/inferences").text)

        def total(**filters: str) -> int:
            everything = dict.fromkeys({*names} - {"viewport"}, "") | filters  # a form sends its empty fields too
            on_page = client.get("/inferences", params=everything)
            assert on_page.status_code == 200
            found: int = client.get("/api/v1/inferences", params=everything).json()["total_entries"]
            assert re.search(rf"<h1>{found} inferences?</h1>", on_page.text)
            return found

        assert {*names} - {"viewport"} == {
            "environment", "name", "model", "outcome", "cause", "source", "run_id", "since", "until",
        }  # fmt: skip
        assert total() == 4
        assert total(environment="prd") == 3
        assert total(outcome="failed") == 0
        assert total(run_id="manual__30") == 1
        assert total(since="2026-02-01T00:00:01", until="2026-02-01T00:00:30") == 2
        assert total(model=registry.latest("dev").model_filename) == 1
        assert (total(name="model"), total(name="model", environment="dev"), total(name="churn")) == (4, 1, 0)


def test_a_filter_that_is_none_is_refused_in_words(visit: Visit, registry_with_two_models: Registry) -> None:
    with visit(registry_with_two_models) as client:
        page = client.get("/inferences?since=<script>alert(1)</script>")
        assert page.status_code == 422
        assert "<script>alert" not in page.text
        answer = client.get("/api/v1/inferences?since=tomorrow")
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["query", "since"]
        assert client.get("/api/v1/models?cursor=x' OR 1").status_code == 422


def test_pages_follow_each_other_to_the_last(visit: Visit, empty_registry: Registry) -> None:
    models = [publish(empty_registry, "dev", {"weights": [float(i)]}).model_filename for i in range(7)]
    for second in range(7):
        infer(empty_registry, empty_registry.latest("dev"), second)
    with visit(empty_registry) as client:
        for name, field in (("models", "model_filename"), ("inferences", "at")):
            found: list[str] = []
            cursor: str | None = ""
            while cursor is not None:
                answer = client.get(f"/api/v1/{name}", params={"limit": 3, "cursor": cursor}).json()
                found += [entry[field] for entry in answer[name]]
                cursor = answer["next_cursor"]
            assert len(found) == len(set(found)) == 7
            if name == "models":
                assert found == models[::-1]


def test_a_failure_is_told_with_its_cause_and_its_evidence(visit: Visit, empty_registry: Registry) -> None:
    evidence = Evidence(exit_code=137, last_lines=["Killed"])
    empty_registry.record_failure("training", training_failure(cause="out_of_memory", evidence=evidence))
    with visit(empty_registry) as client:
        text = client.get("/failures").text
        (failed,) = client.get("/api/v1/failures?cause=out_of_memory").json()["failures"]
    for words in ("out_of_memory", "it failed", "137", "Killed"):
        assert words in text
    assert (failed["pipeline"], failed["outcome"]) == ("training", "failed")


def test_a_registry_that_is_empty_or_not_there_has_words_of_its_own(visit: Visit, empty_registry: Registry) -> None:
    with visit(empty_registry) as client:
        assert "No registry yet" in every_answer(client)["/"]
        empty_registry.training_journal.touch()
        assert "No models yet" in client.get("/").text
        empty_registry.training_journal.unlink()
        empty_registry.folder.rmdir()
        assert "No registry yet" in every_answer(client)["/"]


def test_a_broken_log_is_told_and_never_an_error(visit: Visit, registry_with_two_models: Registry) -> None:
    registry = registry_with_two_models
    with registry.training_journal.open("ab") as file:
        file.write(b'{"model_hash": "tor\n\xff\xfe\x00\n[]\n' + b"[" * 100_000 + b"\n")
    registry.inference_journal.write_bytes(b"\x00" * 1000 + b'\n{"inference_time": 7}\n{"torn')
    with visit(registry) as client:
        texts = every_answer(client)
        assert "models/log.txt: 4 lines cannot be read as records" in texts["/"]
        assert "models/log_inference.txt: 2 lines cannot be read as records" in texts["/"]
        assert texts["/verify"].count("<td>log.txt</td>") == 4
        registry.inference_journal.unlink()
        registry.inference_journal.mkdir()
        texts = every_answer(client)
        assert "What is shown is what was read before." in texts["/"]


FUTURE = (
    b'{"model_hash": "h", "model_filename": "model_9.joblib", "training_timestamp": {"s": 1}, "environment": "prd"}\n'
)
"""A line of a later format, which has an object where there is text today."""


def test_a_registry_whose_every_line_is_unreadable_is_never_shown_as_empty(
    visit: Visit, empty_registry: Registry
) -> None:
    empty_registry.training_journal.write_bytes(FUTURE * 7)
    with visit(empty_registry) as client:
        text = client.get("/").text
        answer = client.get("/api/v1/models").json()
    assert not re.search(r"\b0 models?\b", text)
    assert "No models yet" not in text
    assert "7 lines of models/log.txt cannot be read" in text
    assert f"Byte {6 * len(FUTURE)}" in text
    assert "Expected `str`, got `object`" in text
    assert "model_9.joblib" in text
    assert "just registry verify" in text
    assert "and 2 more" in text
    assert (answer["total_entries"], answer["unreadable_lines"]) == (0, 7)


def test_an_unreadable_line_that_may_hide_a_newer_model_is_told_at_what_is_served(
    visit: Visit, empty_registry: Registry
) -> None:
    publish(empty_registry, "dev")
    with empty_registry.training_journal.open("ab") as file:
        file.write(FUTURE)
    offset = empty_registry.training_journal.stat().st_size - len(FUTURE)
    publish(empty_registry, "prd")
    warning = f"Byte {offset:,} of log.txt, after this model, cannot be read"
    with visit(empty_registry) as client:
        text = client.get("/").text
        served = client.get("/api/v1/environments").json()["environments"]
        assert text.count(warning) == 1
        assert warning in text[text.index("dev</bdi> serves") : text.index("prd</bdi> serves")]
        assert [one["unreadable_at"] for one in served] == [offset, None]
        assert "1 line of models/log.txt cannot be read" in text
        quarantine = Quarantine(
            quarantine_time="2026-01-01T00:00:00.000000+00:00", path="models/log.txt", offset=offset,
            size_bytes=len(FUTURE) - 1, sha256="s", moved_to="models/quarantine/x", by="b", reason="r",
        )  # fmt: skip
        journal.append(empty_registry.training_journal, quarantine)
        assert "cannot be read" not in client.get("/").text


def test_a_log_edited_in_its_middle_is_read_anew_and_no_error(visit: Visit, registry_with_two_models: Registry) -> None:
    path = registry_with_two_models.training_journal
    with visit(registry_with_two_models) as client:
        client.get("/")
        content = path.read_bytes()
        with path.open("r+b") as file:  # in place, to the same length, and one more line: no stamp tells it
            file.write(b"#" + content[1 : content.index(b"\n") // 2].replace(b"model_filename", b"model_filenamE"))
            file.seek(0, 2)
            file.write(content.splitlines(keepends=True)[1])
        for _ in range(50):
            every_answer(client)
            if "1 line cannot be read as a record" in client.get("/").text:
                break
        assert "1 line cannot be read as a record" in client.get("/").text


def test_legacy_records_are_shown(visit: Visit, empty_registry: Registry) -> None:
    empty_registry.training_journal.write_bytes(LEGACY_TRAININGS)
    empty_registry.inference_journal.write_bytes(LEGACY_INFERENCES)
    with visit(empty_registry) as client:
        texts = every_answer(client)
        assert client.get("/models/model_2024-01-31:23-59-59_3f2a.pkl").status_code == 200
    assert "unverifiable" in texts["/"]
    assert "2024-01-31 23:59:59" in texts["/"]
    assert "division by zero" in texts["/failures"]


HOSTILE: dict[str, Any] = {
    "script": "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>",
    "quotes": '"\' onmouseover="window.hacked=1" x=\'',
    "template": "{{ 7 * 7 }}{% for x in y %}",
    "long": "x" * 100_000,
    "right to left": "\u202eevil\u2066\u200f",
    "control": "\x00\x1b[31m\x07\r\n\u2028",
    "surrogate": "\ud800",
    "path": "../../etc/passwd?a=b#c%2f",
    "number": 10**400,
    "object": {"<b>": ["<i>", None, {"deep": True}]},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_text_on_every_page(visit: Visit, empty_registry: Registry, kind: str) -> None:
    value = HOSTILE[kind]
    text = value if isinstance(value, str) else "t"
    identity = {"dag_id": text, "run_id": text, "task_id": text, "image": text, "git_commit": text}
    model = {
        "model_hash": text, "model_filename": text, "training_timestamp": text, "environment": text, "sha256": text,
        "features": [text], "dtypes": {text: text}, "target": text, "transformation": text, "left_out": [text],
        "data": {"path": text, "sha256": text, "rows": -1, "source": text}, "libraries": {text: text},
        "parameters": {text: value}, "metrics": {"r2": value, "rmse": value, text: value}, "gate": {text: value},
        "coefficients": {text: 1e308}, **identity,
        "promotion": {"promotion_time": text, "origin": text, "replaces": text, "by": text, "reason": text},
    }  # fmt: skip
    decision = {"by": text, "reason": text}
    failed = {"environment": text, "step": text, "cause": text, "metrics": {text: value}, **identity}
    used = {"inference_time": text, "environment": text, "inference_data": text, "model_used": text, **identity}
    lines = [
        model,
        model | {"environment": "dev", "model_filename": "model_x.joblib", "promotion": None},
        {"rollback_time": text, "environment": text, "model_filename": text, "withdrawn": [text, "y"], **decision},
        {"error_timestamp": text, "detail": text, "evidence": {"last_lines": [text]}, **failed},
    ]
    inferences = [
        used | {"predictions": value},
        used | {"predictions": [value] * 9},
        {"error_time": text, "error_message": text, **failed},
    ]
    empty_registry.training_journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    empty_registry.inference_journal.write_text("".join(json.dumps(line) + "\n" for line in inferences))
    with visit(empty_registry) as client:
        texts = every_answer(client)
        texts["model"] = client.get("/models/model_x.joblib").text
        asked = text[:300].encode(errors="replace").decode()
        texts["filtered"] = client.get("/inferences", params=dict.fromkeys(("model", "environment"), asked)).text
    for path, shown in texts.items():
        if path.startswith("/api/"):
            json.loads(shown)
            continue
        assert "<script>window" not in shown
        assert "<img" not in shown
        assert ' onmouseover="' not in shown
        assert "49" not in shown or kind != "template"
        assert "x" * 10_000 not in shown
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\u200e\u200f\ud800-\udfff]", shown), path
        # The parser of the browser sees the tags that were meant, each closed where it was opened.
        for tag in ("table", "tr", "bdi", "section", "main", "details"):
            assert len(re.findall(rf"<{tag}[\s>]", shown)) == shown.count(f"</{tag}>"), (path, tag)
