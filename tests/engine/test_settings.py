"""What a step may use, and who says so: its DAG, ``.env`` for this very step, ``.env`` for all."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from bulkhead.errors import Refused
from engine import values
from engine.settings import Limits, Settings

if TYPE_CHECKING:
    from pathlib import Path

HOST = {"BULKHEAD_HOST_DIR": "/project"}


def settings(variables: dict[str, str] | None = None, own: Limits | None = None, task_id: str = "profile") -> Settings:
    return Settings.from_environment(task_id, own, HOST | (variables or {}))


def test_a_step_has_the_defaults_where_nobody_says_anything() -> None:
    made = settings()
    assert (made.seconds, made.cpus, made.memory, made.pids, made.output_size) == (3600, 2, "2g", 256, "1g")
    assert made.defer_after == 60
    assert made == settings({"BULKHEAD_STEP_SECONDS": "", "BULKHEAD_STEP_SECONDS_PROFILE": ""})


@pytest.mark.parametrize(
    ("limit", "general", "in_dag", "for_this_step"),
    [("seconds", 10.0, 20.0, 30.0), ("cpus", 1.0, 1.5, 3.0), ("memory", "1g", "2000m", "3g")],
)
def test_env_for_this_very_step_wins_over_its_dag_and_that_over_env_for_all(
    limit: str, general: Any, in_dag: Any, for_this_step: Any
) -> None:
    variable = f"BULKHEAD_STEP_{limit.upper()}"
    said: dict[str, str] = {variable: str(general)}
    assert getattr(settings(said), limit) == general
    own = Limits(**{limit: in_dag})
    assert getattr(settings(said, own), limit) == in_dag
    said[f"{variable}_PROFILE"] = str(for_this_step)
    assert getattr(settings(said, own), limit) == for_this_step
    assert getattr(settings(said, own, "another"), limit) == in_dag


@pytest.mark.parametrize("task_id", ["my-step", "my.step", "my_step"])
def test_a_name_that_no_variable_can_have_is_named_with_underscores(task_id: str) -> None:
    assert settings({"BULKHEAD_STEP_SECONDS_MY_STEP": "7"}, task_id=task_id).seconds == 7


def test_a_failure_says_where_its_limit_can_be_raised() -> None:
    said = {"BULKHEAD_STEP_SECONDS_PROFILE": "7"}
    assert settings().raising("seconds") == "Raise BULKHEAD_STEP_SECONDS in .env and run 'just up'"
    assert settings(said).raising("seconds") == "Raise BULKHEAD_STEP_SECONDS_PROFILE in .env and run 'just up'"
    assert settings(own=Limits(seconds=7)).raising("seconds") == "Raise seconds= of profile in its DAG"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BULKHEAD_DEFER_AFTER", "soon"),
        ("BULKHEAD_DEFER_AFTER", "-1"),
        ("BULKHEAD_STEP_SECONDS", "an hour"),
        ("BULKHEAD_STEP_SECONDS", "0"),
        ("BULKHEAD_STEP_SECONDS_PROFILE", "nan"),
        ("BULKHEAD_STEP_CPUS", "-1"),
        ("BULKHEAD_STEP_CPUS_PROFILE", "inf"),
        ("BULKHEAD_STEP_MEMORY", "2 gigabytes"),
        ("BULKHEAD_STEP_MEMORY_PROFILE", "-1"),
        ("BULKHEAD_STEP_PIDS", "2.5"),
        ("BULKHEAD_STEP_LOG", "much"),
        ("BULKHEAD_UID", "me"),
    ],
)
def test_a_value_that_a_variable_cannot_take_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(Refused, match=rf"^{variable} is '{value}', which .*\. Fix \.env, then run 'just up'\.$"):
        settings({variable: value})


@pytest.mark.parametrize("own", [{"seconds": "soon"}, {"seconds": -1}, {"cpus": "all"}, {"memory": "2x"}])
def test_a_limit_in_a_dag_that_is_none_is_refused_at_once(own: dict[str, Any]) -> None:
    (name,) = own
    with pytest.raises(Refused, match=rf"^{name} is .*, which .*\. Fix it in the DAG\.$"):
        Limits(**own)


def test_settings_without_the_projects_folder_are_refused() -> None:
    with pytest.raises(Refused, match="BULKHEAD_HOST_DIR is not set"):
        Settings.from_environment("profile", environment={})


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("400m", 400 << 20),
        ("2g", 2 << 30),
        ("2GB", 2 << 30),
        ("1.5GiB", 3 << 29),
        ("512 k", 512 << 10),
        ("7b", 7),
        ("7", 7),
    ],
)
def test_sizes_are_read_as_docker_reads_them(written: str, size: int) -> None:
    assert values.in_bytes(written) == size


def test_a_host_with_nothing_but_the_standard_library_can_describe_the_seal(pytestconfig: pytest.Config) -> None:
    """``just step`` runs there: neither docker-py nor msgspec is installed, only the two source folders are."""
    root: Path = pytestconfig.rootpath
    folders = [str(root / "packages" / name / "src") for name in ("engine", "bulkhead")]
    program = (
        f"import sys; sys.path[:0] = {folders}; from engine import seal, settings, step_spec; import bulkhead.paths"
    )
    isolated = [sys.executable, "-I", "-S", "-c", program]
    ended = subprocess.run(isolated, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
