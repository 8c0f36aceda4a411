"""The files that a source names: one in ``shared/inputs/``, all of a folder there, or those that a pattern matches.

Several files are one table, in the order of their paths. Their SHA-256 is that of what ``sha256sum`` prints of them,
run in ``shared/inputs/``: a line ``<sha256>  <path>`` each. Needs the standard library alone.
"""

from __future__ import annotations

import glob
import hashlib
from pathlib import Path  # msgspec reads the annotations
from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import Refused, short
from bulkhead.paths import input_path

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet"}
"""By the end of a file's name, in small letters, what is in it."""
_MOST_FILES = 10_000
NO_DATA = (".", "_")
"""How names begin that other tools give to what is no part of a table, like Spark's ``_SUCCESS``."""
HIDDEN = ".uploads"
"""The folder of what is sent from a browser, below ``shared/inputs/``: nothing in it is an input yet."""


class InputFile(msgspec.Struct, frozen=True):
    """One file of a source."""

    path: Path
    """Where it is, links followed."""
    name: str
    """Relative to ``shared/inputs/``, as people call it."""
    kind: str
    """``csv`` or ``parquet``."""


class InputFiles(msgspec.Struct, frozen=True):
    """What a source names."""

    files: list[InputFile]
    """At least one."""
    name: str
    """The file, the folder or the pattern, relative to ``shared/inputs/``."""
    is_one: bool
    """Whether the source names a file, and not a folder or a pattern."""


def find(source: str, inputs: Path) -> InputFiles:
    """The files that ``source`` names below ``inputs``; ``shared/inputs/`` may stand before it.

    Raises:
        Refused: there is no such file, it leads out of ``inputs``, or it is none that holds a table.
    """
    shown = short(source, 200)
    if not source.isprintable():
        raise _no_table(shown)
    if not inputs.is_dir():
        raise Refused(
            f'source {shown}: no inputs folder at {inputs}. Add -v "$PWD/shared/inputs:{inputs}:ro" to docker run.'
        )
    try:
        return _found(source, inputs.resolve(), shown)
    except ValueError as error:  # ** within a name, before Python 3.13
        raise Refused(f"source {shown}: no pattern: {error}. Write ** between two slashes, or *.") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise Refused(f"source {shown}: cannot be read: {reason}. Fix the file or its mode (chmod a+r).") from error


def combined_sha256(hashes: Iterable[tuple[str, str]], *, is_one: bool) -> str:
    """The SHA-256 of a source, of the ``(name, sha256)`` of its files: of one file that file's own."""
    pairs = list(hashes)
    if is_one:
        return pairs[0][1]
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in pairs).encode()).hexdigest()


def is_pattern(name: str) -> bool:
    """Whether ``name`` has a sign that matches more than itself."""
    return glob.has_magic(name)


def _found(source: str, inputs: Path, shown: str) -> InputFiles:
    if not (inputs / source).exists():
        source = source.removeprefix("./").removeprefix(input_path(""))  # as it stands in records
    path = (inputs / source).resolve()
    if not path.is_relative_to(inputs):
        raise Refused(f"source {shown}: leads out of shared/inputs/. Put the file there and give its name.")
    if _is_hidden(path, inputs):
        raise Refused(f"source {shown}: is being uploaded, and no input yet. Wait for it, and give its name.")
    # A file that is called like a pattern is that file.
    if path.is_file():
        kind = _kind_of(source)
        if kind is None:
            raise _no_table(shown)
        below = str(path.relative_to(inputs))
        return InputFiles([InputFile(path, below, kind)], below, is_one=True)
    if path.is_dir() and path != inputs:
        name = str(path.relative_to(inputs))
        names = sorted(
            f"{name}/{one.name}" for one in path.iterdir() if _kind_of(one.name) and not one.name.startswith(NO_DATA)
        )
        return InputFiles(_several(names, inputs, shown, f"the folder has no {_ENDS} file"), name, is_one=False)
    if is_pattern(source):
        found = (path.relative_to(inputs) for path in inputs.glob(source) if not _is_hidden(path, inputs))
        names = sorted({str(path) for path in found if not path.name.startswith(NO_DATA)})
        return InputFiles(_several(names, inputs, shown, "nothing in shared/inputs/ matches it"), source, is_one=False)
    if _kind_of(source) is None:
        raise _no_table(shown)
    if path.exists():
        raise Refused(f"source {shown}: not a plain file. Put a .csv or .parquet file in shared/inputs/.")
    raise Refused(f"source {shown}: no such file in shared/inputs/. Put it there, or give another name.")


def _is_hidden(path: Path, inputs: Path) -> bool:
    return path.relative_to(inputs).parts[:1] == (HIDDEN,)


def _no_table(shown: str) -> Refused:
    return Refused(
        f"source {shown}: not the name of a .csv or .parquet file. Put one in shared/inputs/ and give its name."
    )


_ENDS = ".csv or .parquet"


def _several(names: list[str], inputs: Path, shown: str, none: str) -> list[InputFile]:
    files = []
    for name in names:
        if not name.isprintable():  # and the list of hashes could be read in two ways
            raise Refused(f"source {shown}: {short(name, 200)} has a character that cannot be printed. Rename it.")
        path = (inputs / name).resolve()
        if not path.is_relative_to(inputs) or _is_hidden(path, inputs):
            raise Refused(f"source {shown}: {short(name, 200)} leads out of shared/inputs/. Take it out.")
        kind = _kind_of(name)
        if not path.is_file() or kind is None:
            raise Refused(
                f"source {shown}: {short(name, 200)} is not a {_ENDS} file. Name those alone that are one table."
            )
        files.append(InputFile(path, name, kind))
    if not files:
        raise Refused(f"source {shown}: {none}. Put the files there, or give another name.")
    if len(files) > _MOST_FILES:
        raise Refused(f"source {shown}: {len(files):,} files, and {_MOST_FILES:,} are taken. Put them together.")
    if len({file.kind for file in files}) > 1:
        raise Refused(f"source {shown}: it has CSV and Parquet files. Name those of one kind, like {shown}/*.parquet.")
    return files


def _kind_of(name: str) -> str | None:
    return next((kind for end, kind in KINDS.items() if name.lower().endswith(end)), None)
