"""``registry`` takes every environment of the definition, and no other."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from tests.support.project import publish

from bulkhead.environments import ENVIRONMENTS, NAMES

if TYPE_CHECKING:
    from tests.support.command import Command


@pytest.fixture(autouse=True)
def prd_promotes_from_dev() -> None:
    """Not here: every environment of the definition, as it is."""


@pytest.fixture(autouse=True)
def every_model_can_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulkhead.cli.deciding.serving_check", lambda: lambda *_: {})
    monkeypatch.setenv("BULKHEAD_BY", "ada")


def told(out: str) -> dict[str, str]:
    """What was printed, by name."""
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in out.splitlines())


@pytest.mark.parametrize(
    ("origin", "environment"), [(one.promotes_from, one.name) for one in ENVIRONMENTS if one.promotes_from]
)
def test_promote_serves_a_model_of_the_environment_before(registry: Command, origin: str, environment: str) -> None:
    older = publish(registry.registry, environment).model_filename
    name = publish(registry.registry, origin, model="new").model_filename
    said = told(registry.done("promote", name, "--environment", environment, "--reason", "better"))
    assert said[f"{environment} serves"] == f"model #2 ({name}), promoted from {origin} by ada"
    back = told(registry.done(*shlex.split(said["to take back"].replace("...", "oops"))[2:]))
    assert back[f"{environment} serves"] == f"model #1 ({older}), rolled back to by ada"
    registry.done(*shlex.split(back["to take back"].replace("...", "again"))[2:])
    assert registry.registry.latest(environment).model_filename == name


@pytest.mark.parametrize("environment", NAMES)
def test_every_environment_is_listed_and_rolled_back_by_the_command_line(registry: Command, environment: str) -> None:
    first, second = (publish(registry.registry, environment, model=i).model_filename for i in range(2))
    assert registry.done("latest", "--environment", environment) == f"{second}\n"
    registry.done("rollback", "--environment", environment, "--reason", "worse")
    assert first in registry.done("list", "--environment", environment, "--served")


def test_an_environment_that_there_is_not_is_a_wrong_command_line_which_says_those_that_there_are(
    registry: Command,
) -> None:
    for argv in (["list"], ["latest"], ["rollback", "--reason", "r"], ["promote", "MODEL", "--reason", "r"]):
        ended = registry(*argv, "--environment", "prod")
        assert ended.code == 2
        assert "'prod' is not " in ended.err
        assert "'prd'" in ended.err
