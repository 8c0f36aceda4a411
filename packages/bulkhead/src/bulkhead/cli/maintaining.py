"""What keeps the registry in order: verify, repair, gc."""

from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import click
import msgspec

from bulkhead import formatting
from bulkhead.cli import output
from bulkhead.cli.group import by_option, examples, json_option, wide_option
from bulkhead.cli.output import shown
from bulkhead.errors import EXIT_REFUSED
from bulkhead.maintenance import seen_heads
from bulkhead.maintenance.gc import GarbageCollector, RetentionRule
from bulkhead.maintenance.repair import Repair
from bulkhead.maintenance.verify import amount, verify
from bulkhead.registry.chain import KeyRing
from bulkhead.registry.decisions import DecisionContext
from bulkhead.untrusted import Untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bulkhead.cli.group import Place
    from bulkhead.maintenance.gc import Expired
    from bulkhead.maintenance.verify import Finding
    from bulkhead.registry.records import Quarantine

_MOST_SHOWN = 20
"""Findings of one kind in the table for people; ``--json`` prints all."""
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

_yes_option = click.option("--yes", is_flag=True, help="Do it. Without this, only say what would be done.")


def _age(context: click.Context, parameter: click.Parameter, text: str) -> timedelta:
    read = re.fullmatch(r"(\d{1,4})([hdw])", text, re.ASCII)
    if read is None:
        raise click.BadParameter(f"{text!r} is no age. Write a number and h, d or w: 12h, 30d, 2w.", context, parameter)
    return int(read[1]) * _UNITS[read[2]]


@click.command("verify", epilog=examples("verify", "verify --quick"))
@click.option("--quick", is_flag=True, help="Of predictions files, only look whether they are there.")
@json_option
@click.pass_obj
def verify_registry(place: Place, *, quick: bool, as_json: bool) -> int:
    """Check every line and file against the records; exit 0 only when clean.

    Damage makes it unclean, notes do not. The logs' chains are checked too: what was edited, inserted or deleted, and,
    where the registrar can be asked, what was cut off at the end or set back.
    """
    counted: Counter[str] = Counter()
    fixed: Counter[str] = Counter()
    # A line printed beside a progress bar would tear it: what a person reads waits for its end.
    kept: list[Finding] = []
    for found in _checked(place, quick=quick):
        counted[found.severity] += 1
        counted[found.kind] += 1
        fixed[found.mended_by or ""] += 1
        if as_json:
            click.echo(output.as_json(found))
        elif counted[found.kind] <= _MOST_SHOWN:
            kept.append(found)
    if not as_json:
        for found in kept:
            _show(found)
        for kind in dict.fromkeys(found.kind for found in kept):
            if counted[kind] > _MOST_SHOWN:
                click.echo(f"... and {counted[kind] - _MOST_SHOWN} more of {kind}; --json prints all of them.")
        _summarise(counted, fixed)
    return EXIT_REFUSED if counted["damage"] else 0


@click.command("repair", epilog=examples("repair", "repair --yes"))
@_yes_option
@by_option
@click.option("--reason", default="registry repair", show_default=True, help="Why; the record keeps it.")
@json_option
@click.pass_obj
def repair(place: Place, by: str, reason: str, *, yes: bool, as_json: bool) -> int:
    """Put torn lines, orphaned and altered model files into models/quarantine/.

    Nothing is deleted or rewritten: of a line a copy is taken and a record says so, a file is moved.
    Records that contradict each other are left to a person.
    """
    fixer = Repair(place.registry_to_write, DecisionContext(by, reason))
    left: Counter[str] = Counter()
    mine: list[Finding] = []
    for found in _checked(place):
        if found.mended_by == "repair":
            mine.append(found)
        elif found.is_damage:
            left[found.mended_by or ""] += 1
    failed = 0
    for found in mine:
        try:
            done = fixer.fix(found) if yes else None
        except (OSError, Untrusted) as error:  # the rest can be fixed all the same
            told = str(error)
            if isinstance(error, OSError):
                told = f"{found.path}: {error.strerror}. Fix its mode, its owner or the disk."
            click.echo(shown(told), err=True)
            failed = EXIT_REFUSED
            continue
        if as_json:
            click.echo(output.as_json({"finding": found, "quarantine": done}))
        else:
            click.echo(_fixing(found, done, yes=yes))
    if not as_json:
        for line in _after_repair(mine, left, yes=yes):
            click.echo(line)
    return failed


