"""Tables that fit: what becomes narrower first, what is left out, and that nothing is longer than there is room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bulkhead.text_table import cut, fitted, width

HEADER = ["ID", "WHAT", "FILE"]
ROWS = [["1", "a sentence of some words", "shared/inputs/customers-of-may.csv"], ["22", "short", "b.csv"]]
MODEL = "model_20261130T044935012472Z_b0cbafea728f8c2a00d217a4d602bd15.joblib"


def shown(room: int | None, **how: object) -> list[str]:
    return [line for lines in fitted([HEADER, *ROWS], room, **how).rows for line in lines]  # type: ignore[arg-type]


def test_a_table_with_room_is_whole() -> None:
    for room in (None, 64):
        assert shown(room, steps=[("FILE", 0)]) == [
            "ID  WHAT                      FILE",
            "1   a sentence of some words  shared/inputs/customers-of-may.csv",
            "22  short                     b.csv",
        ]


def test_the_steps_are_taken_in_their_order_and_no_further_than_needed() -> None:
    assert shown(50, steps=[("FILE", 10), ("WHAT", 8)]) == [
        "ID  WHAT                      FILE",
        "1   a sentence of some words  shared/inp…f-may.csv",
        "22  short                     b.csv",
    ]
    table = fitted([HEADER, *ROWS], 30, [("FILE", 10), ("FILE", 0), ("WHAT", 8)])
    assert (table.left_out, table.narrowed) == (["FILE"], [])
    assert table.rows[1] == ["1   a sentence of some words"]


def test_what_was_narrowed_gets_back_what_something_left_out_frees() -> None:
    table = fitted([HEADER, *ROWS], 36, [("WHAT", 6), ("FILE", 30), ("FILE", 0)])
    assert table.rows[1] == ["1   a sentence of some words"]
    assert table.narrowed == []


def test_a_wrapped_column_goes_on_below_and_loses_nothing() -> None:
    cells = [["ID", "WHAT"], ["1", "a sentence of some words"]]
    assert fitted(cells, 16, [("WHAT", 12)], wrapped="WHAT").rows[1] == ["1   a sentence", "    of some", "    words"]
    assert fitted(cells, 16, [("WHAT", 12)], wrapped="WHAT").narrowed == []


def test_of_a_models_file_the_hash_stays_by_which_it_can_be_named() -> None:
    assert cut(MODEL, len(MODEL)) == MODEL
    assert cut(MODEL, 44) == "…b0cbafea728f8c2a00d217a4d602bd15.joblib"
    assert cut(MODEL, 10) == "…b0cbafea…"


def test_words_lose_their_end_and_paths_their_middle() -> None:
    assert cut("r2 0.4554, rmse 50.42", 11) == "r2 0.4554,…"
    assert cut("shared/inputs/customers.csv", 11) == "share…s.csv"


@given(st.lists(st.lists(st.text(max_size=60), min_size=4, max_size=4), min_size=1, max_size=4), st.integers(36, 200))
def test_no_line_is_longer_than_there_is_room(rows: list[list[str]], room: int) -> None:
    rows = [["".join(c if c.isprintable() else "?" for c in cell) for cell in row] for row in rows]
    for lines in fitted([["A", "B", "C", "D"], *rows], room, [("C", 10), ("C", 0)]).rows:
        assert all(width(line) <= room for line in lines)
