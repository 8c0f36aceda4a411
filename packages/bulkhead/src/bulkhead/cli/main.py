"""``registry``: the model registry on the command line. Needs no ML library; what does says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead.cli import annotating, deciding, listing, maintaining, predicting, showing, tracing, watching
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
        watching.status,
    ],
    "Decide": [deciding.promote, deciding.rollback, deciding.revoke],
    "Write down": [annotating.note, annotating.tag_model],
    "Maintain": [maintaining.verify_registry, maintaining.repair, maintaining.gc],
}

registry = common_options(Sections(SECTIONS))


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``registry``; returns the exit code."""
    return run(registry, argv)
