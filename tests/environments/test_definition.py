"""The definition of the environments, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bulkhead import environments
from bulkhead.environments import EnvironmentDefinition, checked
from bulkhead.errors import Refused

DEV = EnvironmentDefinition(name="dev")
PRD = EnvironmentDefinition(name="prd", promotes_from="dev")


@pytest.mark.parametrize(
    ("defined", "sentence"),
    [
        ((DEV, PRD, DEV), "two environments 'dev'"),
        ((PRD, DEV), "'prd' promotes from 'dev', and no environment above it has that name"),
        ((DEV, EnvironmentDefinition(name="prd", promotes_from="prd")), "no environment above it"),
        ((DEV,), "no environment promotes from another"),
        ((), "no environment promotes from another"),
        *(
            ((EnvironmentDefinition(name=name), PRD), "is not a valid name")
            for name in ("", "Dev", "a b", "a,b", "../x", "é")
        ),
    ],
)
def test_environments_that_make_no_sense_together_are_refused(
    defined: tuple[EnvironmentDefinition, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        checked(*defined)


def test_an_unknown_environment_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Refused, match=f"no environment 'prod'. Name one of: {', '.join(environments.NAMES)}"):
        environments.get("prod")


def test_an_environment_that_nothing_is_promoted_to_is_refused_with_those_that_it_can_be() -> None:
    with pytest.raises(Refused, match=f"promoted to dev. Name one of: {', '.join(environments.PROMOTED_TO)}"):
        environments.origin_of("dev")


def test_a_step_runs_in_dev_and_a_model_is_promoted_to_prd_by_default() -> None:
    assert (environments.FIRST, environments.LAST) == ("dev", "prd")


def test_the_definition_needs_the_standard_library_alone() -> None:
    """Scripts on the host read it, where nothing is installed."""
    program = "import sys, bulkhead.environments; print({'msgspec', 'click'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"
