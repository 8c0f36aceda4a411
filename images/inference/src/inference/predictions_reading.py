"""The predictions in a file of a run, printed for who may not read Parquet: a line about them, and then the rows."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import paths, untrusted
from bulkhead.errors import EXIT_REFUSED, Refused
from bulkhead.prediction_files import LARGEST_WHOLE, LONGEST_CELL, LONGEST_ROWS, Head, no_file_of_a_run, place_of
from bulkhead.queries import prediction_csv, predictions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import BufferedReader
    from typing import BinaryIO

    from bulkhead.queries.predictions import Predictions

_AT_ONCE = 64 << 10
"""Characters in one write."""
_PLAIN = (str, int, float, bool, type(None))


def show(path: str, sha256: str, limit: int | None, out: BinaryIO, folder: Path = Path(paths.SHARED)) -> int:
    """Print the predictions; returns the exit code.

    Args:
        path: of the file, as it is recorded.
        sha256: as it is recorded.
        limit: only so many rows, each a line of JSON; None: all of them, as CSV.
        out: takes a line of JSON (:class:`Head`), and the rows.
        folder: in it is the file: the run folder.

    Raises:
        Refused: a row further down cannot be read; what was printed is no whole table.
    """
    try:
        file = _opened(path, folder)
    except (Refused, OSError) as error:
        return _refused(out, Head(refused=str(error)))
    with file:
        try:
            found = predictions.in_file(file, path, sha256)
            # What cannot be read at once is refused before a row is printed.
            content = _rows(found, next(found.rows, None), limit)
        except predictions.NotAsWritten as error:
            return _refused(out, Head(refused=str(error), is_another=True))
        except (Refused, OSError) as error:
            return _refused(out, Head(refused=str(error)))
        out.write(msgspec.json.encode(Head(columns=found.columns, rows=found.count)) + b"\n")
        out.writelines(piece.encode(errors="replace") for piece in _in_pieces(content))
        out.flush()
    return 0


def _opened(path: str, folder: Path) -> BufferedReader:
    place = place_of(path)
    if place is None:
        raise no_file_of_a_run(path)
    return untrusted.open_file(folder, place[1], called=path)


def _refused(out: BinaryIO, head: Head) -> int:
    out.write(msgspec.json.encode(head) + b"\n")
    out.flush()
    return EXIT_REFUSED


def _rows(found: Predictions, first: list[Any] | None, limit: int | None) -> Iterable[str]:
    rows = itertools.chain([] if first is None else [first], found.rows)
    if limit is None:
        return prediction_csv.lines(msgspec.structs.replace(found, rows=rows), prediction_csv.for_spreadsheets)
    lines, size = [], 0
    for row in itertools.islice(rows, limit):
        lines.append(msgspec.json.encode([_plain(cell) for cell in row]).decode())
        size += len(lines[-1].encode())
        if size > LONGEST_ROWS:
            raise Refused(
                f"the first {limit} rows are larger than {LONGEST_ROWS >> 20} MiB. Ask for fewer, or download the file."
            )
    return lines


def _plain(cell: Any) -> Any:
    """``cell`` as JSON has it, of bounded length."""
    if isinstance(cell, int) and abs(cell) > LARGEST_WHOLE:
        return str(cell)
    if isinstance(cell, _PLAIN) and not isinstance(cell, str):
        return cell
    text = str(cell)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


def _in_pieces(lines: Iterable[str]) -> Iterator[str]:
    piece = io.StringIO()
    for line in lines:
        piece.write(line)
        piece.write("\n")
        if piece.tell() >= _AT_ONCE:
            yield piece.getvalue()
            piece = io.StringIO()
    yield piece.getvalue()
