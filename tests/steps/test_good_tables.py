"""Tables as the world writes them, which must work."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.project import Project

READ = {"a": [1.0, 3.0, 5.0], "target": [2.0, 4.0, 6.0]}

ALIKE: dict[str, bytes] = {
    "plain": b"a,target\n1,2\n3,4\n5,6\n",
    "no line break at the end": b"a,target\n1,2\n3,4\n5,6",
    "byte order mark": b"\xef\xbb\xbfa,target\n1,2\n3,4\n5,6\n",
    "CRLF": b"a,target\r\n1,2\r\n3,4\r\n5,6\r\n",
    "byte order mark and CRLF": b"\xef\xbb\xbfa,target\r\n1,2\r\n3,4\r\n5,6\r\n",
    "CR": b"a,target\r1,2\r3,4\r5,6\r",
    "spaces after commas": b"a, target\n1, 2\n3, 4\n5, 6\n",
    "spaces everywhere": b" a , target \n 1 , 2 \n 3 , 4 \n 5 , 6 \n",
    "quoted names": b'"a","target"\n1,2\n3,4\n5,6\n',
    "quoted numbers": b'a,target\n"1","2"\n"3","4"\n"5","6"\n',
    "blank lines at the end": b"a,target\n1,2\n3,4\n5,6\n\n\n",
    "fractions": b"a,target\n1.0,2.000\n3.,4e0\n.5e1,60e-1\n",
    "signs and leading zeros": b"a,target\n+1,+2.0\n03,4\n+5,006\n",
}


def prepared(project: Project) -> pd.DataFrame:
    return pd.read_parquet(project.shared / "preprocessing.parquet")


@pytest.mark.parametrize("content", ALIKE.values(), ids=ALIKE)
def test_a_table_is_read_alike_however_it_is_written(content: bytes, project: Project) -> None:
    project.put("t.csv", content)
    project.train("--source", "t.csv", fraction="0")
    assert prepared(project).to_dict("list") == READ
    assert list(prepared(project).dtypes) == [np.float64, np.float64]


@pytest.mark.parametrize("name", ["T.CSV", "a b.csv", "größe.csv", "it's.csv", "sub/folder/t.csv", "..t.csv", "-t.csv"])
def test_a_file_may_have_any_readable_name(name: str, project: Project) -> None:
    project.put(name, ALIKE["plain"])
    record = project.train(f"--source={name}", fraction="0")
    assert record.data is not None
    assert (record.data.path, record.data.source) == (f"shared/inputs/{name}", name)


@pytest.mark.parametrize("name", ["./t.csv", "sub/../t.csv", "sub//../t.csv", "{inputs}/t.csv", "shared/inputs/t.csv"])
def test_a_roundabout_path_is_recorded_as_the_file_it_leads_to(name: str, project: Project) -> None:
    """Paths in records are relative to the project, never a container's."""
    project.put("t.csv", ALIKE["plain"])
    (project.inputs / "sub").mkdir()
    record = project.train("--source", name.format(inputs=project.inputs), fraction="0")
    assert record.data is not None
    assert record.data.path == "shared/inputs/t.csv"


def test_a_link_within_the_inputs_is_followed(project: Project) -> None:
    project.put("t.csv", ALIKE["plain"])
    (project.inputs / "newest.csv").symlink_to("t.csv")
    project.train("--source", "newest.csv", fraction="0")
    assert prepared(project).to_dict("list") == READ


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('"a,b"', "a,b"),
        ('"say ""hi"""', 'say "hi"'),
        ("größe in m²", "größe in m²"),
        ("温度", "温度"),
        ("it's", "it's"),
        ("a;b", "a;b"),
        ("\U0001f30a", "\U0001f30a"),
        ("__proto__", "__proto__"),
        ("x" * 1000, "x" * 1000),
    ],
    ids=["comma", "quotes", "umlaut", "Chinese", "apostrophe", "semicolon", "emoji", "underscores", "long"],
)
def test_a_column_may_have_any_printable_name(header: str, name: str, project: Project) -> None:
    project.put("t.csv", f"{header},other,target\n1,7,2\n3,8,4\n5,7,6\n")
    record = project.train("--source", "t.csv", "--features", header, fraction="0")
    assert (record.features, record.left_out) == ([name], ["other"])
    project.put("new.csv", f"{header}\n10\n")
    assert project.infer("new.csv")["predictions"] == [pytest.approx(11)]


