"""``just docs``: write docs/registry-cli.md from the commands themselves.

The page is what ``--help`` says, so it cannot say anything else; a test compares the two. Only the names of the
environments are left out: ``environments.py`` alone lists them.
"""

from __future__ import annotations

import sys
from copy import copy
from pathlib import Path

import click

from bulkhead.cli.main import SECTIONS, registry

PAGE = Path(__file__).resolve().parent.parent / "docs/registry-cli.md"

HEAD = """# The registry's command line

Written by `just docs` from what `--help` says; edit the commands, not this page. ENVIRONMENT is `dev`, `prd` or one
that you [added](how-to-add-an-environment.md); `--help` lists those that there are.

What the records mean, and what promoting and rolling back do: [registry.md](registry.md).
"""


def reference() -> str:
    """The page."""
    return "\n".join([HEAD, _block(registry), *(_section(name) for name, commands in SECTIONS.items() if commands)])


def _section(name: str) -> str:
    blocks = (f"### {command.name}\n\n{_block(command)}" for command in SECTIONS[name])
    return "\n".join([f"## {name}\n", *blocks])


def _block(command: click.Command) -> str:
    name = "registry" if command is registry else f"registry {command.name}"
    command = copy(command)
    command.params = [_without_names(parameter) for parameter in command.params]
    # A width of its own: the page must not depend on the terminal that it is made on.
    with click.Context(command, info_name=name, terminal_width=100, max_content_width=100, color=False) as context:
        return f"```text\n{command.get_help(context)}\n```\n"


def _without_names(parameter: click.Parameter) -> click.Parameter:
    if parameter.name == "environment":
        parameter = copy(parameter)
        parameter.metavar = "ENVIRONMENT"
    return parameter


if __name__ == "__main__":
    PAGE.write_text(reference())
    sys.stdout.write(f"wrote {PAGE.name}\n")
