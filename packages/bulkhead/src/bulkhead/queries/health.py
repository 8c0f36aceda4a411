"""Whether all is well: what is served, how the last runs ended, hosts, disk, the journals and who watches over them.

What files tell is told whether or not anything runs. Of a journal of inferences the end alone is read, so the answer
takes as long after a million of them as after a thousand.
"""

from __future__ import annotations

import os
import shutil
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from bulkhead import clock, formatting
from bulkhead.errors import Refused, one_line
from bulkhead.files import sha256
from bulkhead.hosts_protocol import HostStatus
from bulkhead.maintenance.seen_heads import not_the_log
from bulkhead.paths import JOURNALS, JournalName
from bulkhead.queries import hosts
from bulkhead.queries.last_runs import LastRun, last_runs
from bulkhead.queries.status import version_statuses
from bulkhead.registrar_protocol import DEFAULT_SOCKET, SOCKET_VARIABLE, SeenHead
from bulkhead.registry import chain, journal
from bulkhead.registry.serving import RegistryState
from bulkhead.registry.store import Registry
from bulkhead.untrusted import Untrusted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bulkhead.maintenance.background_verify import VerifyReport

Answer = TypeVar("Answer")

LEAST_FREE = 10
"""Percent of a disk; with less it is low."""
_SECONDS = 1.0
"""For the registrar to answer: it does so in milliseconds, or not."""
_OK = 200
_LINES = 10_000
"""How far back the line is looked for that the registrar saw last."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What an environment serves of a model."""

    environment: str
    name: str
    model_filename: str | None
    """None: it has had versions, and serves none."""
    short_name: str | None = None
    """What people call it."""
    since: str | None = None
    """When it came to be served."""
    trouble: str | None = None
    """Why inference will refuse it."""


class KnownPlaces(msgspec.Struct, frozen=True):
    """What every environment serves of every model."""

    served: list[Served]
    places: list[tuple[str, str]]
    """Every environment and name that ever had a version."""


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """The file system of one of the project's folders."""

    folder: str
    total_bytes: int
    free_bytes: int

    @property
    def percent_free(self) -> float:
        """Of what there is."""
        return 100 * self.free_bytes / self.total_bytes if self.total_bytes else 0.0

    @property
    def is_low(self) -> bool:
        """Whether it will be full soon."""
        return self.percent_free < LEAST_FREE


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """A journal's size and the head of its chain, here and as the registrar saw it last."""

    name: JournalName
    size_bytes: int
    seq: int | None = None
    """Of its last line; None: it has none, or that is no part of a chain."""
    hash: str | None = None
    seen: SeenHead | None = None
    """None: the registrar cannot be asked, or has never seen the journal."""
    trouble: str | None = None
    """Why it is not what it should be."""

    @property
    def agrees(self) -> bool | None:
        """Whether it continues from what the registrar saw last; None: nobody can say."""
        return None if self.seen is None else self.trouble is None


