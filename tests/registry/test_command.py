"""``registry list``: the registry on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.helpers import publish, records_of, training_failure

from bulkhead import cli

if TYPE_CHECKING:
    from bulkhead.registry import Registry


def listed(registry: Registry, *flags: str) -> int:
    return cli.main(["--models", str(registry.folder), "list", *flags])


def test_the_list_has_a_line_for_each_model_and_marks_those_that_serve(
    empty_registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    old, dev, new = publish(empty_registry, "prd"), publish(empty_registry, "dev"), publish(empty_registry, "prd")
    empty_registry.record_failure("training", training_failure())
    assert listed(empty_registry) == 0
    out, err = capsys.readouterr()
    header, *rows = out.splitlines()
    assert header.split() == ["ENVIRONMENT", "MODEL", "TRAINED", "ROWS", "R2", "RMSE", "SOURCE"]
    assert [row.split()[:3] for row in rows] == [
        ["prd", old.model_filename, old.training_timestamp[:19]],
        ["*", "dev", dev.model_filename],
        ["*", "prd", new.model_filename],
    ]
    assert rows[2].split()[3:] == [new.training_timestamp[:19], "3", "0.5", "1.25", "shared/inputs/t.csv"]
    assert err == ""


def test_the_list_as_json_is_the_records(
    registry_with_two_models: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(registry_with_two_models, "--json") == 0
    shown = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert shown == [msgspec.to_builtins(record) for record in records_of(registry_with_two_models.trainings)]
    assert len(shown) == 2


def test_the_list_of_one_environment_has_only_its_models(
    registry_with_two_models: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(registry_with_two_models, "--environment", "dev", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert msgspec.json.decode(line)["environment"] == "dev"


def test_an_empty_registry_says_how_to_get_a_model(
    empty_registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(empty_registry) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "No models yet. Trigger a train_model DAG, or run: just demo\n"


def test_an_empty_registry_as_json_is_no_line(empty_registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(empty_registry, "--json") == 0
    assert capsys.readouterr().out == ""


def test_a_broken_log_is_listed_and_its_broken_lines_are_counted(
    registry_with_a_torn_record: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    with registry_with_a_torn_record.trainings.open("ab") as log:
        log.write(b"\n\xff\n{}\n")
    assert listed(registry_with_a_torn_record) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err == "log.txt: passed over 3 unreadable lines\n"


def test_a_registry_of_the_original_program_is_listed(
    registry_of_the_original_program: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(registry_of_the_original_program) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split() for row in rows] == [
        ["*", env, f"model_{time}_{digest}.pkl", time, "-", "-", "-", "-"]
        for env, time, digest in (("prd", "2024-01-31:23-59-59", "3f2a"), ("dev", "2024-02-02:10-00-00", "77aa"))
    ]


@pytest.mark.parametrize("r2", [None, "good", [1], {"a": 1}, True, 10**400], ids=lambda r2: repr(r2)[:9])
def test_a_record_with_a_metric_that_is_no_number_is_listed_all_the_same(
    r2: object, registry_with_a_model: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record can be edited by hand, or be of another program."""
    publish(registry_with_a_model, metrics={"r2": r2})
    assert listed(registry_with_a_model) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_no_control_character_of_a_record_reaches_the_terminal(
    empty_registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    line = (
        b'{"model_hash": "h", "model_filename": "\\u001b[2Jx", "training_timestamp": "t\\r", "environment": "p\\nd"}\n'
    )
    empty_registry.trainings.write_bytes(line)
    assert listed(empty_registry) == 0
    rows = capsys.readouterr().out.split("\n")
    assert len(rows) == 3
    assert rows[1].isprintable()
    assert "?[2Jx" in rows[1]


@pytest.mark.parametrize(
    "argv",
    [
        *(["--models", "/no/such/folder", "list"], ["list", "--environment", "test"], ["--nonsense"], ["nonsense"], []),
        ["--models", "{models}", "list", "--nonsense"],
    ],
)
def test_a_wrong_command_line_is_exit_2_with_an_explanation(
    argv: list[str], empty_registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([part.format(models=empty_registry.folder) for part in argv]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--help"], ["list", "--help"], ["--models", "{models}", "list", "--help"]])
def test_help_explains_itself_wherever_it_is_asked_for(
    argv: list[str], empty_registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([part.format(models=empty_registry.folder) for part in argv]) == 0
    assert "Usage:" in capsys.readouterr().out
