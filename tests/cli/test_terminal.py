"""What reaches the terminal, and how the command line ends: hostile records, colours, pipes, wrong usage, help."""

from __future__ import annotations

import errno
import json
import os
import pty
import subprocess
import sys
import unicodedata
from typing import TYPE_CHECKING

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.project import inferred, lineage, publish, training_failure

from bulkhead.cli import entry_point, output
from bulkhead.cli import main as cli
from bulkhead.errors import Refused
from bulkhead.registry import record_lines
from bulkhead.registry.lineage import Data
from bulkhead.registry.records import InferenceFailure, ModelRecord
from bulkhead.text_table import width

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Command

    from bulkhead.registry.store import Registry

# Clear the screen, set the title, C1's own CSI, turn text round, hide it, end the line.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eevil\u200b\r\n\x7f<script>" + "x" * 300


@pytest.fixture
def hostile(registry: Command) -> str:
    """A registry whose every text was edited by a hand that means no good; the model's name."""
    identity = dict.fromkeys(("dag_id", "run_id", "task_id", "image", "git_commit"), HOSTILE)
    texts = {
        "features": [HOSTILE],
        "dtypes": {HOSTILE: HOSTILE},
        "target": HOSTILE,
        "data": Data(path=HOSTILE, sha256="e" * 64, rows=3, source=HOSTILE),
        "metrics": {HOSTILE: HOSTILE, "r2": HOSTILE},
        "parameters": {HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]},
        "coefficients": {HOSTILE: 1.5},
    }
    model = ModelRecord(
        model_hash="abcdef" + HOSTILE,
        model_filename="name" + HOSTILE,
        training_timestamp=HOSTILE,
        environment="prd",
        **msgspec.structs.asdict(lineage(**identity, **texts)),
    )
    failure = InferenceFailure(
        error_time=HOSTILE, error_message=HOSTILE, environment=HOSTILE, cause=HOSTILE, step=HOSTILE
    )
    inference = {"predictions_path": HOSTILE, "inference_data": HOSTILE, "inference_time": "2026" + HOSTILE}
    common = {"by": HOSTILE, "reason": HOSTILE}
    for path, entries in (
        (
            registry.registry.training_journal,
            [
                msgspec.to_builtins(model) | {"environment": "dev"},
                msgspec.to_builtins(model)
                | {"promotion": {"promotion_time": HOSTILE, "origin": HOSTILE, "replaces": HOSTILE, **common}},
                {"revocation_time": HOSTILE, "model_filename": model.model_filename, "model_hash": HOSTILE, **common},
                msgspec.to_builtins(training_failure(HOSTILE, detail=HOSTILE, **identity)),
            ],
        ),
        (
            registry.registry.inference_journal,
            [
                msgspec.to_builtins(failure),
                {
                    **identity,
                    **inference,
                    "environment": "prd",
                    "model_used": model.model_filename,
                    "run_id": "hostile",
                },
            ],
        ),
    ):
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return "abcdef"


COMMANDS = [
    *(["list"], ["list", "--failures"], ["list", "--inferences"], ["show", "abcdef"], ["compare", "abcdef", "abcdef"]),
    *(["trace", "hostile"], ["impact", "abcdef"], ["impact", "e" * 64]),
]


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("flags", [[], ["--json"]])
@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_no_control_character_of_a_hostile_record_reaches_the_terminal(
    argv: list[str], flags: list[str], registry: Command
) -> None:
    ended = registry(*argv, *flags)
    assert ended.code in (0, 1), ended.err
    assert "evil" in ended.out, "the text itself is shown"
    for line in (ended.out + ended.err).split("\n"):
        assert line.isprintable(), line
    for line in ended.out.splitlines() if flags else ():
        assert any(HOSTILE in text for text in strings_in(msgspec.json.decode(line))), "programs get the very text"


def strings_in(content: object) -> list[str]:
    match content:
        case str():
            return [content]
        case dict():
            return [text for pair in content.items() for part in pair for text in strings_in(part)]
        case list():
            return [text for part in content for text in strings_in(part)]
    return []


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    "argv",
    [
        ["latest", "--environment", "prd"],
        ["revoke", "abcdef", "--reason", "r"],
        ["show", HOSTILE],
        ["trace", HOSTILE + "?"],
    ],
)
def test_no_control_character_of_a_hostile_record_is_in_a_sentence(argv: list[str], registry: Command) -> None:
    assert registry.refused(*argv).isprintable()


@given(text=st.text(max_size=60))
def test_json_for_a_terminal_means_the_same_and_has_no_control_character(text: str) -> None:
    if any(unicodedata.category(c) == "Cs" for c in text):
        return
    line = output.as_json({"k": text, text: [text]})
    assert line.isprintable()
    assert msgspec.json.decode(line) == {"k": text, text: [text]}


