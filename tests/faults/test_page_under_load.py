"""Tables come and go and notes are written while the machine is far too busy: what the page has said is so."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from tests.faults.acts import kill_service
from tests.faults.outcomes import count_outcomes
from tests.faults.support import INFER, TRAIN, Fault, status, wait_until
from tests.faults.test_many_triggers import WITHOUT_END, has_ended
from tests.faults.test_overload import burning
from tests.faults.test_random import SEED
from tests.support.at_work import at_work
from tests.support.uploads import Sender
from tests.system.support import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = [pytest.mark.system, pytest.mark.fault, pytest.mark.overload, pytest.mark.usefixtures("events")]

RUNS = {TRAIN: 10, INFER: 5}
BURNERS = 4
KILLED = ("launcher", "registrar", "launcher", "api-server", "registrar", "launcher")
API = "/bulkhead/api/v1"
COPIES = 50
"""Of the rows of diabetes.csv: a table of 22,100 rows to predict, and of 1.6 MB to upload."""
LOST = "lost"
"""In place of a status: the answer did not come to its end, so nobody has been told anything."""

Outcome = str | int


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """As it is shipped, but that no run fails for a service that is killed."""
    made = Stack(tmp_path_factory.mktemp("stack"), **WITHOUT_END)
    with status(made):
        yield made


class Users:
    """Some people at the page, each of whom does the same thing again and again."""

    def __init__(self, stack: Stack, table: bytes, downloaded: tuple[str, bytes], model: str) -> None:
        self._page = Sender(stack)
        self._table = table
        self._url, self._expected = downloaded
        self._notes = f"{API}/models/{model}/notes"
        self.uploads: dict[str, Outcome] = {}
        self.notes: dict[str, Outcome] = {}
        self.downloads: list[Outcome] = []
        self.wrong: list[str] = []

    def at_work(self) -> AbstractContextManager[None]:
        """Six of them until the block ends."""
        people = [self._upload, self._download, self._annotate]
        return at_work(*(partial(does, who) for does in people for who in range(2)), pause=3)

    def _upload(self, who: int) -> None:
        name = f"load{who}_{len(self.uploads)}.csv"
        self.uploads[name], _ = self._asked("POST", f"{API}/inputs/{name}", self._table)

    def _annotate(self, who: int) -> None:
        text = f"note {who}_{len(self.notes)}"
        self.notes[text], _ = self._asked("POST", self._notes, json.dumps({"text": text}).encode())

    def _download(self, _who: int) -> None:
        told, body = self._asked("GET", self._url, b"")
        self.downloads.append(told)
        if told == http.client.OK and body != self._expected:
            self.wrong.append(f"{len(body)} bytes of {len(self._expected)}")

    def _asked(self, method: str, path: str, content: bytes) -> tuple[Outcome, bytes]:
        headers = {"Content-Type": "application/json"} if path == self._notes else {}
        try:
            return self._page.answered(method, path, content, headers)
        except (OSError, http.client.HTTPException):
            return LOST, b""


def test_what_the_page_has_said_is_so_however_busy_the_machine(stack: Stack, fault: Fault) -> None:
    dice = random.Random(SEED)  # noqa: S311  # no secret is drawn
    header, *rows = (ROOT / "shared/inputs/diabetes.csv").read_bytes().splitlines(keepends=True)
    table = header + b"".join(rows * COPIES)
    (stack.inputs / "large.csv").write_bytes(table)
    model, run_id = trained_and_inferred(stack)
    users = Users(stack, table, downloadable(stack, run_id, len(rows) * COPIES), model)
    begun = time.monotonic()
    with burning(BURNERS), users.at_work():
        runs = {stack.airflow.trigger(dag_id): dag_id for dag_id, count in RUNS.items() for _ in range(count)}
        for service in KILLED:
            time.sleep(dice.uniform(5, 15))
            kill_service(stack, service)
        wait_until(partial(has_ended, stack, runs), 60 * len(runs), "not all runs end")
    told = {
        "uploads": Counter(users.uploads.values()),
        "downloads": Counter(users.downloads),
        "notes": Counter(users.notes.values()),
    }
    counts = ", ".join(f"{key} {dict(found)}" for key, found in told.items())
    fault.row.note = f"{time.monotonic() - begun:.0f} s, seed {SEED}, {counts}"
    for found in told.values():
        assert set(found) <= {http.client.OK, http.client.CREATED, http.client.SERVICE_UNAVAILABLE, LOST}, told
        assert found[http.client.OK] + found[http.client.CREATED] >= 5, told  # whoever tries again gets there
    assert users.wrong == []
    uploads_are_as_told(stack.inputs, users.uploads, table)
    written = Counter(record["text"] for record in stack.trainings() if "note_time" in record)
    for text, said in users.notes.items():
        assert written[text] in ({1} if said == http.client.CREATED else {0, 1}), (text, said)
    fault.row.outcomes = count_outcomes(stack, runs, killed=[])
    fault.row.models = str(len(stack.model_files() - fault.before))
    wait_until(lambda: not stack.step_containers(), 60, "a container stays")


def trained_and_inferred(stack: Stack) -> tuple[str, str]:
    """The file of a model of all columns, and the run that predicted the large table with it."""
    run_id, state = stack.run(TRAIN, {"source": "large.csv"})
    assert state == "success"
    (record,) = stack.trainings(run_id)
    run_id, state = stack.run(INFER, {"source": "large.csv"})
    assert state == "success"
    return record["model_filename"], run_id


def downloadable(stack: Stack, run_id: str, count: int) -> tuple[str, bytes]:
    """Where the predictions of a run are downloaded, and what they are."""
    page = Sender(stack)

    def found() -> list[int]:
        _, listed = page.asked("GET", f"{API}/inferences?run_id={quote(run_id)}")
        return [one["offset"] for one in listed["inferences"]]

    (offset,) = wait_until(found, 30, "the page does not have the inference")
    url = f"/bulkhead/inferences/{offset}/predictions.csv"
    told, body = page.answered("GET", url, b"", {})
    assert (told, body.count(b"\n")) == (http.client.OK, count + 1)
    return url, body


def uploads_are_as_told(inputs: Path, uploads: dict[str, Outcome], table: bytes) -> None:
    """Whole where it was said to be there, absent where it was refused, and never a part of it."""
    for name, said in uploads.items():
        path = inputs / name
        if said == http.client.CREATED:
            assert path.exists(), name
        elif said != LOST:
            assert not path.exists(), (name, said)
        assert not path.exists() or path.read_bytes() == table, name
    assert list((inputs / ".uploads/arriving").iterdir()) == []
