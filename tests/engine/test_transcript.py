"""What has been read of an output, through cuts and from one process to another: each line once, in its order."""

from __future__ import annotations

import itertools
import random
import struct
from typing import TYPE_CHECKING

import pytest

from engine.line_splitter import LONGEST_LINE
from engine.transcript import MISSING, STDERR, STDOUT, Frames, Position, StreamPosition, Transcript

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.transcript import Line

Entry = tuple[int, str, bytes]
"""Stream, time stamp, content."""


def stamp(tick: int) -> str:
    """The time of a tick, of which there are four in a second."""
    seconds, quarter = divmod(tick, 4)
    return f"2026-11-29T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{quarter * 25:02}0000000Z"


def answer(entries: Iterable[Entry], asked: dict[str, int | str]) -> Iterator[tuple[int, bytes]]:
    """What an engine with these entries answers."""
    for source, written, content in entries:
        hours, minutes, seconds = (float(part) for part in written[11:-1].split(":"))
        if 1795910400 + hours * 3600 + minutes * 60 + seconds >= int(asked["since"]):  # the day's beginning
            yield source, written.encode() + b" " + content


def transcript(position: Position | None = None) -> Transcript:
    return Transcript(str, "1g", position)


def read(one: Transcript, entries: Iterable[Entry], most: int | None = None) -> list[Line]:
    """What one request brings; cut after ``most`` entries."""
    asked = one.request(follow=False)
    return [line for entry in itertools.islice(answer(entries, asked), most) for line in one.take(*entry)]


def whole(entries: Iterable[Entry]) -> list[Line]:
    """The lines of all entries, read in one go."""
    one = transcript()
    return [*read(one, entries), *one.end()]


def by_stream(lines: list[Line]) -> list[list[str]]:
    """Each stream has its order; that between two of them is the engine's."""
    return [[text for text, is_error in lines if is_error is wanted] for wanted in (False, True)]


def printed(seed: int) -> list[Entry]:
    """Some output: whole lines, begun ones, progress bars, characters that are cut, stamps that are the same."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    entries, tick = [], 0
    for number in range(60):
        tick += chance.choice((0, 0, 1, 1, 3, 9))
        piece = f"{number}é".encode()
        content = chance.choice((piece + b"\n", piece + b"\n", piece, piece[:-1], b"\xa9\n", piece + b"\ra\rb", b"\n"))
        entries.append((chance.choice((STDOUT, STDOUT, STDERR)), stamp(tick), content))
    return entries


@pytest.mark.parametrize("seed", range(40))
def test_an_output_that_is_cut_anywhere_and_handed_on_anywhere_is_told_once(seed: int) -> None:
    chance = random.Random(1000 + seed)  # noqa: S311  # no secret
    entries = printed(seed)
    one, found, known = transcript(), [], 0
    while known < len(entries):
        known = min(len(entries), known + chance.randrange(1, 20))  # it goes on printing
        found += read(one, entries[:known], chance.choice((1, 3, 7, None)))
        if chance.random() < 0.5:
            one = transcript(Position.decode(one.position.encode()))
    found += read(one, entries)
    found += one.end()
    assert MISSING not in [text for text, _ in found]
    assert by_stream(found) == by_stream(whole(entries))


def test_a_position_tells_nothing_of_the_output() -> None:
    one = transcript()
    read(one, [(STDOUT, stamp(1), b"done\nsecret that has no end")])
    kept = one.position
    assert kept == Position(StreamPosition("", 0, 1, is_open=True), StreamPosition(), kept.read_bytes)
    assert "secret" not in kept.encode()


@pytest.mark.parametrize("text", ["", "x", "[]", None, '{"stdout": [1, 2]}'])
def test_what_is_no_position_is_the_beginning(text: object) -> None:
    assert Position.decode(text) is None


def test_pieces_of_a_long_line_are_not_told_again_by_who_reads_on() -> None:
    long = b"x" * 16384
    entries = [(STDOUT, stamp(number // 4), long) for number in range(12)]
    one = transcript()
    first = read(one, entries)
    assert [len(text) for text, _ in first] == [LONGEST_LINE, LONGEST_LINE]
    entries.append((STDOUT, stamp(9), b"end\n"))
    other = transcript(Position.decode(one.position.encode()))
    assert [*first, *read(other, entries)] == whole(entries)


def test_where_entries_are_lost_between_two_requests_a_line_says_so() -> None:
    entries = [(STDOUT, stamp(number * 8), f"{number}\n".encode()) for number in range(9)]
    one = transcript()
    read(one, entries[:3])
    assert read(one, entries[5:]) == [(MISSING, True), ("5", False), ("6", False), ("7", False), ("8", False)]
    other = transcript(one.position)
    assert other.position == one.position


def test_what_is_still_to_be_caught_up_with_is_not_taken_for_lost() -> None:
    entries = [(STDERR, stamp(4), b"begun "), (STDOUT, stamp(40), b"1\n"), (STDOUT, stamp(80), b"2\n")]
    one = transcript()
    told = read(one, entries)
    other = transcript(one.position)
    entries.append((STDERR, stamp(90), b"and done\n"))
    assert read(other, entries[:1]) == []
    assert told + read(other, entries) == [("1", False), ("2", False), ("begun and done", True)]


@pytest.mark.parametrize("size", [1, 3, 8, 1000])
def test_frames_are_put_together_from_pieces_of_any_size(size: int) -> None:
    entries = [(STDOUT, b"one"), (STDERR, b""), (STDOUT, b"x" * 300)]
    sent = b"".join(struct.pack(">BxxxL", source, len(content)) + content for source, content in entries)
    frames = Frames()
    found = [entry for start in range(0, len(sent), size) for entry in frames.feed(sent[start : start + size])]
    frames.end()
    assert found == entries
    assert list(frames.feed(sent[:4])) == []
    with pytest.raises(ValueError, match="cut"):
        frames.end()


def test_a_reader_of_exact_sizes_never_reads_beyond_an_entry() -> None:
    frames = Frames()
    assert frames.wanted == 8
    assert list(frames.feed(struct.pack(">BxxxL", STDOUT, 5))) == []
    assert frames.wanted == 5
    assert list(frames.feed(b"ab")) == []
    assert frames.wanted == 3
    assert list(frames.feed(b"cde")) == [(STDOUT, b"abcde")]
    assert frames.wanted == 8
