"""Each appended line is a link of its journal's chain, whatever happened to the line before it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.project import LEGACY_TRAININGS, publish, training_failure

from bulkhead.files import sha256
from bulkhead.maintenance.verify.chain import ChainCheck
from bulkhead.registrar_protocol import SeenHead
from bulkhead.registry import appender, chain, journal, record_lines
from bulkhead.registry.chain import Head, Key, KeyRing
from bulkhead.registry.records import Anchor, TrainingFailure, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhead.maintenance.verify.findings import Finding
    from bulkhead.registry.store import Registry

RING = KeyRing(Key(b"k" * 32))
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests/samples/registry_2026_11/models"


def append(path: Path, number: int = 0, ring: KeyRing | None = RING) -> Head:
    return journal.append(path, training_failure(run_id=f"run {number}"), ring)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().removesuffix(b"\n").split(b"\n")


def damage_in(lines: list[bytes], ring: KeyRing | None = RING, head: SeenHead | None = None) -> list[str]:
    """The kinds of damage to the chain of these lines."""
    check = ChainCheck("models/log.txt", ring, head)
    found: list[Finding] = []
    offset = 0
    for number, line in enumerate(lines, start=1):
        is_record = not isinstance(record_lines.decode(line), Unreadable)
        found += check.feed(line + b"\n", sha256(line), number, offset, is_record=is_record)
        offset += len(line) + 1
    found += check.end()
    return [one.kind for one in found if one.is_damage]


def assert_whole(path: Path, seqs: list[int | None]) -> None:
    """The lines of the journal have these numbers, each names the one before it, and nothing is damaged."""
    lines = lines_of(path)
    links = [chain.parse(line) for line in lines]
    assert [link and link.seq for link in links] == seqs
    for before, link in zip([None, *lines], links, strict=False):
        if link is not None:
            assert link.prev == (chain.ZEROS if before is None else sha256(before))
    assert damage_in(lines) == []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The place of a journal that is not there yet."""
    return tmp_path / "log.txt"


def test_the_first_line_is_number_one_and_follows_nothing(log: Path) -> None:
    head = append(log)
    assert (head.journal, head.seq, head.hash) == ("training", 1, sha256(lines_of(log)[0]))
    assert_whole(log, [1])


def test_the_chain_stands_behind_all_keys_of_the_record(log: Path) -> None:
    append(log)
    (line,) = lines_of(log)
    plain = record_lines.encode(training_failure(run_id="run 0")).removesuffix(b"}\n")
    assert line.startswith(plain + b',"seq":1,"prev":"')
    assert record_lines.decode(line) == training_failure(run_id="run 0")


@pytest.mark.parametrize("ring", [RING, None])
def test_a_line_says_who_signed_it_or_that_nobody_did(ring: KeyRing | None, log: Path) -> None:
    append(log, ring=ring)
    (line,) = lines_of(log)
    found = chain.parse(line)
    assert found is not None
    assert found.is_signed is (ring is not None)
    assert chain.is_signed(line, RING) is (True if ring else None)
    assert found.key == (RING.current.id if ring and RING.current else None)


def test_a_signature_by_a_key_that_was_replaced_still_counts_and_by_another_does_not(log: Path) -> None:
    append(log)
    (line,) = lines_of(log)
    rotated = KeyRing(Key(b"new" * 10), (Key(b"k" * 32),))
    assert chain.is_signed(line, rotated) is True
    assert chain.is_signed(line.replace(b"it failed", b"it worked"), rotated) is False
    assert chain.is_signed(line, KeyRing(Key(b"new" * 10))) is None


@pytest.mark.parametrize("old", [LEGACY_TRAININGS, LEGACY_TRAININGS[:-30], b"\n" + LEGACY_TRAININGS + b"\n\n"])
def test_an_old_log_is_anchored_once_and_its_bytes_stay(old: bytes, log: Path) -> None:
    log.write_bytes(old)
    append(log, 1)
    append(log, 2)
    assert log.read_bytes().startswith(old)
    anchors = [record for record in journal.read(log) if isinstance(record, Anchor)]
    ended = old if old.endswith(b"\n") else old + b"\n"
    assert [(one.size_bytes, one.sha256) for one in anchors] == [(len(ended), sha256(ended))]
    linked = [line for line in lines_of(log) if chain.parse(line)]
    assert [link.seq for line in linked if (link := chain.parse(line))] == [1, 2, 3]


@pytest.mark.parametrize("name", ["log.txt", "log_inference.txt"])
def test_the_logs_of_2026_11_are_continued(name: str, tmp_path: Path) -> None:
    shutil.copy(SAMPLE / name, tmp_path)
    path = tmp_path / name
    before = list(journal.read(path))
    append(path)
    *read, anchor, last = journal.read(path)
    assert read == before
    assert isinstance(anchor, Anchor)
    assert last == training_failure(run_id="run 0")
    assert damage_in(lines_of(path)) == []