def test_features_and_target_may_be_any_columns(project: Project) -> None:
    project.put("t.csv", "y,unused,b,a\n" + "".join(f"{3 * i + j},x,{i},{j}\n" for i in range(5) for j in range(3)))
    record = project.train("--source", "t.csv", "--target", "y", "--features", " a , b ", fraction="0")
    assert (set(record.features or []), record.target, record.left_out) == ({"a", "b"}, "y", ["unused"])
    model = project.registry.load(record)[-1]
    assert dict(zip(model.feature_names_in_, model.coef_, strict=True)) == pytest.approx({"a": 1, "b": 3})


def test_whole_numbers_beyond_2_to_the_53_are_rounded_not_refused(project: Project) -> None:
    project.put("t.csv", "a,target\n9007199254740993,1\n9223372036854775807,2\n18446744073709551616,3\n")
    project.done("trainer", "preprocessing", "--source", "t.csv")
    assert list(prepared(project)["a"]) == [2.0**53, 2.0**63, 2.0**64]


@pytest.mark.parametrize("number", ["1e-300", "-1e-300", "5e-324", "0", "-0.0", "1e150", "1e-400"])
def test_small_and_large_numbers_that_a_float_holds_are_read(number: str, project: Project) -> None:
    project.put("t.csv", f"a,target\n{number},1\n1,2\n2,3\n")
    project.train("--source", "t.csv", fraction="0")
    assert prepared(project)["a"][0] == float(number)


def test_a_column_of_one_value_trains(project: Project) -> None:
    project.put("t.csv", "a,b,target\n1,7,2\n2,7,4\n3,7,6\n")
    record = project.train("--source", "t.csv", fraction="0")
    assert project.registry.load(record)[-1].coef_ == pytest.approx([2, 0])


def test_two_equal_columns_train(project: Project) -> None:
    project.put("t.csv", "a,b,target\n1,1,2\n2,2,4\n3,3,6\n")
    project.train("--source", "t.csv", fraction="0")
    project.put("new.csv", "a,b\n10,10\n")
    assert project.infer("new.csv")["predictions"] == [pytest.approx(20)]