@click.command("gc", epilog=examples("gc --keep 5 --older-than 30d", "gc --keep 5 --older-than 30d --yes"))
@click.option("--keep", default=5, show_default=True, help="The newest N of each environment, and of each DAG, stay.")
@click.option(
    "--older-than",
    default="30d",
    show_default=True,
    metavar="AGE",
    callback=_age,
    help="What is younger stays: 12h, 30d, 2w.",
)
@_yes_option
@by_option
@click.option("--reason", help="Why; the record keeps it.  [default: this command]")
@wide_option
@json_option
@click.pass_obj
def gc(  # noqa: PLR0913  # its options
    place: Place, keep: int, older_than: timedelta, by: str, reason: str | None, *, yes: bool, as_json: bool
) -> int:
    """Remove old model files and run folders; their records stay.

    Never a model that is served, next to be rolled back to, promoted, or used lately; never a run
    folder that is in use. What cannot be removed is passed over, and told at the end: exit code 1.
    """
    _require(place)
    collector = GarbageCollector(place.registry_to_write, place.shared, RetentionRule(keep, older_than))
    reason = reason or f"gc --keep {keep} --older-than {_short(older_than)}"
    removed = collector.collect(DecisionContext(by, reason)) if yes else iter(collector.plan())
    if as_json:
        for old in removed:
            click.echo(output.as_json({"removed": yes, **msgspec.structs.asdict(old)}))
        return _tell_left(collector)
    gone: list[Expired] = []
    try:
        for old in removed:
            gone.append(old)  # noqa: PERF402  # what is gone is told, even where the next thing cannot be removed
    finally:
        if gone:
            _show_old(gone, yes=yes)
    if not gone and not collector.left:
        click.echo("Nothing is old enough to be removed.")
    return _tell_left(collector)


def _tell_left(collector: GarbageCollector) -> int:
    """Say on stderr what could not be removed; returns the exit code."""
    for left in collector.left:
        click.echo(f"{shown(left.path)}: left, for it cannot be removed: {shown(left.why)}.", err=True)
    if not collector.left:
        return 0
    click.echo(
        f"{formatting.count(len(collector.left), 'thing')} could not be removed. Give them to this user, then run gc"
        " again.",
        err=True,
    )
    return EXIT_REFUSED


def _require(place: Place) -> None:
    if not (place.shared / "runs").is_dir():
        raise click.UsageError(
            f"no run folders at {place.shared}/runs: there is no such folder. Name it with --shared."
        )


def _checked(place: Place, *, quick: bool = True) -> Iterator[Finding]:
    """What verify finds, with a progress bar on a terminal."""
    registry, ring = place.registry, KeyRing.from_environment()
    _require(place)
    heads = seen_heads.ask()
    hidden = not sys.stderr.isatty()
    length = 1 if hidden else amount(registry)
    with click.progressbar(length=length, label="verify", file=sys.stderr, hidden=hidden) as bar:
        yield from verify(
            registry,
            place.shared,
            predictions=not quick,
            progress=bar.update,
            ring=ring,
            heads=heads,
        )


def _show(found: Finding) -> None:
    colour = "red" if found.is_damage else "yellow"
    click.echo(f"{click.style(found.severity, fg=colour)}  {found.kind}  {shown(found.sentence)}")


def _summarise(counted: Counter[str], fixed: Counter[str]) -> None:
    notes = f", {formatting.count(counted['note'], 'note')}" if counted["note"] else ""
    if not counted["damage"]:
        click.echo(f"{click.style('clean', fg='green')}{notes}")
        return
    click.echo(f"{click.style('not clean', fg='red')}: {formatting.count(counted['damage'], 'finding')}{notes}")
    if fixed["repair"]:
        click.echo(f"{fixed['repair']} can be put aside: just registry repair")
    rest = Counter({fixer: fixed[fixer] for fixer in ("gc", "person") if fixed[fixer]})
    if rest:
        click.echo(_rest(rest))


def _rest(left: Counter[str]) -> str:
    told = {
        "gc": f"{left['gc']} can be finished: just registry gc",
        "person": f"{left['person']} must be decided by a person, who knows which record or file is true",
    }
    return "\n".join(text for fixer, text in told.items() if left[fixer])


def _after_repair(mine: Sequence[Finding], left: Counter[str], *, yes: bool) -> Iterator[str]:
    if not mine:
        yield "There is nothing to repair."
    elif not yes:
        yield f"{formatting.count(len(mine), 'thing')} would be quarantined, nothing was. Run it with --yes to do it."
    if left:
        yield _rest(left)


def _fixing(found: Finding, done: Quarantine | None, *, yes: bool) -> str:
    where = shown(found.path) + (f" byte {found.offset}" if found.offset is not None else "")
    if done is not None:
        return f"quarantined  {where} -> {shown(done.moved_to)}"
    return f"{'gone already' if yes else 'would quarantine'}  {where}  ({found.kind})"


def _show_old(removed: Sequence[Expired], *, yes: bool) -> None:
    rows = [
        (old.kind, old.path, formatting.size(old.size_bytes), formatting.duration(old.age_seconds), old.why)
        for old in removed
    ]
    steps = [("WHY", 30), ("PATH", 50), ("WHAT", 0), ("PATH", 24)]
    output.table(("WHAT", "PATH", "SIZE", "AGE", "WHY"), rows, longest=200, steps=steps)
    models = sum(old.kind == "model" for old in removed)
    what = f"{formatting.count(models, 'model file')} and {formatting.count(len(removed) - models, 'run folder')}"
    total = formatting.size(sum(old.size_bytes for old in removed))
    click.echo(f"{what}, {total}" + (" removed." if yes else ". Nothing was removed. Run it with --yes to do it."))


def _short(time: timedelta) -> str:
    hours = int(time.total_seconds() // 3600)
    return f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"
