"""dev and prd never mix, and a step takes only what the step before it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.project import files_in, lines_of

if TYPE_CHECKING:
    from tests.support.project import Project


@pytest.fixture
def project_with_both_models(project: Project) -> Project:
    """A model of prd whose predictions are 1000 higher than those of dev, trained in turn."""
    for environment, lift in (("dev", 0), ("prd", 1000), ("dev", 0), ("prd", 1000)):
        rows = "".join(f"{i},{i + 20},{i + 40 + lift}\n" for i in range(20))
        project.put(f"{environment}.csv", "feature1,feature2,target\n" + rows)
        project.train("--source", f"{environment}.csv", environment=environment)
    return project


@pytest.mark.parametrize(("environment", "first"), [("dev", 40), ("prd", 1040)])
def test_each_environment_predicts_with_its_own_newest_model(
    environment: str, first: float, project_with_both_models: Project
) -> None:
    line = project_with_both_models.infer(environment=environment)
    assert line["predictions"][0] == pytest.approx(first)
    assert line["model_used"] == project_with_both_models.registry.latest(environment).model_filename


def test_an_older_model_can_be_asked_for_by_name(project_with_both_models: Project) -> None:
    oldest = lines_of(project_with_both_models.registry.training_journal)[0]["model_filename"]
    assert oldest != project_with_both_models.registry.latest("dev").model_filename
    assert project_with_both_models.infer("sample", "--model", oldest)["model_used"] == oldest


def test_a_model_of_the_other_environment_is_refused_by_name(project_with_both_models: Project) -> None:
    other = project_with_both_models.registry.latest("prd").model_filename
    project_with_both_models.prepare_inference()
    ended = project_with_both_models.inference("model_inference", "--model", other)
    project_with_both_models.assert_refused(ended, "model_inference", "is a prd model, and dev was asked for")


@pytest.mark.parametrize("name", ["model_of_nobody.joblib", "../log.txt", "log.txt", "/etc/passwd", "x\ny", "\udcff"])
def test_a_model_that_the_log_does_not_name_is_refused(name: str, trained_project: Project) -> None:
    trained_project.prepare_inference()
    ended = trained_project.inference("model_inference", "--model", name)
    trained_project.assert_refused(ended, "model_inference", "models/log.txt has no model ")


def test_inference_without_any_model_is_refused(project: Project) -> None:
    project.prepare_inference()
    project.assert_refused(
        project.inference("model_inference"), "model_inference", "no model of the environment dev yet"
    )


def test_inference_with_a_model_of_the_other_environment_alone_is_refused(project: Project) -> None:
    project.train(environment="prd")
    project.prepare_inference()
    project.assert_refused(
        project.inference("model_inference"), "model_inference", "no model of the environment dev yet"
    )


@pytest.mark.parametrize(
    ("image", "before", "task"),
    [
        ("trainer", "preprocessing", "train_model"),
        ("inference", "generate_inf_data", "preprocess_inf_data"),
        ("inference", "preprocess_inf_data", "model_inference"),
    ],
)
class TestTheStepBefore:
    """What each later step demands of the one before it."""

    @pytest.fixture(autouse=True)
    def done_before(self, trained_project: Project, image: str, before: str) -> None:
        """Everything before ``task`` is done, in dev."""
        if before == "preprocess_inf_data":
            trained_project.done("inference", "generate_inf_data")
        trained_project.done(image, before)

    def test_must_have_run(self, image: str, before: str, task: str, trained_project: Project) -> None:
        (trained_project.shared / f"{before}.json").unlink()
        ended = trained_project.run(image, [task])
        trained_project.assert_refused(
            ended, task, f"shared/runs/debug/{before}.json is missing or not a result file. Run {before} first"
        )

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"identity": {}}', b"\xff", b"null"])
    def test_must_have_left_a_result_file(
        self, content: bytes, image: str, before: str, task: str, trained_project: Project
    ) -> None:
        (trained_project.shared / f"{before}.json").write_bytes(content)
        ended = trained_project.run(image, [task])
        trained_project.assert_refused(ended, task, "is missing or not a result file")

    def test_must_have_run_in_the_same_environment(
        self, image: str, before: str, task: str, trained_project: Project
    ) -> None:
        ended = trained_project.run(image, [task, "--environment", "prd"])
        trained_project.assert_refused(
            ended, task, f"{before} ran in this run folder for dev, and this step runs for prd", environment="prd"
        )

    def test_must_not_have_lost_its_output(self, image: str, before: str, task: str, trained_project: Project) -> None:
        (trained_project.shared / f"{before}.parquet").unlink()
        ended = trained_project.run(image, [task])
        trained_project.assert_refused(ended, task, f"{before}.parquet is missing from the run folder")

    def test_must_not_have_its_output_altered(
        self, image: str, before: str, task: str, trained_project: Project
    ) -> None:
        path = trained_project.shared / f"{before}.parquet"
        path.write_bytes(path.read_bytes() + b"\x00")
        ended = trained_project.run(image, [task])
        trained_project.assert_refused(ended, task, f"{before}.parquet has changed since {before} wrote it")

    def test_must_have_described_its_output(self, image: str, before: str, task: str, trained_project: Project) -> None:
        """A result file put in by hand, of another step: no traceback for a user's mistake."""
        path = trained_project.shared / f"{before}.json"
        result = msgspec.json.decode(path.read_bytes())
        path.write_bytes(msgspec.json.encode({**result, "outputs": {}, "facts": {}}))
        ended = trained_project.run(image, [task])
        trained_project.assert_refused(ended, task, before)

    def test_must_succeed_again_once_it_was_refused(
        self, image: str, before: str, task: str, trained_project: Project
    ) -> None:
        """A failed second run takes away the first one's proof."""
        (trained_project.shared / f"{task}.json").unlink(missing_ok=True)
        trained_project.done(image, task)
        assert (trained_project.shared / f"{task}.json").exists()
        (trained_project.shared / f"{before}.json").unlink()
        assert trained_project.run(image, [task]).code == 1
        assert f"{task}.json" not in files_in(trained_project.shared)