@pytest.mark.parametrize("cut", [1, 30, 100, 500])
def test_a_line_that_was_cut_off_is_ended_and_covered(cut: int, log: Path) -> None:
    for number in range(3):
        append(log, number)
    whole = log.read_bytes()
    last = len(lines_of(log)[2])
    log.write_bytes(whole[: -min(cut, last)])
    append(log, 3)
    assert_whole(log, [1, 2, 3, 4] if cut == 1 else [1, 2, None, 3])


@pytest.mark.parametrize(
    "stage", ["in the middle of the append", "before the sync of the append", "after the link", "after the append"]
)
def test_the_chain_goes_on_after_a_writer_was_killed(
    stage: str, registry_with_a_model: Registry, killed_publish: Callable[[Registry, str], None]
) -> None:
    killed_publish(registry_with_a_model, stage)
    publish(registry_with_a_model)
    publish(registry_with_a_model)
    assert damage_in(lines_of(registry_with_a_model.training_journal), None) == []
    seqs = [link.seq for line in lines_of(registry_with_a_model.training_journal) if (link := chain.parse(line))]
    assert seqs == list(range(1, len(seqs) + 1))


@pytest.mark.parametrize("what", ["write", "fsync"])
def test_a_full_disk_takes_no_number_of_the_chain(what: str, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, 1)
    before = log.read_bytes()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, what, full)
        with pytest.raises(OSError, match="No space left"):
            append(log, 2)
    assert log.read_bytes() == before
    append(log, 3)
    assert_whole(log, [1, 2])


def test_a_full_disk_leaves_an_old_log_without_an_anchor(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_bytes(LEGACY_TRAININGS)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) - 5]))
    with pytest.raises(OSError, match="No space left"):
        append(log)
    assert log.read_bytes() == LEGACY_TRAININGS


def test_processes_that_append_by_turns_make_one_chain(log: Path) -> None:
    """One signs, the other writes by hand; what each remembers of the end is wrong every time."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom bulkhead.registry import journal\n"
        "from bulkhead.registry.records import TrainingFailure\n"
        "for line in sys.stdin:\n"
        "    journal.append(Path(sys.argv[1]), TrainingFailure(error_timestamp='t', detail=line.strip()))\n"
        "    print('done', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for number in range(5):
            append(log, number)
            other.stdin.write(f"turn {number}\n")
            other.stdin.flush()
            assert other.stdout.readline() == "done\n"
        other.stdin.close()
    assert_whole(log, list(range(1, 11)))
    assert [chain.is_signed(line, RING) for line in lines_of(log)] == [True, None] * 5


def test_a_journal_that_was_replaced_is_continued_from_its_own_end(log: Path) -> None:
    for number in range(3):
        append(log, number)
    copy = log.with_name("copy")
    copy.write_bytes(b"".join(line + b"\n" for line in lines_of(log)[:2]))
    copy.replace(log)
    assert append(log, 9).seq == 3
    assert_whole(log, [1, 2, 3])


def test_a_last_line_that_was_edited_to_the_same_length_is_covered_as_it_stands(log: Path) -> None:
    """The file has the inode and the size that this process remembers."""
    append(log, 1)
    log.write_bytes(log.read_bytes().replace(b"it failed", b"it worked"))
    append(log, 2)
    second = chain.parse(lines_of(log)[1])
    assert second is not None
    assert second.prev == sha256(lines_of(log)[0])
    assert damage_in(lines_of(log)) == ["bad_signature"]


@pytest.mark.parametrize("piece", [512, 1 << 20])
@pytest.mark.parametrize("junk", [b"{" * 3000, b"\n" * 3000, b"x\n" * 3000, b" \n" * 3000 + b"{", b'{"torn":1'])
def test_no_number_is_given_twice_however_much_stands_behind_the_chain(
    junk: bytes, piece: int, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, 1)
    append(log, 2)
    with log.open("ab") as file:
        file.write(junk)
    monkeypatch.setattr(appender, "_PIECE", piece)
    assert append(log, 3).seq == 3
    written = [line for line in lines_of(log) if line.strip()]
    links = [chain.parse(line) for line in written]
    assert [link.seq for link in links if link] == [1, 2, 3]
    assert links[-1] is not None
    assert links[-1].prev == sha256(written[-2])


def test_the_chain_is_found_behind_hundreds_of_megabytes_that_are_none_of_it(log: Path) -> None:
    """A line that was torn and filled with zeros; the file is opened past the check that refuses a sparse one."""
    append(log, 1)
    append(log, 2)
    with log.open("rb+") as file:
        size = 300 << 20
        file.truncate(size)
        tail = appender._find_tail(file.fileno(), size)
    assert (tail.seq, tail.torn) == (2, True)


@settings(max_examples=60, deadline=None)
@given(
    contents=st.lists(
        st.sampled_from([b"", b" ", b"\r", b"{", b"x" * 700, b'{"seq":1}', b"LINK", b"\xff" * 256, b'"hmac":null}']),
        max_size=12,
    ),
    ended=st.sampled_from(["", "\n"]),
    piece=st.sampled_from([258, 300, 1000, 1 << 20]),
)
def test_the_end_of_any_file_is_the_one_that_reading_it_whole_finds(
    contents: list[bytes], ended: str, piece: int
) -> None:
    lines = [
        chain.link(b'{"a":"' + b"y" * number * 40 + b'"}', number + 1, chain.ZEROS, RING.current)
        if content == b"LINK"
        else content
        for number, content in enumerate(contents)
    ]
    content = b"\n".join(lines) + ended.encode()
    filled = [line for line in content.split(b"\n") if line.strip()]
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        file.write(content)
        file.flush()
        patch.setattr(appender, "_PIECE", piece)
        tail = appender._find_tail(file.fileno(), len(content))
    links = [link for line in filled if (link := chain.parse(line))]
    assert tail.seq == (links[-1].seq if links else None)
    assert tail.last == (sha256(filled[-1]) if filled else chain.ZEROS)
    assert tail.torn == (bool(content) and not content.endswith(b"\n"))


def test_the_first_append_to_a_large_old_log_holds_little_of_it(log: Path) -> None:
    line = LEGACY_TRAININGS.splitlines(keepends=True)[0]
    with log.open("wb") as file:
        for _ in range(100):
            file.write(line * (1 << 20 >> 7))
    program = (
        "import sys\nfrom pathlib import Path\nfrom bulkhead.registry import journal\n"
        "from bulkhead.registry.records import TrainingFailure\n"
        "def most():\n"  # not ru_maxrss: that is inherited, and this process has had large files
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM'))\n"
        "before = most()\n"
        "journal.append(Path(sys.argv[1]), TrainingFailure(error_timestamp='t', detail='d'))\n"
        "print(most() - before)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(log)], capture_output=True, text=True, check=True, timeout=120
    )
    assert log.stat().st_size > 100 << 20
    assert int(ended.stdout) < 16 << 10


CHAINED = 8


@pytest.fixture(scope="module")
def chained() -> list[bytes]:
    """The lines of a signed journal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.txt"
        for number in range(CHAINED):
            append(path, number)
        return lines_of(path)


