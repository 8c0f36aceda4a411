"""The chain of a journal's lines: what was edited, deleted, inserted, moved, cut off or set back, and where.

Each line names the hash of the one before it and its own number, so whatever was done to a line shows in the next one;
what was done to the last ones shows against the head that the registrar keeps elsewhere. A line that is no record at
all is told by the checks of the records, and is only counted here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from bulkhead import formatting
from bulkhead.maintenance.verify.findings import finding
from bulkhead.registry import chain, record_lines
from bulkhead.registry.chain import Link  # msgspec reads the annotations
from bulkhead.registry.records import Anchor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhead.maintenance.verify.findings import Finding, Kind
    from bulkhead.registrar_protocol import SeenHead
    from bulkhead.registry.chain import KeyRing

_MOST = 1000
"""Gaps, or lines that follow nothing, that are kept in memory; more are told at once."""
_RESTORE = "Restore it from a backup."


class _Line(msgspec.Struct):
    """One line, and what its chain says."""

    number: int
    offset: int
    hash: str
    is_record: bool
    link: Link | None = None
    is_told: bool = False
    """There is a finding about it."""


class _Gap(msgspec.Struct):
    """Records that are missing before a line."""

    first: int
    last: int
    before: _Line


class ChainCheck:
    """The check of one journal's chain, a line at a time."""

    def __init__(self, shown: str, ring: KeyRing | None, head: SeenHead | None) -> None:
        self._shown = shown
        self._ring = ring
        self._head = head
        self.by_hand = 0
        """Records that nobody signed."""
        self.unknown_key = 0
        """Records that were signed with a key that is not here."""
        self.is_chained = False
        """There is a chain."""
        self._keys: list[str] = []
        """Those that have signed, in the order in which each was new."""
        self._old_key = 0
        """How many lines were signed with one after a newer one had signed; and the first of them."""
        self._first_old_key = 0
        self._before = self._before_torn = hashlib.sha256()
        """Of what stands before the chain; and without its last line's end, as an earlier version anchored it."""
        self._lines_before = self._bytes_before = 0
        self._first_record: _Line | None = None
        self._last: str | None = None
        """The hash of the line before."""
        self._tip: _Line | None = None
        """The last line of the chain; behind it, ``_between``, is what does not belong to it, or not yet."""
        self._between: list[_Line] = []
        self._gaps: list[_Gap] = []
        self._forged: _Line | None = None
        self._at_head: _Line | None = None

    def piece(self, raw: bytes) -> None:
        """Take in a piece of a line that is longer than a line may be, before :meth:`feed` is told of it."""
        if not self.is_chained:
            self._before_torn = self._before.copy()
            self._before_torn.update(raw.removesuffix(b"\n"))
            self._before.update(raw)
            self._bytes_before += len(raw)

    def feed(self, raw: bytes | None, digest: str, number: int, offset: int, *, is_record: bool) -> Iterator[Finding]:
        """Take in a line.

        Args:
            raw: with its end; None where it is longer than a line may be.
            digest: its hash, without its end.
            number: counted from 1.
            offset: its first byte.
            is_record: every reader takes it for a record.
        """
        content = (raw or b"").rstrip(b"\n")
        link = chain.parse(content) if content else None
        if link is None and raw is not None:
            self.piece(raw)
        line = _Line(number, offset, digest, is_record, link)
        if link is None:
            yield from self._unchained(line)
        else:
            forged, self._forged = self._forged, None
            yield from self._chained(line, link, content)
            if forged is not None and not forged.is_told:
                yield self._bad_signature(forged)
            if self._is_forged(link, content, number):
                self._forged = line
            if self._head is not None and link.seq == self._head.seq:
                self._at_head = line
        self._last = digest

    def end(self) -> Iterator[Finding]:
        """What is known only when all lines were read."""
        yield from self._not_in_chain(self._between)
        for gap in self._gaps:
            yield self._missing(gap)
        yield from self._against_head()
        if self._forged is not None and not self._forged.is_told:
            yield self._bad_signature(self._forged)
        if self.by_hand:
            yield self._note("by_hand", f"{_records(self.by_hand)} made by hand: without a key, so without a signature")
        if self.unknown_key:
            yield self._note(
                "unknown_key",
                f"{_records(self.unknown_key)} signed with a key that is not here; only the chain was checked",
            )

        if self._old_key:
            yield self._note(
                "old_key",
                f"{_records(self._old_key)} signed with a key that a newer one had replaced, the first in line"
                f" {self._first_old_key}: somebody has kept the old one, or set .env back",
            )

    def _unchained(self, line: _Line) -> Iterator[Finding]:
        if self._tip is None:
            self._lines_before += 1
            if line.is_record and self._first_record is None:
                self._first_record = line
            return
        self._between.append(line)
        if len(self._between) > _MOST:
            yield from self._not_in_chain(self._between)
            self._between = [line]

    def _chained(self, line: _Line, link: Link, content: bytes) -> Iterator[Finding]:
        if self._tip is None:
            self.is_chained = True
            yield from self._begin(line, link, content)
        elif link.prev == self._last:
            yield from self._covered(line, link, self._tip)
        elif link.prev == self._tip.hash:
            yield from self._inserted(self._between)
            if link.seq != _seq(self._tip) + 1:
                yield self._edited(line, f"its number is {link.seq}, and that of the line before {_seq(self._tip)}")
        elif link.seq <= _seq(self._tip):
            yield from self._stray(line, link)
            return
        else:
            yield from self._torn_from(line, link, self._tip)
        self._between = []
        self._tip = line

    def _begin(self, line: _Line, link: Link, content: bytes) -> Iterator[Finding]:
        record = record_lines.decode(content) if content.startswith(b'{"anchor_time"') else None
        if isinstance(record, Anchor):
            if (record.size_bytes, record.sha256) in (
                (self._bytes_before, self._before.hexdigest()),
                (self._bytes_before - 1, self._before_torn.hexdigest()),
            ):
                return
            kinds: tuple[Kind, Kind, Kind] = ("edited_line", "missing_lines", "inserted_line")
            kind = kinds[(self._lines_before < record.lines) - (self._lines_before > record.lines)]
            yield self._at(
                kind,
                line,
                f"the {record.lines} lines before it, {record.size_bytes} bytes, were anchored here, and"
                f" {self._lines_before} lines of {self._bytes_before} bytes stand there now: they were edited",
            )
        elif link.seq > 1:
            self._gaps.append(_Gap(1, link.seq - 1, line))
        elif link.prev != (self._last or chain.ZEROS) and self._first_record is not None:
            yield self._at(
                "inserted_line", self._first_record, f"it and what follows was put before line {line.number}, the first"
            )

    def _covered(self, line: _Line, link: Link, tip: _Line) -> Iterator[Finding]:
        """``line`` goes on from the one directly before it."""
        rival = self._between[-1] if self._between and self._between[-1].link is not None else None
        if rival is not None and rival.link is not None and link.seq == rival.link.seq + 1:
            others = self._between[:-1]
            wrong = tip if tip.link is not None and tip.link.prev == rival.link.prev else rival
            yield from self._not_in_chain(others)
            yield from self._inserted([wrong])
            return
        yield from self._not_in_chain(self._between)
        expected = _seq(tip) + 1
        if link.seq > expected:
            yield from self._gap(expected, link.seq - 1, line)
        elif link.seq < expected:
            yield from self._inserted([line])

    def _stray(self, line: _Line, link: Link) -> Iterator[Finding]:
        """A line with a number that was there already, or that was missed."""
        for gap in self._gaps:
            if gap.first <= link.seq <= gap.last:
                line.is_told = True
                self._gaps.remove(gap)
                halves = ((gap.first, link.seq - 1), (link.seq + 1, gap.last))
                self._gaps += [_Gap(first, last, gap.before) for first, last in halves if first <= last]
                yield self._at(
                    "moved_line", line, f"record {link.seq} stands behind record {link.seq + 1}: it was moved"
                )
                break
        self._between.append(line)
        if len(self._between) > _MOST:
            yield from self._not_in_chain(self._between)
            self._between = [line]

    def _torn_from(self, line: _Line, link: Link, tip: _Line) -> Iterator[Finding]:
        """A line that follows nothing that stands before it."""
        expected = _seq(tip) + 1
        unchained = [one for one in self._between if one.link is None]
        if link.seq == expected:
            wrong = unchained[-1] if unchained else tip
            yield from self._not_in_chain([one for one in self._between if one is not wrong])
            yield self._edited(wrong, f"line {line.number} was appended after another one")
        elif len(unchained) == link.seq - expected:
            yield from self._inserted([one for one in self._between if one.link is not None])
            for one in unchained:
                yield self._edited(one, f"line {line.number} was appended after another one")
        else:
            yield from self._inserted(self._between)
            yield from self._gap(expected, link.seq - 1, line)

    def _gap(self, first: int, last: int, before: _Line) -> Iterator[Finding]:
        self._gaps.append(_Gap(first, last, before))
        if len(self._gaps) > _MOST:
            yield self._missing(self._gaps.pop(0))

    def _missing(self, gap: _Gap) -> Finding:
        count = gap.last - gap.first + 1
        what = f"record {gap.first} is" if count == 1 else f"the {count} records {gap.first} to {gap.last} are"
        return self._at("missing_lines", gap.before, f"{what} missing before it: somebody deleted them")

    def _not_in_chain(self, lines: list[_Line]) -> Iterator[Finding]:
        """Lines that nothing goes on from."""
        yield from self._inserted([line for line in lines if line.link is not None])
        for line in lines:
            if line.link is None and line.is_record and not line.is_told:
                line.is_told = True
                yield self._at("unchained_line", line, "a record without a number, which this program does not write")

    def _inserted(self, lines: list[_Line]) -> Iterator[Finding]:
        for line in lines:
            if line.is_record and not line.is_told:
                line.is_told = True
                yield self._at("inserted_line", line, "it was put there: the lines around it do not know it")

    def _edited(self, line: _Line, why: str) -> Finding:
        line.is_told = True
        return self._at("edited_line", line, f"it is not what was written: {why}")

    def _bad_signature(self, line: _Line) -> Finding:
        line.is_told = True
        return self._at("bad_signature", line, "its signature is not that of what it says: it was edited, or forged")

    def _is_forged(self, link: Link, content: bytes, number: int) -> bool:
        if link.key is None:
            self.by_hand += 1
            return False
        if link.key not in self._keys:
            self._keys.append(link.key)
        elif link.key != self._keys[-1]:
            self._old_key += 1
            self._first_old_key = self._first_old_key or number
        signed = None if self._ring is None else chain.is_signed(content, self._ring)
        self.unknown_key += signed is None
        return signed is False

    def _against_head(self) -> Iterator[Finding]:
        head, tip = self._head, self._tip
        if head is None or (self._at_head is not None and self._at_head.hash == head.hash):
            return
        if self._at_head is not None:
            if not self._at_head.is_told:
                yield self._edited(self._at_head, f"the registrar has seen another record {head.seq}")
            return
        where = "has no chained line" if tip is None else f"ends with record {_seq(tip)}, line {tip.number}"
        sentence = (
            f"{self._shown} {where}; record {head.seq} was seen: it was cut off, or set back to an older copy."
            f"{self._seen} Restore it from a backup; where it was meant: just registry accept --reason ..."
        )
        place = (None, None) if tip is None else (tip.offset, tip.number)
        yield finding("cut_log", self._shown, sentence, offset=place[0], line=place[1])

    @property
    def _seen(self) -> str:
        if self._head is None:
            return ""
        return f" It was last seen right on {formatting.time(self._head.seen_at)} UTC, at record {self._head.seq}."

    def _at(self, kind: Kind, line: _Line, what: str) -> Finding:
        sentence = f"{self._shown}, line {line.number}: {what}.{self._seen} {_RESTORE}"
        return finding(kind, self._shown, sentence, offset=line.offset, line=line.number)

    def _note(self, kind: Kind, what: str) -> Finding:
        return finding(kind, self._shown, f"{self._shown}: {what}.")


def _seq(line: _Line) -> int:
    return 0 if line.link is None else line.link.seq


def _records(count: int) -> str:
    return f"{count} record was" if count == 1 else f"{count} records were"