def test_a_refused_step_stops_all_that_follow(trained_project: Project) -> None:
    trained_project.infer()
    assert trained_project.inference("generate_inf_data", "--source", "missing.csv").code == 1
    assert trained_project.inference("preprocess_inf_data").code == 1
    assert trained_project.inference("model_inference").code == 1
    assert len(lines_of(trained_project.registry.inference_journal)) == 4


def test_a_changed_transformation_refuses_the_models_of_before(
    trained_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference import data_steps

    monkeypatch.setattr(data_steps, "fingerprint", lambda _name: "0" * 64)
    trained_project.prepare_inference()
    ended = trained_project.inference("model_inference")
    trained_project.assert_refused(ended, "model_inference", "the transformation has changed since")


def test_an_altered_model_is_refused_and_predicts_nothing(trained_project: Project) -> None:
    path = trained_project.models / trained_project.registry.latest("dev").model_filename
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1])
    trained_project.prepare_inference()
    ended = trained_project.inference("model_inference")
    trained_project.assert_refused(ended, "model_inference", "is not the file that was published")


def test_a_model_of_a_legacy_record_is_refused(project: Project) -> None:
    from tests.support.project import LEGACY_TRAININGS

    project.registry.training_journal.write_bytes(LEGACY_TRAININGS)
    project.prepare_inference()
    ended = project.inference("model_inference")
    project.assert_refused(ended, "model_inference", "Train a new model")


def test_training_goes_on_in_a_registry_of_legacy_records(project: Project) -> None:
    from tests.support.project import LEGACY_INFERENCES, LEGACY_TRAININGS

    project.registry.training_journal.write_bytes(LEGACY_TRAININGS)
    project.registry.inference_journal.write_bytes(LEGACY_INFERENCES)
    project.train(environment="prd")
    project.infer(environment="prd")
    assert project.registry.training_journal.read_bytes().startswith(LEGACY_TRAININGS)
    assert project.registry.inference_journal.read_bytes().startswith(LEGACY_INFERENCES)
