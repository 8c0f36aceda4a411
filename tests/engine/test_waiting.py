"""Ids that are kept, waiting for the registrar, and work that must end in time."""

from __future__ import annotations

import logging
import threading

import pytest

from engine import judging, patience
from engine.external_id import ExternalId
from engine.registrar_client import RegistrarAwayError

LOG = logging.getLogger("step")
CONTAINER = "4f5e6d7c8b9a" + "0" * 52


def test_a_kept_id_names_its_engine_container_and_start() -> None:
    kept = ExternalId.now("QAVM:AU4F", CONTAINER)
    assert ExternalId.parse(str(kept)) == kept
    assert kept.is_on("QAVM:AU4F")
    assert not kept.is_on("QAVM:OTHER")


def test_an_engines_id_with_a_slash_is_still_one_id() -> None:
    kept = ExternalId.now("a/b", CONTAINER)
    parsed = ExternalId.parse(str(kept))
    assert parsed is not None
    assert parsed.container == CONTAINER
    assert parsed.is_on("a/b")


def test_a_bare_id_is_of_an_earlier_version_and_of_any_engine() -> None:
    parsed = ExternalId.parse(CONTAINER)
    assert parsed is not None
    assert parsed.is_on("anything")


@pytest.mark.parametrize("text", ["", "x", "a/b/c", f"a/{CONTAINER}", f"a/{CONTAINER}/t/more", "a/../t", CONTAINER * 2])
def test_anything_else_is_no_id(text: str) -> None:
    assert ExternalId.parse(text) is None


def away() -> None:
    raise RegistrarAwayError("nobody answers")


def test_a_registrar_that_stays_away_is_given_up_after_its_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    with pytest.raises(RegistrarAwayError):
        patience.wait_for_registrar(away, LOG, 600)
    assert now[0] == 600
    assert caplog.text.count("waiting for the registrar") == 10  # one line a minute


def test_who_has_no_time_left_does_not_wait() -> None:
    with pytest.raises(RegistrarAwayError):
        patience.wait_for_registrar(away, LOG, 600, lambda: True)


def test_work_in_time_returns_or_raises_as_it_does() -> None:
    assert judging.within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        judging.within(5, lambda: 1 // 0)


def test_work_that_never_ends_is_given_up() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        judging.within(0.05, never.wait)
    never.set()
