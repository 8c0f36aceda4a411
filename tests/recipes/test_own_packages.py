"""What the scripts and the Dockerfile learn from pyproject.toml files: in clones, without an engine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.clone import Clone

REPORTER = """
[project]
name = "bulkhead-reporter"
version = "0.2.0"
description = "Reports"
dependencies = ["bulkhead", "bulkhead-tabular"]

[tool.uv.sources]
bulkhead-tabular = { path = "../../packages/tabular" }
"""


def answers(clone: Clone, *question: str) -> list[str]:
    ended = clone.run(sys.executable, "scripts/own_packages.py", *question)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def add_image(clone: Clone, text: str = REPORTER) -> None:
    (clone.folder / "images/reporter").mkdir()
    (clone.folder / "images/reporter/pyproject.toml").write_text(text)


def test_a_folder_with_a_pyproject_is_an_image_and_goes_into_the_environment(clone: Clone) -> None:
    before = answers(clone, "images")
    add_image(clone)
    assert answers(clone, "images") == sorted([*before, "reporter"])
    assert "images/reporter" in answers(clone, "development")
    assert answers(clone, "version", "reporter") == ["0.2.0"]


def test_what_an_image_needs_follows_from_sources_and_stands_before_it(clone: Clone) -> None:
    add_image(clone)
    assert answers(clone, "needs", "reporter") == ["packages/bulkhead", "packages/tabular", "images/reporter"]


def test_an_image_is_locked_after_the_one_whose_versions_it_takes(clone: Clone) -> None:
    add_image(clone, REPORTER + '\n[tool.bulkhead]\nversions-of = "trainer"\n')
    order = answers(clone, "resolutions")
    alone = {f"{name} " for name in ("airflow", "launcher", "registrar", "trainer")}
    assert alone | {"inference trainer", "reporter trainer"} == set(order)
    assert order.index("trainer ") < min(order.index("inference trainer"), order.index("reporter trainer"))


@pytest.mark.parametrize("other", ["nothing", "reporter"])
def test_versions_of_no_other_image_are_refused_with_the_file(clone: Clone, other: str) -> None:
    add_image(clone, REPORTER + f'\n[tool.bulkhead]\nversions-of = "{other}"\n')
    ended = clone.run(sys.executable, "scripts/own_packages.py", "resolutions")
    assert ended.returncode == 1
    assert f"images/reporter/pyproject.toml: versions-of is '{other}'" in ended.stderr
    assert "airflow, inference, launcher, registrar, reporter, trainer" in ended.stderr


def test_what_needs_airflow_is_in_no_environment_but_its_image(clone: Clone) -> None:
    found = answers(clone, "development")
    assert "images/airflow" not in found
    assert {"packages/engine", "packages/models_page", "images/trainer"} <= set(found)


def test_a_service_starts_from_another_stage_than_a_step(clone: Clone) -> None:
    kinds = {image: answers(clone, "kind", image) for image in ("trainer", "launcher", "registrar")}
    assert kinds == {"trainer": ["step"], "launcher": ["service"], "registrar": ["service"]}


def test_a_wrong_name_of_an_image_is_told_which_there_are(clone: Clone) -> None:
    ended = clone.run("scripts/build-images.sh", "trianer")
    assert ended.returncode == 1
    assert "there is no image 'trianer'" in ended.stderr
    assert "airflow inference launcher registrar trainer" in ended.stderr
