"""Names, times and sentences: the small agreements between images."""

from __future__ import annotations

import errno
import os
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bulkhead import clock
from bulkhead.errors import Refused, one_line, refusal_of
from bulkhead.identity import Identity
from bulkhead.paths import input_path, run_path, slug

ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
plain_ids = st.text("abcAB0189_.-:+~ /", max_size=150)


@given(first=ids | plain_ids, second=ids | plain_ids)
@example(first="a:b", second="a_b")
@example(first="a:b", second="a+b")
@example(first="a" * 101, second="a" * 102)
@example(first=".", second="_")
@example(first="", second="_")
@example(first="a:b", second=slug("a:b"))
@example(first="manual__2026-01-01T00:00:00+00:00", second=slug("manual__2026-01-01T00:00:00+00:00"))
def test_two_names_never_share_a_slug(first: str, second: str) -> None:
    assume(first != second)
    assert slug(first) != slug(second)


@given(name=ids | plain_ids)
@example(name="")
@example(name=".")
@example(name="..")
@example(name="../../etc/passwd")
@example(name="-rf")
@example(name="a\n")
@example(name="\x00")
@example(name="/" * 300)
@example(name="é" * 300)
def test_a_slug_is_one_path_component_that_every_system_and_command_takes(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", slug(name))


@pytest.mark.parametrize("name", ["debug", "manual__1", "prd_train_model_dag", "a" * 100, "2026-01-01"])
def test_a_name_that_every_system_takes_is_its_own_slug(name: str) -> None:
    assert slug(name) == name


def test_the_slug_of_a_name_is_always_the_same() -> None:
    """Folders of runs long gone must be found again."""
    assert slug("manual__2026-01-01T00:00:00+00:00") == slug("manual__2026-01-01T00:00:00+00:00")
    assert slug("manual__2026-01-01T00:00:00+00:00").startswith("manual__2026-01-01T00_00_00_00_00-")


def test_a_run_folder_is_named_by_dag_and_run() -> None:
    assert run_path("prd_train_model_dag", "manual__1") == "shared/runs/prd_train_model_dag/manual__1"


def test_a_run_by_hand_has_a_folder_of_its_own() -> None:
    assert run_path(None, "debug") == "shared/runs/debug"


@given(dag_id=ids, run_id=ids)
@example(dag_id="..", run_id="../../..")
def test_a_run_folder_never_leaves_the_runs(dag_id: str, run_id: str) -> None:
    path = run_path(dag_id, run_id)
    assert os.path.normpath(path) == path
    assert path.startswith("shared/runs/")
    assert path.count("/") == (3 if dag_id else 2)


def test_an_input_is_named_from_the_project() -> None:
    assert input_path("a/b.csv") == "shared/inputs/a/b.csv"


moments = st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1))  # noqa: DTZ001


@given(moment=moments, offset=st.integers(-23, 23))
def test_a_time_in_a_record_reads_back_as_the_same_moment(moment: datetime, offset: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(hours=offset)))
    text = clock.in_record(aware)
    assert clock.parse(text) == aware
    assert text.endswith("+00:00")


@given(first=moments, second=moments)
def test_times_in_records_and_file_names_sort_as_the_moments_do(first: datetime, second: datetime) -> None:
    first, second = first.replace(tzinfo=UTC), second.replace(tzinfo=UTC)
    assert (clock.in_record(first) < clock.in_record(second)) == (first < second)
    assert (clock.in_filename(first) < clock.in_filename(second)) == (first < second)
    assert re.fullmatch(r"\d{8}T\d{12}Z", clock.in_filename(first))


@given(moment=moments)
def test_a_time_of_a_legacy_record_is_read_as_utc(moment: datetime) -> None:
    text = moment.strftime("%Y-%m-%d:%H-%M-%S")
    assert clock.parse(text) == moment.replace(microsecond=0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01:00-00-00", "2024-01-01:25-00-00"])
def test_what_is_no_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        clock.parse(text)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"])
def test_a_moment_that_utc_cannot_hold_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        clock.parse(text)


def test_now_is_utc() -> None:
    assert clock.now().utcoffset() == timedelta(0)


@given(text=st.text(max_size=3000))
def test_one_line_is_one_line_and_holds_no_control_character(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert line == "" or line.isprintable()
    line.encode()  # no half of a surrogate pair either


@given(text=st.text(st.characters(categories=["L", "N", "P"]), max_size=2000))
def test_one_line_leaves_a_readable_line_as_it_is(text: str) -> None:
    assert one_line(text) == text


def test_one_line_shows_that_it_was_cut() -> None:
    assert one_line("x" * 5000) == "x" * 1999 + "…"
    assert one_line("x" * 2000) == "x" * 2000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_full_disk_or_a_missing_permission_is_a_refusal_that_says_where(number: int) -> None:
    refusal = refusal_of(OSError(number, os.strerror(number)), "models/log.txt")
    assert isinstance(refusal, Refused)
    assert str(refusal).startswith(f"models/log.txt: {os.strerror(number)}. ")
    assert str(refusal).endswith("then run this again.")


def test_any_other_error_of_the_system_is_no_refusal() -> None:
    assert refusal_of(OSError(errno.EIO, "broken"), "x") is None


@pytest.mark.usefixtures("no_identity")
def test_a_step_run_by_hand_has_an_identity() -> None:
    by_hand = Identity.from_environment("preprocessing")
    assert (by_hand.dag_id, by_hand.run_id, by_hand.task_id) == (None, "debug", "preprocessing")
    assert (by_hand.try_number, by_hand.map_index, by_hand.run_path) == (1, -1, "shared/runs/debug")


@pytest.mark.usefixtures("no_identity")
def test_airflows_variables_are_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {
        "DAG_ID": "d",
        "RUN_ID": "r:1",
        "TASK_ID": "t",
        "TRY_NUMBER": "3",
        "MAP_INDEX": "2",
        "IMAGE": "i@sha256:1",
        "GIT_COMMIT": "c",
    }.items():
        monkeypatch.setenv(f"BULKHEAD_{variable}", value)
    given_identity = Identity.from_environment("preprocessing")
    assert given_identity == Identity(
        dag_id="d", run_id="r:1", task_id="t", try_number=3, map_index=2, image="i@sha256:1", git_commit="c"
    )
    assert given_identity.run_path == f"shared/runs/d/{slug('r:1')}"


@pytest.mark.usefixtures("no_identity")
def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DAG_ID", "RUN_ID", "TASK_ID", "TRY_NUMBER", "IMAGE"):
        monkeypatch.setenv(f"BULKHEAD_{variable}", "")
    empty = Identity.from_environment("t")
    assert (empty.dag_id, empty.run_id, empty.task_id, empty.try_number, empty.image) == (None, "debug", "t", 1, None)


@pytest.mark.usefixtures("no_identity")
def test_a_try_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKHEAD_TRY_NUMBER", "first")
    with pytest.raises(Refused, match="BULKHEAD_TRY_NUMBER is 'first', not a whole number"):
        Identity.from_environment("t")
