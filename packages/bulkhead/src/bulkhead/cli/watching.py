"""``registry status``: whether all is well with what the registry serves, and with what it needs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click
import msgspec

from bulkhead import formatting
from bulkhead.cli import output
from bulkhead.cli.group import examples, json_option, wide_option
from bulkhead.errors import EXIT_REFUSED
from bulkhead.paths import JOURNALS
from bulkhead.queries import health
from bulkhead.queries.health import LastVerify

if TYPE_CHECKING:
    from bulkhead.cli.group import Place
    from bulkhead.queries.health import Disk, Health, Journal, Served
    from bulkhead.queries.last_runs import LastRun


_AGREES = {
    True: "as the registrar saw it",
    False: "NOT as the registrar saw it",
    None: "nobody says what it should be",
}


def _verify(context: click.Context, parameter: click.Parameter, text: str | None) -> LastVerify | None:
    try:
        return None if text is None else msgspec.json.decode(text, type=LastVerify)
    except msgspec.DecodeError:
        raise click.BadParameter("give the result of a verify as JSON.", context, parameter) from None


@click.command("status", epilog=examples("status", "status --json"))
# For 'just registry', which asks the API server what the Models page's verify has found.
@click.option("--verified", metavar="JSON", callback=_verify, hidden=True)
@wide_option
@json_option
@click.pass_obj
def status(place: Place, verified: LastVerify | None, *, as_json: bool) -> int:
    """Say whether all is well; exit 0 only when it is.

    What each environment serves, how each pipeline ended last, the registrar, hosts, disks, and the journals' ends,
    here and as the registrar saw them last. A run that failed is told, and is nothing wrong by itself. 'just status'
    says the services, too.
    """
    found = health.look(place.registry.folder, place.shared, verified=verified)
    if as_json:
        click.echo(output.as_json({**msgspec.to_builtins(found), "well": found.is_well}))
    else:
        _print(found)
    return 0 if found.is_well else EXIT_REFUSED


def _print(found: Health) -> None:
    _part("Served", [_served(one) for one in found.served] or [("nothing yet",)])
    _part("Last runs", [_run(run) for run in found.runs] or [("none yet",)])
    _part("Journals", [_journal(one) for one in found.journals])
    _part("Disk", [_disk(disk) for disk in found.disks])
    if found.hosts:
        _part("Hosts", [(host.name, host.state, f"{formatting.number(host.running)} steps") for host in found.hosts])
    registrar = found.registrar
    _part("Registrar", [(registrar.state, registrar.trouble or "")])
    _part("Verify", [_verified(found.verify)])
    if found.is_well:
        output.say("All is well.", output.GOOD)
    for problem in found.problems:
        output.say(f"Wrong: {problem}", output.BAD)


def _part(title: str, rows: list[tuple[str, ...]]) -> None:
    output.say(title, output.TITLE)
    for _, alike in groupby(rows, key=len):
        output.aligned(list(alike), "  ")


def _served(one: Served) -> tuple[str, ...]:
    since = f"since {formatting.time(one.since)}" if one.since else ""
    called = one.short_name or f"nothing of {one.name}"
    return (one.environment, called, one.model_filename or "", since, one.trouble or "")


def _run(run: LastRun) -> tuple[str, ...]:
    outcome = run.outcome if run.cause is None else f"{run.outcome}: {run.cause}"
    return (run.environment, run.name, run.pipeline, outcome, formatting.time(run.time), run.what)


def _journal(one: Journal) -> tuple[str, ...]:
    if not one.size_bytes and one.trouble is None:
        return (f"models/{JOURNALS[one.name]}", "nothing yet", "", "")
    end = f"line {one.seq}, {one.hash[:12]}" if one.seq is not None and one.hash else "no chain"
    return (f"models/{JOURNALS[one.name]}", formatting.size(one.size_bytes), end, _AGREES[one.agrees])


def _disk(disk: Disk) -> tuple[str, ...]:
    room = f"{formatting.size(disk.free_bytes)} of {formatting.size(disk.total_bytes)}"
    return (f"{disk.folder}/", f"{disk.percent_free:.0f} % free", room)


def _verified(last: LastVerify | None) -> tuple[str, ...]:
    if last is None:
        return ("none is known of: just registry verify", "")
    how = last.trouble or ("clean" if last.is_clean else formatting.count(last.damage, "finding"))
    notes = f", {formatting.count(last.notes, 'note')}" if last.notes else ""
    return (f"{how}{notes}", formatting.time(last.finished))
