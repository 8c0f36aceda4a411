"""Tables and parameters that a user gets wrong in training: each refused with its own sentence."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.project import files_in, lines_of

if TYPE_CHECKING:
    from tests.support.project import Project

ROWS = "1,2\n3,4\n5,6\n7,9\n"
GOOD = "a,target\n" + ROWS
FOUR = pa.array([1, 2, 3, 5])


class Bad(msgspec.Struct, frozen=True):
    """A file that preprocessing refuses, and a telling piece of why."""

    content: bytes | str | Callable[[], bytes]
    fragment: str
    name: str = "bad.csv"
    flags: tuple[str, ...] = ()


def csv(rows: str, fragment: str, *flags: str) -> Bad:
    return Bad("a,target\n" + rows, fragment, flags=flags)


def parquet_of(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def parquet(a: Callable[[], Any], fragment: str) -> Bad:
    """A Parquet file whose column ``a`` is what is wrong."""
    return Bad(lambda: parquet_of(pa.table({"a": a(), "target": FOUR})), fragment, "bad.parquet")


def good_parquet() -> bytes:
    return parquet_of(pa.table({"a": FOUR, "target": FOUR}))


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", GOOD)
    return buffer.getvalue()


def corrupt_parquet() -> bytes:
    content = good_parquet()
    return content[:20] + b"\xff" * 30 + content[50:]


BAD: dict[str, Bad] = {
    # Nothing there.
    "empty file": Bad("", "it is empty"),
    "only blank lines": Bad("\n\r\n  \n\n", "it is empty"),
    "only a byte order mark": Bad(b"\xef\xbb\xbf", "it is empty"),
    "no rows": Bad("a,target\n", "no rows"),
    "no rows, no line break": Bad("a,target", "no rows"),
    "only the target": Bad("target\n1\n2\n", "no column but the target 'target'"),
    # Names.
    "two names the same": Bad("a,a,target\n1,2,3\n", "2 columns are called 'a'"),
    "two names the same but for spaces": Bad("a, a,target\n1,2,3\n", "2 columns are called 'a'"),
    "target twice": Bad("a,target,target\n1,2,3\n", "2 columns are called 'target'"),
    "a name empty": Bad("a,,target\n1,2,3\n", "column 2 has no name"),
    "a name of spaces": Bad("a,  ,target\n1,2,3\n", "column 2 has no name"),
    "an index column": Bad(",a,target\n0,1,2\n", "column 1 has no name"),
    "all names empty": Bad(",,\n1,2,3\n", "column 1 has no name"),
    "a line break in a name": Bad('"a\nb",target\n1,2\n', "the name of column 1, 'a\\nb', holds a line break"),
    "an escape code in a name": Bad("a,\x1b[31mb,target\n1,2,3\n", "the name of column 2"),
    "no header": Bad("1,2\n3,4\n", "target 'target': no such column. The table has: '1', '2'"),
    # Cells.
    "Latin-1": Bad("größe,target\n1,2\n".encode("latin-1"), "it is not UTF-8 text"),
    "Latin-1 in a cell": Bad("a,target\nö,2\n".encode("latin-1"), "it is not UTF-8 text"),
    "text in the first row": csv("x,2\n3,4\n", "column 'a', row 1: 'x' is not a number"),
    "text in a later row": csv("1,2\n3,4\nfive,6\n", "column 'a', row 3: 'five' is not a number"),
    "text in the target": csv("1,2\n3,four\n", "column 'target', row 2: 'four' is not a number"),
    "text far down": Bad(lambda: b"a,target\n" + b"1,2\n" * 199_999 + b"x,2\n1,2\n", "column 'a', row 200000: 'x' is"),
    "an empty cell far down": Bad(lambda: b"a,target\n" + b"1,2\n" * 199_999 + b",2\n", "'a', row 200000: the cell"),
    "the first of many bad cells": csv("1,2\nx,2\ny,2\n1,z\n", "column 'a', row 2: 'x'"),
    "a fraction, then text": csv("1.5,2\n2.5,2\n2.5.1,2\n", "column 'a', row 3: '2.5.1' is not a number"),
    "a cell with a line break": csv('1,2\n"3\n4",5\n', "column 'a', row 2: '3"),
    "a date": csv("2024-01-31,2\n", "row 1: '2024-01-31' is not a number"),
    "a percentage": csv("1,2\n5%,2\n", "row 2: '5%' is not a number"),
    "thousands set apart": csv('"1,000",2\n', "row 1: '1,000' is not a number"),
    "an underscore": csv("1_000,2\n", "row 1: '1_000' is not a number"),
    "a currency": csv("€5,2\n", "row 1: '€5' is not a number"),
    "a truth value": csv("true,2\n", "row 1: 'true' is not a number"),
    "a hexadecimal number": csv("1,2\n0x10,2\n", "row 2: '0x10' is not a number"),
    "n/a": csv("1,2\nN/A,2\n", "row 2: 'N/A' is not a number"),
    "null in words": csv("1,2\nnull,2\n", "row 2: 'null' is not a number"),
    "a very long cell": csv("1,2\n" + "x" * 5000 + ",2\n", "column 'a', row 2: 'xxx"),
    "nan": csv("1,2\nnan,2\n", "column 'a', row 2: the value is NaN"),
    "NaN in the target": csv("1,2\n3,NaN\n", "column 'target', row 2: the value is NaN"),
    "infinity": csv("1,2\ninf,2\n", "column 'a', row 2: the value is infinity"),
    "minus infinity": csv("1,2\n-inf,2\n", "column 'a', row 2: the value is infinity"),
    "infinity in words": csv("1,2\nInfinity,2\n", "column 'a', row 2: the value is infinity"),
    "more than a float holds": csv("1,2\n1e400,2\n", "column 'a', row 2: the value is infinity"),
    "an empty cell": csv("1,2\n,4\n", "column 'a', row 2: the cell is empty"),
    "a cell of spaces": csv("1,2\n   ,4\n", "column 'a', row 2: the cell is empty"),
    "a quoted empty cell": csv('1,2\n"",4\n', "column 'a', row 2: the cell is empty"),
    "an empty target": csv("1,2\n3,\n", "column 'target', row 2: the cell is empty"),
    "1e308": csv("1,2\n1e308,4\n5,6\n", "column 'a', row 2: 1e+308 is beyond"),
    "1e200": csv("1,2\n1e200,4\n5,6\n", "column 'a', row 2: 1e+200 is beyond"),
    "-1e200 in the target": csv("1,2\n3,-1e200\n5,6\n", "column 'target', row 2: -1e+200 is beyond"),
    # Lines.
    "a row too short": csv("1,2\n3,4\n5\n6,7\n", "Expected 2 columns, got 1"),
    "a row too long": csv("1,2\n3,4,5\n", "Expected 2 columns, got 3"),
    "a comma at the end of a row": csv("1,2,\n3,4,\n", "Expected 2 columns, got 3"),
    "a quote never closed": Bad('a,target\n1,2\n"3,4\n5,6\n', "Expected 2 columns, got 1"),
    "a quote never closed in the last column": Bad('a,target\n1,2\n3,"4\n5,6\n', "column 'target', row 2"),
    "semicolons": Bad("a;target\n1;2\n3;4\n", "its header 'a;target' has semicolons and no comma"),
    "tabs": Bad("a\ttarget\n1\t2\n", "'a\\ttarget'"),
    "decimal commas": Bad("a;target\n1,5;2\n", "commas between the columns, and points in numbers"),
    "a comment first": Bad("# measured in May\na,target\n1,2\n", "Expected 1 columns, got 2"),
    "a line of 50 MB": Bad(lambda: b"1," * 25_000_000, "line"),
    "a cell of 50 MB": Bad(lambda: b"a,target\n1,2\n3," + b"4" * 50_000_000 + b"\n5,6\n", "line"),
    # Not CSV in UTF-8.
    "binary": Bad(lambda: bytes(range(256)) * 100, "zero bytes"),
    "zero bytes in a cell": csv("1,2\n\x00,4\n", "zero bytes"),
    "zero bytes far down": Bad(lambda: b"a,target\n" + b"1,2\n" * 400_000 + b"\x00,2\n", "row 400001"),
    "gzip": Bad(lambda: gzip.compress(GOOD.encode()), "compressed with gzip"),
    "zip": Bad(zipped, "bad.csv"),
    "UTF-16": Bad(GOOD.encode("utf-16"), "zero bytes, so it is not CSV text. Export it as CSV in UTF-8"),
    "UTF-16 without a mark": Bad(GOOD.encode("utf-16-be"), "zero bytes"),
    "latin-1 in a name": Bad("\xe9t\xe9,target\n1,2\n".encode("latin-1"), "utf-8"),
    "latin-1 in a cell": Bad(b"a,target\n1,2\n3\xa0,4\n", "invalid UTF8"),
    "an HTML page": Bad("<!DOCTYPE html>\n<html><body>Log in</body></html>\n", "The table has: '<!DOCTYPE html>'"),
    "Parquet called CSV": Bad(good_parquet, "zero bytes"),
    # Parquet.
    "CSV called Parquet": Bad(GOOD, "cannot be read as Parquet", "bad.parquet"),
    "Parquet, empty": Bad("", "cannot be read as Parquet", "bad.parquet"),
    "Parquet, truncated": Bad(lambda: good_parquet()[:-10], "cannot be read as Parquet", "bad.parquet"),
    "Parquet, only its beginning": Bad(lambda: good_parquet()[:30], "cannot be read as Parquet", "bad.parquet"),
    "Parquet, corrupt": Bad(corrupt_parquet, "cannot be read as Parquet", "bad.parquet"),
    "Parquet, no columns": Bad(lambda: parquet_of(pa.table({})), "no columns", "bad.parquet"),
    "Parquet, no rows": Bad(
        lambda: parquet_of(pa.table({"a": FOUR, "target": FOUR}).slice(0, 0)), "no rows", "bad.parquet"
    ),
    "Parquet, two names the same": Bad(
        lambda: parquet_of(pa.table([FOUR, FOUR, FOUR], names=["a", "a", "target"])),
        "bad.parquet: 2 columns are called 'a'",
        "bad.parquet",
    ),
    "Parquet, a name empty": Bad(
        lambda: parquet_of(pa.table([FOUR, FOUR], names=["", "target"])), "column 1 has no name", "bad.parquet"
    ),
    "Parquet, a line break in a name": Bad(
        lambda: parquet_of(pa.table([FOUR, FOUR], names=["a\nb", "target"])), "the name of column 1", "bad.parquet"
    ),
    "Parquet, text": parquet(lambda: pa.array(["1", "x", "3", "4"]), "column 'a', row 2: 'x' is not a number"),
    "Parquet, bool": parquet(lambda: pa.array([True, False, True, True]), "its type is bool"),
    "Parquet, timestamp": parquet(lambda: pa.array([1, 2, 3, 4], pa.timestamp("us")), "its type is timestamp[us]"),
    "Parquet, nested": parquet(lambda: pa.array([[1], [2], [3], [4]]), "its type is list<"),
    "Parquet, struct": parquet(lambda: pa.array([{"x": 1}] * 4), "its type is struct<"),
    "Parquet, bytes": parquet(lambda: pa.array([b"1", b"2", b"3", b"4"]), "its type is binary"),
    "Parquet, null": parquet(lambda: pa.array([1, 2, None, 4]), "column 'a', row 3: the cell is empty"),
    "Parquet, all null": parquet(lambda: pa.array([None] * 4, pa.null()), "column 'a', row 1: the cell is empty"),
    "Parquet, NaN": parquet(lambda: pa.array([1.0, 2.0, float("nan"), 4.0]), "column 'a', row 3: the value is NaN"),
    "Parquet, infinity": parquet(lambda: pa.array([1.0, float("-inf"), 3.0, 4.0]), "row 2: the value is infinity"),
    "Parquet, 1e308": parquet(lambda: pa.array([1.0, 1e308, 3.0, 4.0]), "column 'a', row 2: 1e+308 is beyond"),
    # Choice of columns.
    "missing target": Bad(GOOD, "'price': no such column. The table has: 'a', 'target'", flags=("--target", "price")),
    "blank target": Bad(GOOD, "target ' ': no such column", flags=("--target", " ")),
    "target of another case": Bad(GOOD, "target 'Target': no such column", flags=("--target", "Target")),
    "half a character for a target": Bad(GOOD, "target '\\udcff': no such column", flags=("--target", "\udcff")),
    "a very long target": Bad(GOOD, "no such column", flags=("--target", "t" * 100_000)),
    "target among the features": Bad(GOOD, "'target' is the target", flags=("--features", "a,target")),
    "unknown feature": Bad(GOOD, "no column called 'b'. The table has: 'a', 'target'", flags=("--features", "a,b")),
    "half a character for a feature": Bad(GOOD, "no column called '\\udcff'", flags=("--features", "\udcff")),
    "feature twice": Bad(GOOD, "named twice", flags=("--features", "a,a")),
    "features of nothing but a comma": Bad(GOOD, "no column called ''", flags=("--features", ",")),
    "features with a quote never closed": Bad(GOOD, "features '\"a'", flags=("--features", '"a')),
    "features with text after a quote": Bad(GOOD, "features '\"a\"b'", flags=("--features", '"a"b')),
    "features on two lines": Bad(GOOD, "features", flags=("--features", "a\na")),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_table_is_refused_with_its_own_sentence(bad: Bad, project: Project) -> None:
    content = bad.content() if callable(bad.content) else bad.content
    project.put(bad.name, content)
    ended = project.trainer("preprocessing", "--source", bad.name, *bad.flags)
    project.assert_refused(ended, "preprocessing", bad.fragment)
    assert project.model_files() == []
    assert files_in(project.shared) == []
    assert lines_of(project.registry.inference_journal) == []


def test_no_two_kinds_of_mistake_share_a_sentence(project: Project) -> None:
    """A person can tell from the sentence alone which it was."""
    kinds = (
        *("empty file", "no rows", "two names the same", "a name empty", "a line break in a name", "no header"),
        *("text in a later row", "nan", "infinity", "an empty cell", "1e308", "a row too short", "binary", "gzip"),
        *("Parquet, truncated", "Parquet, bool", "only the target", "unknown feature", "feature twice"),
        *("target among the features", "features with a quote never closed"),
    )
    for kind in kinds:
        bad = BAD[kind]
        content = bad.content() if callable(bad.content) else bad.content
        project.put(bad.name, content)
        assert project.trainer("preprocessing", "--source", bad.name, *bad.flags).code == 1
    details = [line["detail"] for line in lines_of(project.registry.training_journal)]
    # Without the names, rows and values that a sentence fills in.
    import re

    skeletons = {re.sub(r"'[^']*'|\S*\d\S*|bad\.\w+", "_", detail) for detail in details}
    assert len(skeletons) == len(kinds)


def outside(inputs: Path) -> Path:
    """A good table beside the inputs, not in them."""
    path = inputs.parent / "secret.csv"
    path.write_text(GOOD)
    return path


class Source(msgspec.Struct, frozen=True):
    """A source that preprocessing refuses, what makes it, and a telling piece of why."""

    name: str
    fragment: str
    make: Callable[[Path], object] = lambda _: None


def link(target: str) -> Callable[[Path], object]:
    def make(inputs: Path) -> None:
        outside(inputs)
        (inputs / "bad.csv").symlink_to(inputs / target)

    return make


def linked_parent(inputs: Path) -> None:
    outside(inputs)
    (inputs / "x").symlink_to(inputs.parent)


SOURCES: dict[str, Source] = {
    "missing file": Source("missing.csv", "no such file in shared/inputs/"),
    "the inputs themselves": Source("shared/inputs/", "not the name of a .csv or .parquet file"),
    "missing folder": Source("no/such.csv", "no such file in shared/inputs/"),
    "wrong suffix": Source("bad.xlsx", "not the name of a .csv or", lambda i: (i / "bad.xlsx").write_text(GOOD)),
    "no suffix": Source("bad", "not the name of a .csv or .parquet file", lambda i: (i / "bad").write_text(GOOD)),
    "compressed suffix": Source("bad.csv.bz2", "not the name of a .csv or .parquet file"),
    "empty": Source("", "not the name of a .csv or .parquet file"),
    "spaces": Source("   ", "not the name of a .csv or .parquet file"),
    "a dot": Source(".", "not the name of a .csv or .parquet file"),
    "sample of another case": Source("Sample", "not the name of a .csv or .parquet file"),
    "a path out of the inputs": Source("../secret.csv", "leads out of shared/inputs/", outside),
    "a longer path out of the inputs": Source("x/../../secret.csv", "leads out of shared/inputs/", outside),
    "a path out to what is not there": Source("../nothing.csv", "leads out of shared/inputs/"),
    "an absolute path": Source("/etc/secret.csv", "leads out of shared/inputs/"),
    "a link out of the inputs": Source("bad.csv", "leads out of shared/inputs/", link("../secret.csv")),
    "a folder linked out of the inputs": Source("x/secret.csv", "leads out of shared/inputs/", linked_parent),
    "a link to nothing": Source("bad.csv", "no such file", link("nothing.csv")),
    "a link to itself": Source("bad.csv", "source 'bad.csv'", link("bad.csv")),
    "a folder": Source("bad.csv", "the folder has no .csv or .parquet file", lambda i: (i / "bad.csv").mkdir()),
    "a FIFO": Source("bad.csv", "not a plain file", lambda i: os.mkfifo(i / "bad.csv")),
    "a line break": Source("a\nb.csv", "source 'a"),
    "a zero byte": Source("a\x00.csv", "not the name of a .csv or .parquet file"),
    "half a character": Source("\udcff.csv", "not the name of a .csv or .parquet file"),
    "a very long name": Source("x" * 5000 + ".csv", "source 'xxx"),
    "a name too long for a file": Source("x" * 300 + ".csv", "source 'xxx"),
    "a URL": Source("https://example.org/t.csv", "no such file in shared/inputs/"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("image", "task"), [("trainer", "preprocessing"), ("inference", "generate_inf_data")], ids=["training", "inference"]
)
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_bad_source_is_refused_with_its_own_sentence(source: Source, image: str, task: str, project: Project) -> None:
    source.make(project.inputs)
    ended = project.run(image, [task, "--source", source.name])
    project.assert_refused(ended, task, source.fragment)
    assert files_in(project.shared) == []


def test_a_missing_inputs_folder_is_refused_with_the_mount_to_add(project: Project) -> None:
    project.inputs.rmdir()
    ended = project.trainer("preprocessing", "--source", "t.csv")
    sentence = project.assert_refused(ended, "preprocessing", "no inputs folder at")
    assert '-v "$PWD/shared/inputs:' in sentence


def test_the_sample_needs_no_inputs_folder(project: Project) -> None:
    project.inputs.rmdir()
    project.done("trainer", "preprocessing")


@pytest.mark.parametrize("fraction", ["-0.1", "1", "1.0", "2", "nan", "inf", "-inf", "1e300"])
def test_a_test_fraction_that_is_no_share_is_wrong_usage(fraction: str, project: Project) -> None:
    project.done("trainer", "preprocessing")
    ended = project.trainer("train_model", "--test-fraction", fraction)
    assert ended.code == 2
    assert "Usage:" in ended.err
    bound = "< 1.0" if float(fraction) >= 1 else ">= 0.0"
    sentence = f"parameter test_fraction: Expected `float` {bound}, and it is '{fraction}'. Give another value."
    assert sentence in ended.err
    assert project.model_files() == []
    assert lines_of(project.registry.training_journal) == []


@pytest.mark.parametrize(
    ("rows", "fraction", "fragment"),
    [
        (1, "0", "1 rows with test fraction 0.0 leave 1 to train on"),
        (1, "0.2", "leave 0 to train on"),
        (2, "0.2", "leave 1 to train on"),
        (20, "0.95", "20 rows with test fraction 0.95 leave 1 to train on"),
        (20, "0.999", "leave 0 to train on"),
    ],
)
def test_too_few_rows_for_the_fraction_are_refused(rows: int, fraction: str, fragment: str, project: Project) -> None:
    project.put("t.csv", "a,target\n" + "".join(f"{i},{i}\n" for i in range(rows)))
    project.done("trainer", "preprocessing", "--source", "t.csv")
    ended = project.trainer("train_model", "--test-fraction", fraction)
    project.assert_refused(ended, "train_model", fragment)
    assert project.model_files() == []


def test_a_transformation_that_takes_the_targets_name_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from project import model

    monkeypatch.setattr(model, "transform", lambda frame: frame.assign(target=0.0))
    project.assert_refused(project.trainer("preprocessing"), "preprocessing", "makes a column called 'target'")


@pytest.mark.parametrize(
    ("transform", "fragment"),
    [
        (lambda frame: frame[:5], "made 5 rows out of 20"),
        (lambda frame: frame[[]], "at least one"),
        (lambda frame: frame.rename(columns={"feature1": "feature2"}), "distinct columns"),
        (lambda frame: frame.assign(feature1="x"), "made column 'feature1' something else than numbers"),
        (lambda frame: frame.assign(feature1=frame["feature1"] / 0), "made column 'feature1', row 1, nan"),
    ],
    ids=["dropped rows", "no columns", "one name twice", "text", "NaN"],
)
def test_an_edited_transformation_that_breaks_its_promise_is_refused(
    transform: Callable[[Any], Any], fragment: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from project import model

    monkeypatch.setattr(model, "transform", transform)
    project.assert_refused(project.trainer("preprocessing"), "preprocessing", fragment)


def test_numbers_that_are_not_finite_after_the_transformation_are_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from project import model

    monkeypatch.setattr(model, "transform", lambda frame: frame.assign(feature1=frame["feature1"] * 1e308))
    project.assert_refused(project.trainer("preprocessing"), "preprocessing", "made column 'feature1', row 3, inf")
