"""docs/registry-cli.md says of every command what its ``--help`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
import registry_reference

from bulkhead.cli import main as cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = registry_reference.PAGE.read_text()


def commands(group: click.Command, path: str = "registry") -> Iterator[tuple[str, click.Command]]:
    """``group`` and everything below it, each with what a person types."""
    yield path, group
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, f"{path} {name}")


EVERY = dict(commands(cli.registry))


def test_the_page_is_what_the_commands_say() -> None:
    assert registry_reference.reference() == PAGE, "docs/registry-cli.md is stale. Run: just docs"


@pytest.mark.parametrize("path", EVERY)
def test_every_command_and_option_is_on_the_page(path: str) -> None:
    command = EVERY[path]
    block = PAGE.partition(f"Usage: {path} ")[2].partition("```")[0]
    assert " ".join(str(command.help).split())[:60] in " ".join(block.split())
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.hidden:  # for scripts
            continue
        for option in parameter.opts if isinstance(parameter, click.Option) else [str(parameter.metavar or "")]:
            assert option in block


def test_every_section_s_command_is_in_the_group_and_no_other() -> None:
    in_sections = [command for section in cli.SECTIONS.values() for command in section]
    assert list(cli.registry.commands.values()) == in_sections
    assert len({command.name for command in in_sections}) == len(in_sections)
