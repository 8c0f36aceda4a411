"""``registry trace`` and ``registry impact``: from predictions back to data, and from data on to predictions."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from tests.support.project import inferred, publish

from bulkhead.files import sha256
from bulkhead.queries.lineage import url_of
from bulkhead.registry import decisions, record_lines
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.lineage import Data, TrainedOn
from bulkhead.registry.profiles import Drift

if TYPE_CHECKING:
    from tests.support.command import Command

    from bulkhead.registry.records import ModelRecord
    from bulkhead.registry.store import Registry

WHY = DecisionContext("ada", "because")
TABLE = b"a,y\n1,2\n"
PREDICTIONS = b"predictions"


class PipelineFiles:
    """A trained table, a promoted model, and an inference, all files in their places."""

    def __init__(self, registry: Command) -> None:
        self.table = registry.shared / "inputs/t.csv"
        self.table.write_bytes(TABLE)
        data = Data(path="shared/inputs/t.csv", sha256=sha256(TABLE), rows=1, source="t.csv")
        origin = publish(registry.registry, "dev", data=data, git_commit="c" * 40, image="bulkhead/trainer:x@sha256:1")
        self.model = decisions.promote(registry.registry, origin.model_filename, WHY, lambda *_: {})
        self.path = "shared/runs/prd_inference_pipe_dag/r7/predictions_7.parquet"
        self.file = registry.shared / self.path.removeprefix("shared/")
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(PREDICTIONS)
        self.inference = inferred(registry.registry, self.model, 7, output_sha256=sha256(PREDICTIONS))


@pytest.fixture
def pipeline(registry: Command) -> PipelineFiles:
    return PipelineFiles(registry)


def test_a_trace_leads_from_the_predictions_to_the_data_commit_image_and_runs(
    registry: Command, pipeline: PipelineFiles
) -> None:
    told = registry.done("trace", pipeline.path, "--airflow", "http://localhost:8080/")
    where = "http://localhost:8080/dags/"
    for part in (
        f"predictions  {pipeline.path}  (as recorded, sha256 {sha256(PREDICTIONS)})",
        f"file        models/{pipeline.model.model_filename}  (as recorded, sha256 {pipeline.model.sha256})",
        f"data        shared/inputs/t.csv  (as recorded, sha256 {sha256(TABLE)})",
        "rows        1",
        f"commit      {'c' * 40}",
        "image       bulkhead/trainer:x@sha256:1",
        "Promoted from dev",
        f"{where}prd_train_model_dag/runs/manual__1/tasks/train_model?try_number=1",
        f"{where}prd_inference_pipe_dag/runs/manual__2026-02-01T00%3A00%3A00%2B00%3A00_7/tasks/model_inference?try_number=1",
    ):
        assert part in told
    assert "Broken" not in told


def test_a_trace_says_what_had_drifted(registry: Command, pipeline: PipelineFiles) -> None:
    assert "drift" not in registry.done("trace", pipeline.path)
    drift = Drift(rows=2, sampled=2, columns={"a": 0.41, "b": 0.1}, drifted=["a", "evil\n\x1b[2J"], limit=0.25)
    inferred(registry.registry, pipeline.model, 8, drift=drift)
    told = registry("trace", "shared/runs/prd_inference_pipe_dag/r8/predictions_8.parquet").out
    assert r"drift        a 0.41, 'evil\n\x1b[2J' 0.00 (limit 0.25)" in told


def test_an_inference_is_named_by_its_file_here_or_in_the_record_its_hash_its_time_or_its_run(
    registry: Command, pipeline: PipelineFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry.registry)
    inferred(registry.registry, registry.registry.latest("prd"), 8)
    monkeypatch.chdir(pipeline.file.parent)
    whole = registry.done("trace", pipeline.path)
    for name in (
        *(str(pipeline.file), pipeline.file.name, f"./{pipeline.file.name}", f"./{pipeline.path}"),
        *(sha256(PREDICTIONS), sha256(PREDICTIONS)[:6].upper()),
        *(str(pipeline.inference.run_id), pipeline.inference.inference_time, pipeline.inference.inference_time[:19]),
    ):
        assert registry.done("trace", name) == whole, name
    monkeypatch.setenv("BULKHEAD_HOST_DIR", "/the/host")
    assert registry.done("trace", f"/the/host/{pipeline.path}") == whole


def test_links_lead_to_the_port_of_this_clone(
    registry: Command, pipeline: PipelineFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    for port, address in (("8123", "http://localhost:8123/dags/"), ("", "http://localhost:8080/dags/")):
        monkeypatch.setenv("BULKHEAD_PORT", port)
        assert address in registry.done("trace", pipeline.path)


def test_a_name_of_several_inferences_is_refused_by_a_sentence_that_lists_their_times(
    registry: Command, registry_with_a_model: Registry
) -> None:
    model = registry_with_a_model.latest("prd")
    made = [inferred(registry_with_a_model, model, n, run_id="again", output_sha256="ab" * 32) for n in range(5)]
    for name in ("again", "ababab"):
        sentence = registry.refused("trace", name)
        assert f"names 5 inferences: {made[4].inference_time}, " in sentence
        assert sentence.endswith("and 2 earlier ones. Name one by its time.")


@pytest.mark.parametrize("name", ["", "nothing", "../../etc/passwd", "shared/../..", "abcdef", "\x1b[2J", "x" * 9999])
def test_an_unknown_inference_is_refused_by_a_sentence_that_says_how_to_name_one(
    name: str, registry: Command, registry_with_a_model: Registry
) -> None:
    inferred(registry_with_a_model, registry_with_a_model.latest("prd"), output_sha256=None, run_id=None)
    sentence = registry.refused("trace", name)
    assert "'just registry list --inferences' shows them" in sentence
    assert sentence.isprintable()
    assert len(sentence) < 500


def broken(registry: Command, name: str) -> list[str]:
    """What a trace that is not whole says of it."""
    ended = registry("trace", name)
    assert ended.code == 1
    as_json = registry("trace", name, "--json")
    assert as_json.code == 1
    said = [line.removeprefix("Broken: ") for line in ended.out.splitlines() if line.startswith("Broken: ")]
    assert said == msgspec.json.decode(as_json.out)["broken"]
    return said


def test_a_trace_whose_predictions_or_model_file_was_altered_is_broken(
    registry: Command, pipeline: PipelineFiles
) -> None:
    pipeline.file.write_bytes(b"other")
    assert broken(registry, pipeline.path) == [f"{pipeline.path} is not the predictions file that was recorded."]
    pipeline.file.write_bytes(PREDICTIONS)
    model = registry.registry.folder / pipeline.model.model_filename
    model.chmod(0o644)
    model.write_bytes(b"other")
    assert broken(registry, pipeline.path) == [f"models/{model.name} is not the model file that was recorded."]


def test_the_input_of_an_inference_on_the_built_in_sample_is_not_called_altered(
    registry: Command, pipeline: PipelineFiles
) -> None:
    """Its record names the file in the run folder, and has the hash of the built-in table."""
    path = "shared/runs/prd_inference_pipe_dag/r9/generate_inf_data.parquet"
    file = registry.shared / path.removeprefix("shared/")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"the same rows as Parquet")
    made = inferred(registry.registry, pipeline.model, 9, source="sample", inference_data=path)
    assert f"input        {path}  (no hash recorded)" in registry.done("trace", made.inference_time)


def test_a_trace_whose_files_are_gone_is_whole_and_says_so(registry: Command, pipeline: PipelineFiles) -> None:
    pipeline.file.unlink()
    pipeline.table.write_bytes(b"newer")
    told = registry.done("trace", pipeline.path)
    assert f"{pipeline.path}  (missing" in told
    assert "shared/inputs/t.csv  (altered" in told


def test_a_trace_to_a_model_without_a_record_or_with_another_hash_is_broken(
    registry: Command, pipeline: PipelineFiles
) -> None:
    inferred(registry.registry, pipeline.model, 8, model_used="model_x.joblib")
    assert broken(registry, "shared/runs/prd_inference_pipe_dag/r8/predictions_8.parquet") == [
        "log.txt has no record of model_x.joblib, which predicted."
    ]
    inferred(registry.registry, pipeline.model, 9, model_sha256="0" * 64)
    (sentence,) = broken(registry, "shared/runs/prd_inference_pipe_dag/r9/predictions_9.parquet")
    assert sentence.startswith(f"the model that predicted had the sha256 {'0' * 64}; its record says ")


def test_a_trace_to_a_revoked_model_says_who_revoked_it_and_why(registry: Command, pipeline: PipelineFiles) -> None:
    decisions.revoke(registry.registry, pipeline.model.model_filename, DecisionContext("eve", "leaked"))
    assert re.search(r"Out of service: it was revoked by eve on .*: leaked", registry.done("trace", pipeline.path))


@pytest.mark.usefixtures("registry_of_legacy_records")
def test_an_inference_among_legacy_records_is_traced_as_far_as_it_goes(registry: Command) -> None:
    told = registry.done("trace", "2024-02-03:10-00-00")
    assert "model_2024-01-31:23-59-59_3f2a.pkl  (no hash recorded)" in told
    assert "in Airflow" in told


@pytest.mark.parametrize("run_id", ["manual__2026-01-01T00:00:00+00:00", "a/b", "ü ?#%&", "..", "~x.y_z-"])
def test_a_link_to_airflow_leads_to_the_very_run(run_id: str, registry_with_a_model: Registry) -> None:
    attempt = msgspec.structs.replace(registry_with_a_model.latest("prd"), run_id=run_id, map_index=3, try_number=2)
    parts = urlsplit(url_of(attempt, "http://host:1"))
    assert [unquote(part) for part in parts.path.split("/")] == [
        *("", "dags", "prd_train_model_dag", "runs", run_id, "tasks", "train_model", "mapped", "3")
    ]
    assert (parts.netloc, parts.query, parts.fragment) == ("host:1", "try_number=2", "")


def trained_on(registry: Registry, letter: str, model: object) -> ModelRecord:
    data = Data(path="shared/inputs/t.csv", sha256=letter * 64, rows=3, source="t.csv")
    return publish(registry, "prd", model, data=data, trained_on=TrainedOn(sha256=f"{model}" * 64, rows=3))


def test_the_impact_of_a_model_is_every_inference_by_it(registry: Command) -> None:
    model, other = trained_on(registry.registry, "a", 1), trained_on(registry.registry, "b", 2)
    of_it = [inferred(registry.registry, model, number) for number in range(3)]
    inferred(registry.registry, other, 3)
    told = registry.done("impact", model.model_filename)
    assert "Inferences: 3, 6 rows\n" in told
    assert [record.inference_time[:26] in told for record in of_it] == [True] * 3
    assert other.model_filename not in told
    kept = registry("impact", model.model_hash[:8], "--limit", "1")
    assert "Inferences: 3, 6 rows\n" in kept.out
    assert of_it[2].inference_time[:26] in kept.out
    assert of_it[1].inference_time[:26] not in kept.out
    assert kept.said == ["The newest 1; --limit lists more, --json all."]
    lines = registry.done("impact", model.model_filename, "--json").splitlines()
    assert [record_lines.decode(line.encode()) for line in lines] == [model, *of_it]


def test_the_impact_of_a_model_names_the_same_model_under_another_name(registry: Command) -> None:
    one, twin = publish(registry.registry), publish(registry.registry)
    assert f"not counted here: model #2 ({twin.model_filename})" in registry.done("impact", one.model_filename)


def test_the_impact_of_data_is_every_model_trained_on_it_and_every_inference_by_these_or_on_it(
    registry: Command,
) -> None:
    first, second, other = (trained_on(registry.registry, letter, n) for n, letter in enumerate("aab"))
    by_first = inferred(registry.registry, first, 0)
    inferred(registry.registry, other, 1)
    on_data = inferred(registry.registry, other, 2, input_sha256="a" * 64)
    for name in ("a" * 64, "aaaaaa"):
        told = registry.done("impact", name)
        assert "Models trained on it: 2\n" in told
        assert "Inferences: 2, 4 rows, 1 with the data as input\n" in told
        lines = registry.done("impact", name, "--json").splitlines()
        assert [record_lines.decode(line.encode()) for line in lines] == [first, second, by_first, on_data]
    assert "Models trained on it: 1\n" in registry.done("impact", "2" * 64), "the transformed table counts too"


def test_the_impact_of_data_is_asked_for_by_the_file_too(registry: Command, pipeline: PipelineFiles) -> None:
    assert registry.done("impact", str(pipeline.table)) == registry.done("impact", sha256(TABLE))
    assert registry.done("impact", "shared/inputs/t.csv") == registry.done("impact", sha256(TABLE))
    assert "there is no such file" in registry.refused("impact", "shared/inputs/none.csv")
    assert "File name too long" in registry.refused("impact", "shared/" + "x" * 5000)


def test_data_that_nothing_depends_on_is_refused_and_so_is_a_hash_of_two_tables(registry: Command) -> None:
    for number, digest in enumerate(("abcdef1", "abcdef2")):
        data = Data(path="p", sha256=digest + "0" * 57, rows=1, source="s")
        publish(registry.registry, "prd", number, data=data)
    assert "begins the hash of 2 tables" in registry.refused("impact", "abcdef")
    for flags in ([], ["--json"]):
        assert "no model was trained on data" in registry.refused("impact", "f" * 64, *flags)
    assert "has no model 'fffffff'" in registry.refused("impact", "f" * 7)


def test_a_broken_inference_log_is_searched_all_the_same(registry: Command, registry_with_a_model: Registry) -> None:
    model = registry_with_a_model.latest("prd")
    log = registry_with_a_model.inference_journal
    for junk in (
        b"\xff\xfe\n",
        b"{}\n",
        b"[" * 5000 + b"\n",
        b'{"inference_time": 5, "model_used": []}\n',
        b'{"torn": "',
    ):
        inferred(registry_with_a_model, model)
        with log.open("ab") as file:
            file.write(junk)
    inferred(registry_with_a_model, model, 1)
    assert "Inferences: 6, 12 rows" in registry.done("impact", model.model_filename)
    assert model.model_filename in registry.done("trace", "shared/runs/prd_inference_pipe_dag/r1/predictions_1.parquet")


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_impact_of_a_model_is_counted_in_constant_memory(flags: list[str], registry_with_a_model: Registry) -> None:
    """A log ten times as long takes no more."""
    model = registry_with_a_model.latest("prd")
    record = inferred(registry_with_a_model, model, predictions=[0.5] * 1000)
    line = record_lines.encode(record)
    # Linux's own mark: getrusage's begins with what the parent had.
    script = (
        "import sys; from pathlib import Path; from bulkhead.cli import main as cli;"
        " assert cli.main(sys.argv[1:]) == 0;"
        "sys.stderr.write(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    argv = ["--models", str(registry_with_a_model.folder), "impact", model.model_filename, *flags]
    peaks = []
    for count in (1_000, 10_000):
        registry_with_a_model.inference_journal.write_bytes(line * count)
        ended = subprocess.run(
            [sys.executable, "-c", script, *argv],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        peaks.append(int(ended.stderr.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 4_000, "kB; the longer log is 36 MB longer"
