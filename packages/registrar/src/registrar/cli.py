"""The registrar's command line: ``registrar COMMAND``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any, cast

import click

from bulkhead.errors import EXIT_REFUSED, BulkheadError, one_line
from bulkhead.paths import JOURNALS

_HEALTH_SECONDS = 5.0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The one writer of the registry."""


@cli.command()
def serve() -> None:
    """Answer over the socket, and look after containers, until SIGTERM."""
    from registrar import serving
    from registrar.settings import Settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    serving.serve(Settings.from_environment())


@cli.command()
def health() -> None:
    """Whether the registrar answers."""
    from bulkhead.registrar_protocol import DEFAULT_SOCKET, SOCKET_VARIABLE
    from bulkhead.unix_http import Client

    socket = Path(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET)
    try:
        status, body = Client(socket, _HEALTH_SECONDS).request("GET", "/health")
    except OSError as error:
        raise click.ClickException(f"nobody answers at {socket} ({error})") from None
    click.echo(body.decode(errors="replace"))
    if status != 200:  # noqa: PLR2004  # HTTP's
        raise SystemExit(EXIT_REFUSED)


@cli.command("prepare-database")
def prepare_database() -> None:
    """Make the roles and the registrar's database; does nothing where all is done."""
    from registrar.preparation import Passwords, Preparation
    from registrar.settings import port, secret

    passwords = Passwords(
        airflow=secret(os.environ, "BULKHEAD_DB_PASSWORD"),
        admin=secret(os.environ, "BULKHEAD_DB_ADMIN_PASSWORD"),
        registrar=secret(os.environ, "BULKHEAD_REGISTRAR_DB_PASSWORD"),
    )
    Preparation(os.environ.get("BULKHEAD_DB_HOST") or "postgres", port(os.environ), passwords).run()
    click.echo("the database is ready")


@cli.command()
@click.option("--reason", required=True, help="Why the logs are right as they are.")
def accept(reason: str) -> None:
    """Take the logs as they are: the ends that were seen before are forgotten."""
    from registrar import serving
    from registrar.settings import Settings

    by = os.environ.get("BULKHEAD_BY") or "by hand"
    for line in serving.accept(Settings.from_environment(), by=by, reason=reason):
        click.echo(line)


@cli.command()
@click.option("--run-folder", required=True, help="The step's run folder, below shared/runs.")
@click.option("--container", required=True, help="The id of the step's container.")
@click.option("--journal", required=True, type=click.Choice(tuple(JOURNALS)), help="Where a failure goes.")
@click.option("--environment", required=True, help="The step's; empty: where a promotion goes to.")
@click.argument("step")
def record(run_folder: str, container: str, journal: str, environment: str, step: str) -> None:
    """Record what the step STEP, started by hand, has left. Who it was is in BULKHEAD_*."""
    from bulkhead.identity import Identity
    from bulkhead.registry.chain import KeyRing
    from bulkhead.registry.store import Registry
    from registrar import by_hand

    shared, models = Path("/shared"), Path("/models")
    if os.environ.get("AIRFLOW_HOME"):
        shared, models = (Path(os.environ["AIRFLOW_HOME"]) / name for name in ("shared", "models"))
    runs = shared / "runs"
    folder = runs / run_folder
    if ".." in folder.parts or not folder.resolve().is_relative_to(runs.resolve()):
        raise click.UsageError(f"--run-folder {run_folder!r} is not below shared/runs.")
    said = by_hand.record(
        Registry(models, KeyRing.from_environment()),
        folder,
        step=step,
        container=container,
        journal=cast("Any", journal),
        environment=environment,
        identity=Identity.from_environment(step),
        by=os.environ.get("BULKHEAD_BY") or None,
    )
    if said is not None:
        click.echo(said)


def main() -> None:
    """Run the command line; a refusal is one line and exit code 1."""
    try:
        cli(prog_name="registrar")
    except BulkheadError as error:
        click.echo(f"registrar: {one_line(str(error))}", err=True)
        raise SystemExit(EXIT_REFUSED) from None
