"""Images of different versions of the result file: nobody reads what another version has written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.steps.support import STEPS, done_before, each_step

from bulkhead import protocol
from bulkhead.step import result

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.project import Project

LATER = protocol.PROTOCOL + 1

each_reader = pytest.mark.parametrize(
    ("image", "task", "before"),
    [
        ("trainer", "train_model", "preprocessing"),
        ("inference", "preprocess_inf_data", "generate_inf_data"),
        ("inference", "model_inference", "preprocess_inf_data"),
    ],
)


def rewritten(project: Project, task: str, **changes: Any) -> None:
    """Make the result of ``task`` another; a key that becomes None goes."""
    path = project.shared / f"{task}.json"
    content = {**msgspec.json.decode(path.read_bytes()), **changes}
    path.write_bytes(msgspec.json.encode({key: value for key, value in content.items() if value is not None}))


@pytest.fixture
def named_images(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step knows the image that it runs in."""
    real = project.run

    def run(image: str, argv: Any) -> Any:
        monkeypatch.setenv("BULKHEAD_IMAGE", f"bulkhead/{image}:tag@sha256:1")
        return real(image, argv)

    monkeypatch.setattr(project, "run", run)


@each_reader
def test_a_result_without_a_version_is_read_as_ever(image: str, task: str, before: str, project: Project) -> None:
    """A run that an earlier commit began can be finished."""
    done_before(project, task)
    rewritten(project, before, protocol=None)
    project.done(image, task)


@each_reader
@pytest.mark.usefixtures("named_images")
def test_a_result_of_a_later_version_is_refused_by_a_step_that_says_to_rebuild_its_own_image(
    image: str, task: str, before: str, project: Project
) -> None:
    done_before(project, task)
    rewritten(project, before, protocol=LATER, outputs=["of another form"])
    sentence = project.assert_refused(project.run(image, [task]), task, f"{before}.json is of version {LATER}")
    assert f"this step reads version {protocol.PROTOCOL}. Run 'just build-images {image}', then this step" in sentence


@each_reader
@pytest.mark.usefixtures("named_images")
@pytest.mark.parametrize("version", [1, None], ids=["marked", "unmarked"])
def test_a_result_of_an_earlier_version_is_refused_with_the_image_that_wrote_it(
    image: str, task: str, before: str, version: int | None, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    rewritten(project, before, protocol=version)
    monkeypatch.setattr(protocol, "PROTOCOL", 3)
    wrote = next(name for name, step in STEPS if step == before)
    sentence = project.assert_refused(
        project.run(image, [task]), task, f"{before}.json is of version 1, written by bulkhead/{wrote}:tag"
    )
    assert f"Run 'just build-images {wrote}', then {before} again." in sentence


def test_a_result_of_another_version_by_hand_says_to_build_all_images(project: Project) -> None:
    project.done("trainer", "preprocessing")
    rewritten(project, "preprocessing", protocol=LATER)
    sentence = project.assert_refused(project.trainer("train_model"), "train_model", f"is of version {LATER}, and")
    assert "Run 'just build-images'," in sentence


@each_step
def test_every_step_writes_the_version_of_its_image(
    image: str, task: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "PROTOCOL", 7)
    done_before(project, task)
    monkeypatch.setenv("BULKHEAD_PROTOCOL", "7")
    project.done(image, task)
    assert msgspec.json.decode((project.shared / f"{task}.json").read_bytes())["protocol"] == 7


@each_step
@pytest.mark.parametrize(
    ("asked", "builds"), [(LATER, "'just build-images {image}'"), (0, "'just build-images airflow' and 'just up'")]
)
@pytest.mark.usefixtures("named_images")
def test_a_step_that_airflow_could_not_understand_refuses_before_its_work(
    image: str, task: str, asked: int, builds: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    monkeypatch.setenv("BULKHEAD_PROTOCOL", str(asked))
    monkeypatch.setattr("bulkhead.step.runner.Step.input", None)
    monkeypatch.setattr("tabular.tables.read_source", None)
    ended = project.run(image, [task])
    sentence = project.assert_refused_sealed(ended, task, f"Airflow reads results of version {asked}")
    assert f"Run {builds.format(image=image)}, then clear the task." in sentence


def test_a_version_that_is_no_number_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_PROTOCOL", "one")
    ended = project.trainer("preprocessing")
    project.assert_refused_sealed(ended, "preprocessing", "BULKHEAD_PROTOCOL is 'one'")


@each_reader
def test_the_result_of_the_step_before_is_read_once(
    image: str, task: str, before: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_before(project, task)
    read: list[str] = []
    real = result.read

    def counted(folder: Path, task_id: str) -> Any:
        read.append(task_id)
        return real(folder, task_id)

    monkeypatch.setattr(result, "read", counted)
    project.done(image, task)
    # The input is compared with training's as it was before the transformation.
    assert read == ([before, "generate_inf_data"] if task == "model_inference" else [before])
