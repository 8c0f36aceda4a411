"""``registry``: the model registry on the command line. Needs no ML library; what does says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead.cli import deciding, listing, maintaining, predicting, showing, tracing
from bulkhead.cli.entry_point import run
from bulkhead.cli.group import Sections, common_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

SECTIONS: dict[str, list[click.Command]] = {
    "Read": [
        listing.list_models,
        showing.show,
        showing.latest,
        showing.compare_models,
        tracing.trace_inference,
        tracing.show_impact,
        predicting.show_predictions,
    ],
    "Decide": [deciding.promote, deciding.rollback, deciding.revoke],
    "Maintain": [maintaining.verify_registry, maintaining.repair, maintaining.gc],
}

registry = common_options(Sections(SECTIONS))


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``registry``; returns the exit code."""
    return run(registry, argv)
