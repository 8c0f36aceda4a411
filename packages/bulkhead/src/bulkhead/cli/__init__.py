"""``registry``: the model registry on the command line. Needs no ML library; what does says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead import command
from bulkhead.cli import care, reading
from bulkhead.cli.group import Sections, common_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

SECTIONS: dict[str, list[click.Command]] = {
    "Read": [reading.list_models],
    "Decide": [],
    "Care": [care.verify_registry, care.repair, care.gc],
}

registry = common_options(Sections(SECTIONS))


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``registry``; returns the exit code."""
    return command.run(registry, argv)
