"""Every environment of the definition can be trained in, promoted to and predicted in."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.project import lines_of

from bulkhead import environments

if TYPE_CHECKING:
    from tests.support.project import Project


@pytest.fixture(autouse=True)
def prd_promotes_from_dev() -> None:
    """Not here: every environment of the definition, as it is."""


@pytest.mark.parametrize("environment", environments.NAMES)
def test_a_step_trains_and_predicts_in_every_environment(environment: str, project: Project) -> None:
    record = project.train(environment=environment)
    assert record.environment == environment
    assert project.infer(environment=environment)["model_used"] == record.model_filename


def test_a_model_goes_along_the_whole_promotion_path(project: Project) -> None:
    model = project.train(environment=environments.FIRST).model_filename
    walked = [environments.LAST]
    while (origin := environments.get(walked[0]).promotes_from) is not None:
        walked.insert(0, origin)
    assert walked[0] == environments.FIRST
    for origin, environment in pairwise(walked):
        named = ("--model", model, "--environment", environment)
        project.done("inference", "check_model", *named)
        facts = msgspec.json.decode((project.shared / "check_model.json").read_bytes())["facts"]
        assert (facts["origin"], facts["candidate"]["model_filename"], facts["served"]) == (origin, model, None)
        project.done("inference", "promote_model", *named, "--by", "ada", "--reason", "good", "--replacing", "none")
        line = lines_of(project.registry.training_journal)[-1]
        assert (line["environment"], line["promotion"]["origin"]) == (environment, origin)
        assert project.infer(environment=environment)["model_used"] == model


def test_a_promotion_goes_to_prd_whatever_environment_the_step_runs_in(
    trained_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``BULKHEAD_ENVIRONMENT`` says where a step runs, and ``--environment`` alone what a promotion changes."""
    monkeypatch.setenv("BULKHEAD_ENVIRONMENT", "dev")
    trained_project.inference("promote_model", "--model", "x.joblib", "--by", "ada", "--reason", "good")
    assert lines_of(trained_project.registry.training_journal)[-1]["environment"] == "prd"
    assert trained_project.inference("check_model", "--model", "x.joblib", "--environment", "dev").code == 2
