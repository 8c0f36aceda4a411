"""What keeps a host from new work, a sentence each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bulkhead.hosts_protocol import HostReport
from registrar.host_judging import problems

NOW = 1_000_000.0
GOOD = HostReport(
    time=NOW,
    began=NOW,
    commit="a" * 40,
    engine="E",
    images={"trainer": "t", "inference": "i"},
    code={"dags": "d", "project": "p"},
)


def judged(first: HostReport | None = GOOD, *, is_first: bool = False, **changes: Any) -> list[str]:
    return problems(msgspec.structs.replace(GOOD, **changes), first, now=NOW, is_first=is_first)


def test_a_host_that_is_like_the_first_one_takes_work() -> None:
    assert judged() == []
    assert judged(None, is_first=True) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": None, "images": {}}, ["engine or launcher does not answer", "Start Docker"]),
        ({"images": {"trainer": "t"}}, ["no image bulkhead/inference.", "docker load"]),
        ({"images": {}}, ["no image bulkhead/trainer and no image bulkhead/inference"]),
        ({"images": {"trainer": "old", "inference": "i"}}, ["bulkhead/trainer is another one", "docker save"]),
        ({"commit": "b" * 40}, ["is of commit bbbbbbbbbbbb, and the first host's of aaaaaaaaaaaa"]),
        ({"code": {"dags": "d", "project": "another"}}, ["its project/ is another one"]),
        ({"code": {"dags": "", "project": "p"}}, ["its dags/ is another one"]),
        ({"time": NOW - 3600}, ["its clock is 3600.0 s behind", "chrony"]),
        ({"time": NOW + 1.5}, ["its clock is 1.5 s ahead of"]),
        ({"trouble": ["something of its own."]}, ["something of its own."]),
    ],
)
def test_each_difference_has_its_sentence(changes: dict[str, Any], words: list[str]) -> None:
    (problem,) = judged(**changes)
    for word in words:
        assert word in problem
    assert problem.endswith((".", ")."))


def test_a_clock_within_a_second_is_right() -> None:
    assert judged(time=NOW - 0.9) == judged(time=NOW + 0.9) == []


def test_without_the_first_hosts_report_nothing_can_be_compared() -> None:
    (problem,) = judged(None)
    assert "has not reported yet" in problem


def test_several_differences_are_told_together() -> None:
    assert len(judged(time=NOW - 60, commit="b", code={})) == 4


def test_the_first_host_is_told_to_build_what_it_lacks() -> None:
    (problem,) = judged(None, is_first=True, images={"trainer": "t"})
    assert "just build-images" in problem