def test_more_columns_than_rows_give_the_smallest_coefficients_that_explain_every_row(project: Project) -> None:
    """Many explain them all; that of least norm, which the pseudo-inverse gives too, is the only one of its kind."""
    rows, columns = 8, 50
    draw = np.random.default_rng(4)
    # Columns of one span and of mean 0: none is scaled, and the intercept is the target's mean.
    table = np.column_stack([draw.permutation([1, -1] * (rows // 2)) for _ in range(columns)])
    target = np.arange(rows) ** 2
    names = [f"c{j}" for j in range(columns)]
    header, lines = ",".join(names), [",".join(map(str, row)) for row in table]
    training = "".join(f"{line},{y}\n" for line, y in zip(lines, target, strict=True))
    project.put("t.csv", f"{header},target\n{training}")
    project.put("same.csv", "\n".join([header, *lines]) + "\n")
    record = project.train("--source", "t.csv", fraction="0")
    assert record.coefficients is not None
    expected = np.linalg.pinv(table) @ (target - target.mean())
    assert [record.coefficients[name] for name in names] == pytest.approx(list(expected))
    assert record.intercept == pytest.approx(target.mean())
    assert record.metrics is not None
    assert (record.metrics["train_rows"], record.metrics["test_rows"], record.metrics["r2"]) == (rows, 0, None)
    assert project.infer("same.csv")["predictions"] == pytest.approx(list(target))


def test_a_table_of_thousands_of_columns_is_read(project: Project) -> None:
    width = 2_000
    names = [f"{'a rather long name of a column ' * 3} {i}" for i in range(width)]
    rows = "".join(",".join([str(i % 3)] * width) + f",{i}\n" for i in range(3))
    project.put("t.csv", ",".join(names) + ",target\n" + rows)
    project.done("trainer", "preprocessing", "--source", "t.csv")
    assert prepared(project).shape == (3, width + 1)


def test_names_that_no_result_can_hold_are_refused(project: Project) -> None:
    names = [f"{'a rather long name of a column ' * 10} {i}" for i in range(2_000)]
    rows = "".join(",".join([str(i % 3)] * len(names)) + f",{i}\n" for i in range(3))
    project.put("t.csv", ",".join(names) + ",target\n" + rows)
    ended = project.trainer("preprocessing", "--source", "t.csv")
    project.assert_refused(ended, "preprocessing", "1048576 are read at most")


def parquet_of(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind",
    ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"],
)
def test_parquet_numbers_of_every_width_are_read(kind: str, project: Project) -> None:
    column = pa.array(np.array([1, 3, 5], dtype=kind))
    project.put("t.parquet", parquet_of(pa.table({"a": column, "target": pa.array([2, 4, 6])})))
    record = project.train("--source", "t.parquet", fraction="0")
    assert prepared(project).to_dict("list") == READ
    assert record.dtypes == {"a": str(column.type)}
    project.done("inference", "generate_inf_data", "--source", "t.parquet")


def test_parquet_numbers_as_text_are_read(project: Project) -> None:
    table = pa.table({"a": pa.array(["1", " 3", "5.0"]), "target": pa.array(["2", "4", "6"], pa.large_string())})
    project.put("t.parquet", parquet_of(table))
    project.train("--source", "t.parquet", fraction="0")
    assert prepared(project).to_dict("list") == READ


@pytest.mark.parametrize(
    "write",
    [
        lambda frame, file: frame.to_parquet(file),
        lambda frame, file: frame[frame["a"] > 0].sort_values("a", ascending=False).iloc[::-1].to_parquet(file),
        lambda frame, file: frame.set_index(pd.Index(list("xyz"))).to_parquet(file),
        lambda frame, file: frame.to_parquet(file, compression="gzip"),
        lambda frame, file: frame.to_parquet(file, compression="zstd", row_group_size=1),
    ],
    ids=["a range", "a sorted frame", "text", "gzip", "many row groups"],
)
def test_a_frame_written_by_pandas_is_read_without_its_index(
    write: Callable[[pd.DataFrame, io.BytesIO], None], project: Project
) -> None:
    buffer = io.BytesIO()
    write(pd.DataFrame(READ), buffer)
    project.put("t.parquet", buffer.getvalue())
    record = project.train("--source", "t.parquet", fraction="0")
    assert prepared(project).to_dict("list") == READ
    assert (record.features, record.left_out) == (["a"], [])


def test_a_parquet_column_name_with_spaces_around_it_can_be_chosen(project: Project) -> None:
    """CSV and Parquet name the same column alike."""
    project.put("t.parquet", parquet_of(pa.table({" a": [1, 3, 5], "other ": [7, 8, 7], "target": [2, 4, 6]})))
    record = project.train("--source", "t.parquet", "--features", "a", fraction="0")
    assert record.features == ["a"]


def test_a_column_of_text_that_is_not_used_is_no_hindrance(project: Project) -> None:
    project.put("t.csv", "name,a,target\nAnn,1,2\nBob,3,4\n,5,6\n")
    record = project.train("--source", "t.csv", "--features", "a", fraction="0")
    assert record.left_out == ["name"]


def test_inference_leaves_out_the_text_that_training_left_out(project: Project) -> None:
    """The table that was trained on, without its target, must be fit for inference."""
    project.put("t.csv", "name,a,target\nAnn,1,2\nBob,3,4\nCem,5,6\n")
    project.train("--source", "t.csv", "--features", "a", fraction="0")
    project.put("new.csv", "name,a\nDan,10\n")
    assert project.infer("new.csv")["predictions"] == [pytest.approx(11)]
