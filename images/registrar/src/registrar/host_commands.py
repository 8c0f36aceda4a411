"""What a person does about hosts: ``registrar host-add`` and the like, which ``just host-add`` calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from bulkhead.errors import Refused
from bulkhead.hosts_protocol import MAIN, HostStatus, checked_name
from bulkhead.queries.hosts import listing

if TYPE_CHECKING:
    from registrar.host_tables import HostTables

_HEARD_SECONDS = 60.0
"""Who was heard of since is not down for certain."""


@click.command()
def hosts() -> None:
    """Every host, as JSON."""
    listed = [{**msgspec.to_builtins(host), "state": host.state} for host in listing()]
    click.echo(msgspec.json.encode(listed).decode())


@click.command("host-add")
@click.argument("name")
@click.option("--queues", default="default", help="Those that it serves, with commas.")
def host_add(name: str, queues: str) -> None:
    """Add the host NAME, or give it a new secret; prints the secret's generation."""
    from registrar.settings import queues as named

    if _checked(name) == MAIN:
        raise Refused(f"{MAIN} is the first host, which is there already.")
    click.echo(_tables().add(name, named(queues)))


@click.command("host-drain")
@click.argument("name")
@click.option("--undo", is_flag=True, help="Have it take work again.")
def host_drain(name: str, *, undo: bool) -> None:
    """Have the host NAME take no new work."""
    host = _known(name)
    _tables().drain(name, queues=host.queues, is_draining=not undo)
    if undo:
        click.echo(f"{name} takes work again.")
    else:
        running = "nobody knows how many" if host.running is None else host.running
        click.echo(
            f"{name} takes no new work; steps that run there: {running}. Its opposite: 'just host-drain {name} --undo'."
        )


@click.command("host-remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Though steps may be running there: they count no more.")
def host_remove(name: str, *, force: bool) -> None:
    """Forget the host NAME; its secret is none any more."""
    if _checked(name) == MAIN:
        raise Refused(f"{MAIN} is the first host. Drain it, if it is to run no steps.")
    host = _known(name)
    if not force and not host.is_lost and host.running != 0:
        what = "its launcher does not answer" if host.running is None else f"{host.running} steps run there"
        raise Refused(
            f"{name} is not removed: {what}. Run 'just host-drain {name}' and wait; or this again with --force:"
            " what runs there then counts no more, and is run elsewhere."
        )
    _tables().remove(name)
    click.echo(f"{name} is removed. There, 'just host-down' stops what is left.")


@click.command("host-release")
@click.argument("name")
def host_release(name: str) -> None:
    """Say that the host NAME is down for certain: its steps are started elsewhere now."""
    if _checked(name) == MAIN:
        raise Refused(f"{MAIN} is the first host, on which this runs.")
    host = _known(name)
    if host.seconds_silent is not None and host.seconds_silent < _HEARD_SECONDS:
        raise Refused(
            f"{name} was heard of {host.seconds_silent:.0f} s ago: it is not down. Drain it; or stop it, and run this"
            f" again after {_HEARD_SECONDS:.0f} s."
        )
    _tables().release(name)
    click.echo(f"{name} counts as down: what it was running is started elsewhere, and counts no more there.")


def _tables() -> HostTables:
    from registrar.host_tables import HostTables
    from registrar.settings import Settings

    return HostTables(Settings.from_environment().own_database())


def _known(name: str) -> HostStatus:
    found = next((host for host in listing() if host.name == _checked(name)), None)
    if found is None:
        raise Refused(f"there is no host {name}. 'just hosts' lists them.")
    return found


def _checked(name: str) -> str:
    try:
        return checked_name(name)
    except ValueError as error:
        raise Refused(str(error)) from None
