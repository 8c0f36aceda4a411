"""The registrar's command line: ``registrar COMMAND``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from bulkhead.cli import entry_point
from bulkhead.errors import EXIT_REFUSED, Refused
from bulkhead.paths import JOURNALS
from bulkhead.step.options import name_option
from registrar import host_commands

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEALTH_SECONDS = 5.0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def registrar() -> None:
    """The one writer of the registry."""


@registrar.command()
def serve() -> None:
    """Answer over the socket, and look after containers, until SIGTERM."""
    from registrar import serving
    from registrar.settings import Settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    serving.serve(Settings.from_environment())


@registrar.command()
def health() -> int:
    """Whether the registrar answers."""
    from bulkhead.registrar_protocol import DEFAULT_SOCKET, SOCKET_VARIABLE
    from bulkhead.unix_http import Client

    socket = Path(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET)
    try:
        status, body = Client(socket, _HEALTH_SECONDS).request("GET", "/health")
    except OSError as error:
        raise Refused(f"nobody answers at {socket} ({error}). Read 'just logs registrar'.") from None
    click.echo(body.decode(errors="replace"))
    return 0 if status == 200 else EXIT_REFUSED  # noqa: PLR2004  # HTTP's


@registrar.command("prepare-database")
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


registrar.add_command(host_commands.hosts)
registrar.add_command(host_commands.host_add)
registrar.add_command(host_commands.host_drain)
registrar.add_command(host_commands.host_remove)
registrar.add_command(host_commands.host_release)


@registrar.command()
@click.option("--reason", required=True, help="Why the logs are right as they are.")
def accept(reason: str) -> None:
    """Take the logs as they are: the ends that were seen before are forgotten."""
    from registrar import serving
    from registrar.settings import Settings

    by = os.environ.get("BULKHEAD_BY") or "by hand"
    for line in serving.accept(Settings.from_environment(), by=by, reason=reason):
        click.echo(line)


@registrar.command()
@click.option("--run-folder", required=True, help="The step's run folder, below shared/runs.")
@click.option("--container", required=True, help="The id of the step's container.")
@click.option("--journal", required=True, type=click.Choice(tuple(JOURNALS)), help="Where a failure goes.")
@click.option("--environment", required=True, help="The step's; empty: where a promotion goes to.")
@name_option
@click.argument("step")
def record(run_folder: str, container: str, journal: str, environment: str, name: str, step: str) -> None:
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
        model_name=name,
        identity=Identity.from_environment(step),
        by=os.environ.get("BULKHEAD_BY") or None,
    )
    if said is not None:
        click.echo(said)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``registrar``; returns the exit code."""
    return entry_point.run(registrar, argv)


if __name__ == "__main__":
    sys.exit(main())
