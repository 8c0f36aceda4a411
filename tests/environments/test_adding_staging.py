"""Adding an environment is a change of the definition and a section of the gate, and of nothing else.

The how-to's two code blocks are applied to a copy of the tree. The tests of whatever reads the definition run there,
each for every environment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.staging import import_path, tree_with_staging

if TYPE_CHECKING:
    from pathlib import Path

TESTS = (
    "tests/environments/test_definition.py",
    "tests/steps/test_promotion_path.py",
    "tests/steps/test_gate.py",
    "tests/cli/test_environments.py",
    "tests/cli/test_reference.py",
    "tests/registry/test_decisions.py",
    "tests/models_page/test_login.py",
)

# A claim for every environment, which staging must be one of.
FOR_STAGING = (
    "test_a_step_trains_and_predicts_in_every_environment[staging]",
    "test_every_environment_is_listed_and_rolled_back_by_the_command_line[staging]",
    "test_promote_serves_a_model_of_the_environment_before[dev-staging]",
    "test_promote_serves_a_model_of_the_environment_before[staging-prd]",
    "test_who_may_not_read_a_dag_of_any_environment_reads_nothing[staging_train_model_dag]",
    "test_who_may_not_read_a_dag_of_any_environment_reads_nothing[staging_inference_pipe_dag]",
    "test_a_model_goes_along_the_whole_promotion_path",
    "test_the_file_that_comes_with_the_project_holds_the_defaults",
    "test_the_page_is_what_the_commands_say",
)


@pytest.fixture(scope="module")
def tree(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which staging was added."""
    return tree_with_staging(pytestconfig.rootpath, tmp_path_factory.mktemp("staging") / "tree")


def test_staging_is_trained_promoted_rolled_back_and_guarded_without_another_change(tree: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *TESTS]
    here = {**os.environ, "PYTHONPATH": import_path(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, cwd=tree, env=here, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stdout[-5000:]
    passed = set(re.findall(r"::(\S+) PASSED", ended.stdout))
    assert set(FOR_STAGING) <= passed


@pytest.mark.parametrize("command", ["trainer train_model", "inference check_model", "bulkhead rollback"])
def test_help_lists_staging(command: str, tree: Path) -> None:
    package, name = command.split()
    here = {**os.environ, "PYTHONPATH": import_path(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-m", f"{package}.cli", name, "--help"]
    told = subprocess.run(argv, env=here, capture_output=True, text=True, check=True).stdout
    assert ("[staging|prd]" if name == "check_model" else "[dev|staging|prd]") in told
