"""``registry``: the model registry on the command line. Needs no ML library."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from bulkhead import command, log
from bulkhead.identity import ENVIRONMENTS
from bulkhead.records import ModelRecord, Unreadable
from bulkhead.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEADER = ("", "ENVIRONMENT", "MODEL", "TRAINED", "ROWS", "R2", "RMSE", "SOURCE")


@click.group(no_args_is_help=True)
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    default="/models",
    show_default=True,
    help="The registry's folder.",
)
@click.pass_context
def registry(context: click.Context, models: Path) -> None:
    """Look into the model registry."""
    context.obj = Registry(models)


@registry.command("list")
@click.option("--environment", type=click.Choice(ENVIRONMENTS), help="Only this environment's models.")
@click.option("--json", "as_json", is_flag=True, help="One record a line, for programs.")
@click.pass_obj
def list_models(registry: Registry, environment: str | None, *, as_json: bool) -> None:
    """List the published models, newest last; * marks the one that inference takes.

    Lines of the log that are no record are counted on stderr.
    """
    if not registry.folder.is_dir():
        raise click.UsageError(f"no registry at {registry.folder}: there is no such folder. Name it with --models.")
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
        for line in _table([_HEADER, *_rows(models)]):
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
            _number(metrics.get("r2")),
            _number(metrics.get("rmse")),
            data.path if data else "-",
        )


def _number(value: object) -> str:
    # A record can be edited by hand: a metric need not be a number, or one that a float can hold.
    return f"{value:.4g}" if isinstance(value, float) else "-"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    # A record can be edited by hand: no control character of it may reach the terminal.
    shown = [["".join(c if c.isprintable() else "?" for c in cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``registry``; returns the exit code."""
    return command.run(registry, argv)


if __name__ == "__main__":
    sys.exit(main())
