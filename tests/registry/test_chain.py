"""The chain of a journal: what is appended, and that every edit of it shows."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.project import publish, training_failure

from bulkhead.errors import Refused
from bulkhead.files import sha256
from bulkhead.maintenance.verify.chain import ChainCheck
from bulkhead.registry import chain, journal, lock, record_lines, records
from bulkhead.registry.chain import Key, KeyRing
from bulkhead.registry.records import Anchor
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bulkhead.maintenance.verify import Finding

RING = KeyRing(Key(b"the key of these tests"))
OTHER = KeyRing(Key(b"another key altogether"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


def appended(path: Path, count: int, ring: KeyRing | None = RING) -> list[bytes]:
    for number in range(count):
        journal.append(path, training_failure(run_id=f"r{number}"), ring)
    return path.read_bytes().splitlines()


def checked(lines: Iterable[bytes], ring: KeyRing | None = RING) -> list[Finding]:
    """What verify finds wrong about the chain of these lines."""
    check = ChainCheck("models/log.txt", ring, None)
    found: list[Finding] = []
    for number, line in enumerate(lines, start=1):
        is_record = not isinstance(record_lines.decode(line), records.Unreadable)
        found += check.feed(line + b"\n", sha256(line), number, number, is_record=is_record)
    return [one for one in [*found, *check.end()] if one.is_damage]


def troubles(path: Path, ring: KeyRing | None = RING) -> list[str]:
    return [found.kind for found in checked([line for _, line in journal.lines(path)], ring)]


def seqs(path: Path) -> list[int | None]:
    links = [chain.parse(line) for _, line in journal.lines(path)]
    return [link.seq if link else None for link in links]


def test_each_line_names_the_one_before_and_is_signed(path: Path) -> None:
    lines = appended(path, 3)
    decoded = [json.loads(line) for line in lines]
    assert [line["seq"] for line in decoded] == [1, 2, 3]
    assert [line["prev"] for line in decoded] == [chain.ZEROS, sha256(lines[0]), sha256(lines[1])]
    assert all(list(line)[-4:] == ["seq", "prev", "key", "hmac"] for line in decoded)
    assert all(line["key"] == sha256(b"the key of these tests")[:8] for line in decoded)
    assert troubles(path) == []
    assert [chain.is_signed(line, OTHER) for line in lines] == [None] * 3  # of a key that is not there
    assert all(isinstance(record_lines.decode(line), records.TrainingFailure) for line in lines)


def test_by_hand_a_line_is_part_of_the_chain_and_not_signed(path: Path) -> None:
    appended(path, 1)
    journal.append(path, training_failure())
    appended(path, 1)
    hand = json.loads(path.read_bytes().splitlines()[1])
    assert (hand["seq"], hand["key"], hand["hmac"]) == (2, None, None)
    assert troubles(path) == []


def test_a_journal_of_before_is_anchored_once_by_what_it_held(path: Path) -> None:
    old = record_lines.encode(training_failure()) + b"no record\n" + record_lines.encode(training_failure(run_id="2"))
    path.write_bytes(old)
    appended(path, 2)
    anchors = [record for record in journal.read(path) if isinstance(record, Anchor)]
    assert [(one.lines, one.size_bytes, one.sha256) for one in anchors] == [(3, len(old), sha256(old))]
    assert seqs(path) == [None, None, None, 1, 2, 3]
    assert troubles(path) == []


def test_a_torn_line_is_covered_by_the_next_one(path: Path) -> None:
    appended(path, 2)
    with path.open("ab") as file:
        file.write(b'{"torn": tr')
    appended(path, 1)
    assert troubles(path) == []  # that it is no record is told by another check
    path.write_bytes(path.read_bytes().replace(b'{"torn": tr', b'{"torn": fa'))
    assert troubles(path) != []


def test_two_registries_that_append_by_turns_make_one_chain(tmp_path: Path) -> None:
    first, second = Registry(tmp_path, RING), Registry(tmp_path)
    for number in range(6):
        (first, second)[number % 2].record_failure("training", training_failure(run_id=str(number)))
    assert seqs(first.training_journal) == [*range(1, 7)]
    assert troubles(first.training_journal) == []


def test_a_journal_that_was_replaced_or_edited_in_place_is_read_anew(path: Path) -> None:
    lines = appended(path, 3)
    edited = lines[2].replace(b'"r2"', b'"r9"')
    path.write_bytes(b"\n".join([*lines[:2], edited]) + b"\n")  # the same size
    appended(path, 1)
    assert json.loads(path.read_bytes().splitlines()[3])["prev"] == sha256(edited)
    other = path.with_name("other")
    other.write_bytes(b"\n".join(lines[:1]) + b"\n")
    other.replace(path)
    appended(path, 1)
    assert seqs(path) == [1, 2]


MINE = record_lines.encode(training_failure(run_id="mine")).rstrip(b"\n")
EDITS = {
    "a changed value": lambda lines, n: [*lines[:n], lines[n].replace(b"it failed", b"it worked"), *lines[n + 1 :]],
    "a line less": lambda lines, n: [*lines[:n], *lines[n + 1 :]],
    "two lines less": lambda lines, n: [*lines[:n], *lines[n + 2 :]],
    "a line twice": lambda lines, n: [*lines[: n + 1], lines[n], *lines[n + 1 :]],
    "a line of somebody": lambda lines, n: [*lines[:n], MINE, *lines[n:]],
    "a line linked without the key": lambda lines, n: [
        *lines[:n],
        chain.link(MINE, n + 1, sha256(lines[n - 1]), None),
        *lines[n:],
    ],
    "two lines swapped": lambda lines, n: [*lines[:n], lines[n + 1], lines[n], *lines[n + 2 :]],
}


@pytest.mark.parametrize("edit", EDITS)
@given(place=st.integers(1, 6))
def test_every_edit_but_of_the_end_shows_without_the_key_too(edit: str, place: int) -> None:
    lines: list[bytes] = []
    for number in range(10):
        content = record_lines.encode(training_failure(run_id=f"r{number}")).rstrip(b"\n")
        lines.append(chain.link(content, number + 1, sha256(lines[-1]) if lines else chain.ZEROS, RING.current))
    edited = EDITS[edit](lines, place)
    for ring in (RING, None):
        found = checked(edited, ring)
        assert found
        assert all(place <= (one.line or 0) <= place + 3 for one in found)


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_any_byte_that_is_changed_in_a_signed_line_shows(at: int, byte: int) -> None:
    content = record_lines.encode(training_failure()).rstrip(b"\n")
    line = bytearray(chain.link(content, 1, chain.ZEROS, RING.current))
    before = bytes(line)
    line[at % len(line)] = byte
    if bytes(line) == before:
        assert chain.is_signed(bytes(line), RING) is True
    else:
        assert chain.is_signed(bytes(line), RING) is not True


def test_a_forged_signature_or_one_of_another_key_does_not_count(path: Path) -> None:
    (line,) = appended(path, 1)
    forged = chain.link(line[: line.rindex(b',"seq":')] + b"}", 1, chain.ZEROS, OTHER.current)
    named = forged.replace(OTHER.current.id.encode(), RING.current.id.encode())  # type: ignore[union-attr]
    assert chain.is_signed(forged, RING) is None
    assert chain.is_signed(named, RING) is False


def test_old_keys_still_tell_their_lines(path: Path) -> None:
    appended(path, 1, OTHER)
    appended(path, 1, RING)
    rotated = KeyRing.from_environment(
        {"BULKHEAD_REGISTRY_KEY": "the key of these tests", "BULKHEAD_REGISTRY_OLD_KEYS": "another key altogether, "}
    )
    assert rotated is not None
    assert [chain.is_signed(line, rotated) for line in path.read_bytes().splitlines()] == [True, True]
    assert KeyRing.from_environment({}) is None
    with pytest.raises(Refused, match="5 characters"):
        KeyRing.from_environment({"BULKHEAD_REGISTRY_KEY": "short"})


def test_a_key_is_not_shown() -> None:
    assert "the key" not in repr(RING)


def test_a_full_disk_leaves_the_journal_and_its_chain_as_they_were(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    appended(path, 2)
    before = path.read_bytes()
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: len(data) // 2]))
        with pytest.raises(OSError, match="No space left"):
            journal.append(path, training_failure(), RING)
    assert path.read_bytes() == before
    appended(path, 1)
    assert troubles(path) == []


def test_a_long_journal_is_not_read_again_for_each_append(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    appended(path, 200)
    read = 0
    real = os.pread

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal read
        read += size
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    appended(path, 10)
    assert read <= 10 * (1 << 16)


def test_the_lock_can_be_opened_for_writing_alone(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    publish(registry)
    assert (tmp_path / lock.NAME).stat().st_mode & 0o777 == 0o220
    with lock.locked(tmp_path), lock.locked(tmp_path):
        pass
    with lock.locked(tmp_path):
        publish(registry)  # the thread that has it takes it again


def test_a_lock_that_somebody_holds_is_waited_for_so_long_and_then_told(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with lock.locked(tmp_path):
            os.kill(os.getpid(), 19)  # SIGSTOP
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    try:
        with pytest.raises(Refused, match="has been held by another process"), lock.locked(tmp_path, seconds=0.2):
            pass
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    with lock.locked(tmp_path, seconds=5):
        pass