def head_of(lines: list[bytes]) -> SeenHead:
    link = chain.parse(lines[-1])
    assert link is not None
    return SeenHead(seq=link.seq, hash=sha256(lines[-1]), seen_at="2026-11-27T12:00:00.000000+00:00")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_every_edit_insertion_deletion_swap_and_cut_of_lines_is_seen(data: st.DataObject, chained: list[bytes]) -> None:
    """One to three of them, anywhere, without the key: the lines are as they were, or there is damage.

    A line that is no record is damage by itself, which ``verify`` tells as such.
    """
    lines = list(chained)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(lines) - 1)))
        match data.draw(st.sampled_from(["edit", "insert", "copy", "forge", "delete", "swap", "cut"])):
            case "edit" if lines and lines[at]:
                place = data.draw(st.integers(0, len(lines[at]) - 1))
                byte = data.draw(st.integers(0, 255).filter(lambda value: value != 10))
                lines[at] = lines[at][:place] + bytes([byte]) + lines[at][place + 1 :]
            case "insert":
                lines.insert(at, record_lines.encode(training_failure(run_id="of nobody")).rstrip(b"\n"))
            case "copy" if lines:
                lines.insert(data.draw(st.integers(0, len(lines))), lines[at])
            case "forge" if lines:
                seq = data.draw(st.integers(1, CHAINED + 2))
                content = record_lines.encode(training_failure(run_id="forged")).rstrip(b"\n")
                key = data.draw(st.sampled_from([None, Key(b"not the key" * 3)]))
                lines.insert(at, chain.link(content, seq, sha256(lines[at - 1]) if at else chain.ZEROS, key))
            case "delete" if lines:
                del lines[at]
            case "swap" if lines:
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "cut":
                del lines[at:]
    seen = damage_in(lines, RING, head_of(chained))
    if lines == chained:
        assert seen == []
    else:
        assert seen or any(isinstance(record_lines.decode(line), Unreadable) for line in lines)


def test_a_chain_that_nobody_touched_is_whole(chained: list[bytes]) -> None:
    assert damage_in(chained, RING, head_of(chained)) == []
    assert all(isinstance(record_lines.decode(line), TrainingFailure) for line in chained)
