"""What a run in Airflow says of itself, whoever found out what it has come to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.registrar.support import DAG, RUN, Service

from registrar.database import Away
from registrar.run_notes import LONGEST_LINE, RunNotes

if TYPE_CHECKING:
    import pytest


def test_a_published_model_is_noted(service: Service) -> None:
    service.tries("running")
    container = service.container()
    service.leave(container, service.model())
    said = service.ask("/conclude", {"container": container})
    assert service.notes.said == [(DAG, RUN, said["sentence"])]
    assert said["sentence"].startswith("published model #1")


def test_an_outcome_that_is_adopted_is_noted_in_the_same_words(service: Service) -> None:
    """The registrar may have died between the record and its note."""
    service.tries("running")
    container = service.container()
    service.leave(container, service.model())
    service.ask("/conclude", {"container": container})
    service.ask("/conclude", {"container": container})
    first, second = service.notes.said
    assert first == second


def test_what_the_registrar_has_recorded_before_its_task_asks_is_told_the_task_in_the_same_words(
    service: Service,
) -> None:
    service.tries("running")
    container = service.container()
    service.leave(container, service.model())
    service.round()
    said = service.ask("/conclude", {"container": container})
    assert said["verdict"] == "adopted"
    assert said["sentence"].startswith("published ")


def test_a_failure_is_noted_once(service: Service) -> None:
    service.tries("running")
    service.fail(detail="it broke")
    service.fail(detail="it broke")
    assert service.notes.said == [(DAG, RUN, "train_model: crashed: it broke")]


def test_what_the_sweep_records_is_noted(service: Service) -> None:
    """A person has failed the task: nobody else is there to say so."""
    service.tries("failed")
    service.container(state={"Status": "running", "Running": True})
    service.round()
    [(dag, run, said)] = service.notes.said
    assert (dag, run) == (DAG, RUN)
    assert said.startswith("train_model: killed: the task was ended by a person")


class Postgres:
    """Answers once it has been asked often enough."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.written: list[dict[str, Any]] = []

    def call(self, work: Any) -> None:
        if self.away:
            self.away -= 1
            raise Away("Postgres is away")
        work(self)

    def execute(self, _statement: str, values: dict[str, Any]) -> None:
        self.written.append(values)


def noted(postgres: Postgres, *sentences: str) -> None:
    notes = RunNotes(postgres)  # type: ignore[arg-type]  # in memory
    notes.start()
    for sentence in sentences:
        notes.add("d", "r", sentence)
    deadline = time.monotonic() + 10
    while len(postgres.written) < len(sentences) and time.monotonic() < deadline:
        time.sleep(0.01)
    notes.stop()


def test_a_note_is_written_once_postgres_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registrar.run_notes._AGAIN_SECONDS", 0.01)
    postgres = Postgres(away=3)
    noted(postgres, "one", "two")
    assert [one["line"] for one in postgres.written] == ["one", "two"]


def test_a_note_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registrar.run_notes._MOST_WAITING", 10)
    notes = RunNotes(Postgres(away=10**9))  # type: ignore[arg-type]  # in memory
    begun = time.monotonic()
    for number in range(1000):
        notes.add("d", "r", str(number))
    assert time.monotonic() - begun < 5


def test_what_others_wrote_is_text_in_a_note() -> None:
    postgres = Postgres(away=0)
    noted(postgres, "preprocessing: refused: ![](https://evil.example/p.png)\n# x" + "y" * 10_000)
    line = postgres.written[0]["line"]
    assert line.startswith("` ")
    assert line.endswith(" `")
    assert "\n" not in line
    assert len(line) <= LONGEST_LINE
