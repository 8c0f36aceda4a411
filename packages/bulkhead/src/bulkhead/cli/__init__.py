"""``registry``: the model registry on the command line. Needs no ML library; what does says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead import command
from bulkhead.cli import care, deciding, listing, reading, tracing
from bulkhead.cli.group import Sections, common_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

SECTIONS: dict[str, list[click.Command]] = {
    "Read": [
        listing.list_models,
        reading.show,
        reading.latest,
        reading.compare_models,
        tracing.trace_inference,
        tracing.show_impact,
    ],
    "Decide": [deciding.promote, deciding.rollback, deciding.revoke],
    "Care": [care.verify_registry, care.repair, care.gc],
}

registry = common_options(Sections(SECTIONS))


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``registry``; returns the exit code."""
    return command.run(registry, argv)
