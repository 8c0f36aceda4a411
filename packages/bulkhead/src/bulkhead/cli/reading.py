"""What ``registry`` tells: nothing here changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from bulkhead import log
from bulkhead.cli.table import number, table
from bulkhead.identity import ENVIRONMENTS
from bulkhead.records import ModelRecord, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bulkhead.cli.group import Place

_HEADER = ("", "ENVIRONMENT", "MODEL", "TRAINED", "ROWS", "R2", "RMSE", "SOURCE")


@click.command("list")
@click.option("--environment", type=click.Choice(ENVIRONMENTS), help="Only this environment's models.")
@click.option("--json", "as_json", is_flag=True, help="One record a line, for programs.")
@click.pass_obj
def list_models(place: Place, environment: str | None, *, as_json: bool) -> None:
    """List the published models, newest last; * marks the one that inference takes.

    Lines of the log that are no record are counted on stderr.
    """
    registry = place.registry
    models, unreadable = [], 0
    for record in log.read(registry.trainings):
        if isinstance(record, Unreadable):
            unreadable += 1
        elif isinstance(record, ModelRecord) and environment in (None, record.environment):
            models.append(record)
    if as_json:
        for model in models:
            click.echo(msgspec.json.encode(model))
    elif models:
        for line in table([_HEADER, *_rows(models)]):
            click.echo(line)
    else:
        click.echo("No models yet. Trigger a train_model DAG, or run: just demo", err=True)
    if unreadable:
        click.echo(f"{registry.trainings.name}: passed over {unreadable} unreadable lines", err=True)


def _rows(models: Sequence[ModelRecord]) -> Iterator[tuple[str, ...]]:
    served = {model.environment: model for model in models}
    for model in models:
        metrics, data = model.metrics or {}, model.data
        yield (
            "*" if served[model.environment] is model else "",
            model.environment,
            model.model_filename,
            model.training_timestamp[:19],
            str(data.rows) if data else "-",
            number(metrics.get("r2")),
            number(metrics.get("rmse")),
            data.path if data else "-",
        )