class Registrar(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the one writer of the registry does its work."""

    state: Literal["ready", "waiting", "away"]
    trouble: str | None = None
    """What it waits for, or how it does not answer."""


class LastVerify(msgspec.Struct, frozen=True, kw_only=True):
    """How the last verify that is known of ended."""

    finished: str
    damage: int
    notes: int
    trouble: str | None = None
    """Why it did not come to its end."""

    @property
    def is_clean(self) -> bool:
        """Everything was looked at, and is as the records say."""
        return self.trouble is None and self.damage == 0

    @classmethod
    def of(cls, report: VerifyReport) -> LastVerify:
        """What is kept of a whole report."""
        return cls(finished=report.finished, damage=report.damage, notes=report.notes, trouble=report.trouble)


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, at one moment."""

    time: str
    served: list[Served]
    """By environment, then by name."""
    runs: list[LastRun]
    """Likewise; none where a pipeline has not run lately, or never."""
    hosts: list[HostStatus]
    """The first one first; none where there is but one."""
    disks: list[Disk]
    journals: list[Journal]
    registrar: Registrar
    verify: LastVerify | None
    """None: none is known of."""
    problems: list[str]
    """What a person should do something about, a sentence each. A failed run is none: it is told, and was told."""

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do."""
        return not self.problems


def look(models: Path, shared: Path, *, verified: LastVerify | None = None, known: KnownPlaces | None = None) -> Health:
    """How everything is that can be asked from here.

    Args:
        models: the registry's folder.
        shared: the project's ``shared/``.
        verified: how the last verify ended, where that is known.
        known: what is served, from whoever keeps the registry's state; None: ``log.txt`` is read, which takes 0.2 s at
            10,000 models.
    """
    registry = Registry(models)
    registrar, seen = _registrar()
    listed, broken = _hosts(registrar)
    problems = [] if broken is None else [broken]
    try:
        if known is None:
            known = places(RegistryState(journal.read(registry.training_journal)), models)
        served, runs = known.served, last_runs(registry, known.places)
    except (Untrusted, OSError) as error:
        served, runs = [], []
        problems.append(one_line(f"{error}"))
    disks = [disk for name, folder in (("models", models), ("shared", shared)) for disk in _disk(name, folder)]
    journals = [_journal(registry, name, seen.get(name)) for name in JOURNALS]
    return Health(
        time=clock.in_record(clock.now()),
        served=served,
        runs=runs,
        hosts=listed,
        disks=disks,
        journals=journals,
        registrar=registrar,
        verify=verified,
        problems=[*_problems(registrar, served, listed, disks, journals, verified), *problems],
    )


def _problems(  # the parts of Health
    registrar: Registrar,
    served: list[Served],
    known: list[HostStatus],
    disks: list[Disk],
    journals: list[Journal],
    verified: LastVerify | None,
) -> Iterable[str]:
    if registrar.state == "away":
        yield f"The registrar does not answer ({registrar.trouble}): nothing is recorded. Run 'just up'."
    elif registrar.trouble:
        yield f"The registrar waits: {registrar.trouble}"
    for one in (one for one in served if one.trouble):
        yield f"{one.environment} serves {one.model_filename} of {one.name}, which cannot be used: {one.trouble}."
    for journaled in journals:
        if journaled.trouble and journaled.trouble != registrar.trouble:
            yield journaled.trouble
    for host in known:
        if host.is_lost or host.state in {"silent", "not ready"}:
            yield f"The host {host.name} is {host.state}: {'; '.join(host.problems) or 'see just hosts'}."
    low = {(disk.total_bytes, disk.free_bytes): disk for disk in reversed(disks) if disk.is_low}
    for disk in low.values():
        left = f"{formatting.size(disk.free_bytes)}, {disk.percent_free:.0f} %"
        yield f"The disk of {disk.folder}/ is nearly full: {left} free. Look at 'just registry gc', or give it room."
    if verified is not None and not verified.is_clean:
        found = verified.trouble or formatting.count(verified.damage, "finding")
        when = formatting.time(verified.finished)
        yield f"The last verify was not clean ({when}): {found}. Run 'just registry verify'."


def places(state: RegistryState, models: Path) -> KnownPlaces:
    """What is served where, out of ``state``; the files are in the folder ``models``."""
    return KnownPlaces(_served(state, models), state.places)


def _served(state: RegistryState, models: Path) -> list[Served]:
    found = []
    for environment, name in state.places:
        record = state.served(environment, name)
        if record is None:
            found.append(Served(environment=environment, name=name, model_filename=None))
            continue
        (status,) = version_statuses(state, models, [record])
        since = state.served_since(environment, name)
        trouble = ", ".join(status.states[1:]) if status.served_but_unusable else None
        file = record.model_filename
        short = state.models[file].short_name
        found.append(
            Served(
                environment=environment, name=name, model_filename=file, short_name=short, since=since, trouble=trouble
            )
        )
    return found


def _disk(name: str, folder: Path) -> list[Disk]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:  # there is no such folder here: whoever needs it says so
        return []
    return [Disk(folder=name, total_bytes=usage.total, free_bytes=usage.free)]


def _journal(registry: Registry, name: JournalName, seen: SeenHead | None) -> Journal:
    path = registry.journal_of(name)
    try:
        size = path.stat().st_size
        newest, is_it = _look_back(path, seen)
    except FileNotFoundError:
        size, newest, is_it = 0, None, seen is None
    except (Untrusted, OSError) as error:
        return Journal(name=name, size_bytes=0, seen=seen, trouble=one_line(str(error)))
    trouble = None if is_it or seen is None else not_the_log(name, seen.seq, _seq(newest), seen.seen_at)
    end = None if newest is None else sha256(newest)
    return Journal(name=name, size_bytes=size, seq=_seq(newest), hash=end, seen=seen, trouble=trouble)


def _seq(newest: bytes | None) -> int | None:
    link = None if newest is None else chain.parse(newest)
    return link.seq if link else None


def _look_back(path: Path, seen: SeenHead | None) -> tuple[bytes | None, bool]:
    """The journal's last line, and whether it has the one that was seen last: there, or some lines before."""
    newest = None
    for _, line in islice(journal.lines_newest_first(path), _LINES):
        newest = line if newest is None else newest
        if seen is None or sha256(line) == seen.hash:
            return newest, True
        link = chain.parse(line)
        if link is not None and link.seq < seen.seq:
            break
    return newest, seen is None


def _registrar() -> tuple[Registrar, dict[JournalName, SeenHead]]:
    try:
        said = _ask("/health", dict[str, Any])
        heads = _ask("/chain", dict[JournalName, SeenHead | None])
    except (OSError, msgspec.DecodeError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        return Registrar(state="away", trouble=one_line(why, 200)), {}
    trouble = said.get("trouble")
    told = None if trouble is None else one_line(str(trouble))
    state: Literal["ready", "waiting"] = "ready" if told is None else "waiting"
    return Registrar(state=state, trouble=told), {name: head for name, head in heads.items() if head is not None}


def _ask(path: str, kind: type[Answer]) -> Answer:
    from bulkhead.unix_http import Client  # with it comes http.client, and most commands ask nobody

    socket = Path(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET)
    try:
        status, body = Client(socket, _SECONDS).request("GET", path)
    except FileNotFoundError:
        raise OSError("there is no socket of it here") from None
    if status != _OK:
        raise OSError(f"status {status}")
    return msgspec.json.decode(body, type=kind)


def _hosts(registrar: Registrar) -> tuple[list[HostStatus], str | None]:
    if registrar.state == "away":
        return [], None
    try:
        return hosts.listing(), None
    except Refused as error:
        return [], str(error)