@given(cells=st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_every_cell_of_a_column_ends_where_the_next_begins(cells: list[str]) -> None:
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "echo", lambda text: lines.extend(text.split("\n")))
        output.table(("H", "END"), [(cell, "|") for cell in cells])
    assert len(lines) == len(cells) + 1
    ends = {width(click.unstyle(line)[:-1]) for line in lines[1:]}
    assert len(ends) == 1


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert [width(text) for text in ("abc", "模型", "é", "e\u0301", "ア")] == [3, 4, 1, 1, 2]


def on_a_terminal(argv: list[str], **variables: str) -> str:
    """What ``registry`` prints where its streams are a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bulkhead.cli", *argv],
        env=os.environ | variables,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert process.wait(timeout=60) == 0
    return shown.decode()


def test_colours_are_for_terminals_alone_and_no_color_turns_them_off(registry_with_two_models: Registry) -> None:
    argv = ["--models", str(registry_with_two_models.folder), "list", "--wide"]
    coloured = on_a_terminal(argv, NO_COLOR="")
    assert "\x1b[32m\x1b[1m*  model #1" in coloured
    assert "\x1b" not in on_a_terminal(argv, NO_COLOR="1")
    piped = subprocess.run([sys.executable, "-m", "bulkhead.cli", *argv], capture_output=True, text=True, check=True)
    assert piped.stdout == click.unstyle(coloured).replace("\r\n", "\n")


@pytest.mark.parametrize("flags", [["list", "--limit", "0"], ["list", "--json"], ["list", "--inferences", "--json"]])
def test_a_reader_that_has_seen_enough_ends_the_command_quietly(
    flags: list[str], registry_with_a_model: Registry
) -> None:
    model = registry_with_a_model.latest("prd")
    inference = record_lines.encode(inferred(registry_with_a_model, model))
    registry_with_a_model.training_journal.write_bytes(record_lines.encode(model) * 5_000)
    registry_with_a_model.inference_journal.write_bytes(inference * 5_000)
    argv = [sys.executable, "-m", "bulkhead.cli", "--models", str(registry_with_a_model.folder), *flags]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 141


@pytest.mark.parametrize(
    "argv",
    [
        *([], ["nonsense"], ["--nonsense"], ["list", "--nonsense"], ["list", "--environment", "test"]),
        *(["list", "--limit", "-1"], ["list", "--limit", "few"], ["list", "extra"], ["show"], ["latest"]),
        *(["compare", "one"], ["trace"], ["impact"], ["impact", "x", "--limit", "0"], ["promote"], ["promote", "x"]),
        *(["rollback", "--reason", "r"], ["revoke", "x"], ["revoke", "--reason", "r"]),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_exit_2_with_an_explanation(argv: list[str], registry: Command) -> None:
    ended = registry(*argv)
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: registry" in ended.err
    assert "Traceback" not in ended.err


def test_a_registry_that_is_not_there_is_exit_2_and_names_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--models", str(tmp_path / "none"), "list"]) == 2
    assert "Name it with --models." in capsys.readouterr().err


def ended_by(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    @click.group()
    def program() -> None:
        """A program."""

    @program.command()
    def fail() -> None:
        raise error

    code = entry_point.run(program, ["fail"])
    return code, capsys.readouterr().err


def test_a_refusal_or_a_full_disk_is_exit_1_and_one_line_and_a_bug_is_70_with_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended_by(Refused("no.\x1b Do this."), capsys) == (1, "program: no.\\x1b Do this.\n")
    full = OSError(errno.ENOSPC, "No space left on device", "models/log.txt")
    code, said = ended_by(full, capsys)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("program: models/log.txt: No space left on device. The disk is full: free some space")
    for bug in (RuntimeError("bug"), OSError(errno.EIO, "broken")):
        code, said = ended_by(bug, capsys)
        assert code == 70
        assert said.startswith("Traceback")
    assert ended_by(KeyboardInterrupt(), capsys)[0] == 130


@pytest.mark.parametrize("name", ["", *(str(c.name) for section in cli.SECTIONS.values() for c in section)])
def test_help_explains_itself_wherever_it_is_asked_for(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No registry is needed for it, and every command has an example that begins as a person types it."""
    assert cli.main([*([name] if name else []), "--help"]) == 0
    told = capsys.readouterr().out
    assert "Usage: registry" in told
    assert f"\n    just registry {name}" in told
    assert max(map(len, told.splitlines())) <= 80


def test_a_model_without_a_trouble_is_not_told_to_have_one(registry: Command) -> None:
    publish(registry.registry)
    assert "Out of service" not in registry.done("show", registry.registry.latest("prd").model_hash)


def test_a_program_that_ends_at_once_has_said_all_and_kept_its_promises() -> None:
    code = (
        "import atexit, sys; from bulkhead.cli import entry_point;"
        "atexit.register(print, 'promised'); print('said'); print('and why', file=sys.stderr); entry_point.end(3)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "said\npromised\n", "and why\n")


def test_a_program_whose_reader_has_gone_ends_at_once_too() -> None:
    code = "from bulkhead.cli import entry_point; print('said'); entry_point.end(0)"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    start = [sys.executable, "-c", code]
    with subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
