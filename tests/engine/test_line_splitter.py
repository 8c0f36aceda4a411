"""A step's output as Airflow shows it: whole lines, whole characters, in bounded pieces."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import line_splitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

lines: Callable[[Iterable[bytes]], Iterator[str]] = line_splitter.lines
LONGEST: int = line_splitter.LONGEST_LINE

TEXT = "naïve 温度 \U0001f30a e\u0301\r\nsecond\rthird\n\n\r\r\nend"
LINES = ["naïve 温度 \U0001f30a e\u0301", "second", "third", "", "", "", "end"]

output = st.lists(
    st.sampled_from([b"a", b"\r", b"\n", b"\r\n", "é".encode(), "温".encode(), "\U0001f30a".encode(), b"\xff", b"\xe6"])
    | st.binary(max_size=4),
    max_size=30,
).map(b"".join)


def straight(content: bytes) -> list[str]:
    """What the lines are, without any chunks."""
    text = content.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    *whole, rest = text.split("\n")
    return [*whole, rest] if rest else whole


def chunks_of(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize("cut", range(len(TEXT.encode()) + 1))
def test_lines_are_the_same_wherever_the_output_is_cut(cut: int) -> None:
    content = TEXT.encode()
    assert list(lines([content[:cut], content[cut:]])) == LINES


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_lines_are_the_same_in_chunks_of_any_size(size: int) -> None:
    assert list(lines(chunks_of(TEXT.encode(), size))) == LINES


@given(content=output, cuts=st.lists(st.integers(0, 60), max_size=8))
@example(content=b"a\r\nb", cuts=[2])
@example(content=b"\xf0\x9f\x8c", cuts=[1, 2])
@example(content=b"\r", cuts=[])
@example(content=b"a\r\r\n", cuts=[2, 3])
def test_any_output_gives_the_lines_of_a_straight_decode(content: bytes, cuts: list[int]) -> None:
    """Invalid bytes too, however they are cut; an empty chunk changes nothing."""
    borders = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    chunks = [content[start:end] for start, end in itertools.pairwise(borders)]
    assert list(lines(chunks)) == straight(content)


def test_a_progress_bar_is_a_line_at_each_step() -> None:
    assert list(lines([b"10%\r20%", b"\r30", b"%\rdone\n"])) == ["10%", "20%", "30%", "done"]


def test_no_output_is_no_line() -> None:
    assert list(lines([])) == list(lines([b"", b""])) == []


def test_the_last_line_needs_no_line_break() -> None:
    assert list(lines([b"a\nb"])) == ["a", "b"]


def test_a_line_is_handed_on_as_soon_as_it_is_whole() -> None:
    taken: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for chunk in (b"first\nsec", b"ond\n", b"third\n"):
            taken.append(chunk)
            yield chunk

    found = lines(chunks())
    assert next(found) == "first"
    assert len(taken) == 1


@pytest.mark.parametrize("size", [1 << 12, 1 << 16, 1 << 20], ids=["small chunks", "chunks", "one chunk"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"], ids=["none", "LF", "CRLF", "CR"])
def test_a_long_line_comes_in_bounded_pieces_and_nothing_is_lost(size: int, end: str) -> None:
    long = "é" * (LONGEST * 3 + 7)
    pieces = list(lines(chunks_of((long + end + "next\n").encode(), size)))
    assert max(map(len, pieces)) <= LONGEST
    if end:
        assert pieces.pop() == "next"
        assert "".join(pieces) == long
    else:
        assert "".join(pieces) == long + "next"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_line_of_just_the_longest_length_is_one_line(end: bytes, cut: int) -> None:
    content = b"x" * LONGEST + end
    border = LONGEST + cut
    assert list(lines([content[:border], content[border:], b"next\n"])) == ["x" * LONGEST, "next"]


def test_a_line_without_end_is_never_all_in_memory() -> None:
    """A gigabyte of it would be a gigabyte of memory in the worker."""
    found = lines(b"x" * 4096 for _ in range(2_000))
    total = 0
    for piece in found:
        assert len(piece) <= LONGEST
        total += len(piece)
    assert total == 4096 * 2_000


@pytest.mark.parametrize("size", [1 << 10, 1 << 14, 1 << 20], ids=["small chunks", "chunks", "one chunk"])
@pytest.mark.parametrize("before", [1 - line_splitter.LONGEST_SECRET, -9, -1, 0, 9])
@pytest.mark.parametrize("end", ["\n", "more" * LONGEST + "\n", ""], ids=["short", "long", "endless"])
def test_a_secret_is_masked_wherever_a_long_line_is_cut(size: int, before: int, end: str) -> None:
    secret = "secret-" + "s" * (line_splitter.LONGEST_SECRET - 7)
    content = "x" * (LONGEST + before) + secret + end
    made = line_splitter.LineSplitter(lambda text: text.replace(secret, "***"))
    pieces = [piece for chunk in chunks_of(content.encode(), size) for piece in made.feed(chunk)] + list(made.end())
    assert "".join(pieces) == content.replace(secret, "***").rstrip("\n")
