"""What the registrar answers over its socket."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bulkhead.errors import Refused
from bulkhead.registrar_protocol import (
    Answered,
    Concluded,
    ConcludeRequest,
    FailedReport,
    FailRequest,
    Looked,
    LookRequest,
    UnapprovedRequest,
)
from bulkhead.registry import decisions, records
from bulkhead.registry.lock import LockHeld
from bulkhead.unix_http import Refusal, Request, Response
from registrar import approvals, conclude, failures
from registrar.conclude import Conclusions
from registrar.database import Away
from registrar.failures import Attempted
from registrar.logical_task import SUCCESS, Standing, TaskKey, as_id, standing
from registrar.own_tables import JOURNAL_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from registrar.airflow_records import AirflowRecords
    from registrar.approvals import Rules
    from registrar.books import Books
    from registrar.containers import Container, Containers
    from registrar.own_tables import OwnTables

logger = logging.getLogger(__name__)
T = TypeVar("T")

_AT_ONCE = 64
"""Locks for containers; two may share one."""
_BAD, _NOT_FOUND, _CONFLICT, _AWAY = 400, 404, 409, 503


class Registrar:
    """What is recorded, and what is known.

    Args:
        books: the registry.
        tables: the registrar's own, in Postgres.
        airflow: Airflow's own, in Postgres.
        containers: the launcher.
        rules: what is asked of an approval.
        folder: in it is ``shared``.
    """

    def __init__(  # its parts
        self,
        books: Books,
        tables: OwnTables,
        airflow: AirflowRecords,
        containers: Containers,
        rules: Rules,
        folder: Path,
    ) -> None:
        self.books = books
        self.tables = tables
        self.containers = containers
        self._airflow = airflow
        self.conclusions = Conclusions(books, airflow, rules, folder)
        self._folder = folder
        self._concluding = [threading.Lock() for _ in range(_AT_ONCE)]

    def standing(self, task: TaskKey, try_id: str) -> Standing:
        """Where the try stands in its logical task.

        Raises:
            Away: Postgres does not answer.
        """
        tries = self._airflow.tries(task)
        return standing(tries, try_id, self.tables.accepted(one.id for one in tries))

    def look(self, request: LookRequest) -> Looked:
        """What is known of a try's logical task."""
        task = TaskKey(request.dag_id, request.run_id, request.task_id, request.map_index)
        found = self.standing(task, _id(request.try_id))
        outcome = self.books.outcome(found.first_try)
        shown = conclude.adopted(outcome, outcome.environment) if outcome is not None else None
        return Looked(found.first_try, shown, found.ended)

    def conclude(self, container_id: str) -> Concluded:
        """Have the proposal of a container that ended well recorded."""
        container = self._container(container_id)
        if container is None:
            raise Refusal(_NOT_FOUND, f"container {container_id[:12]} has gone. Nothing is recorded.")
        if not container.has_ended_well:
            how = "runs still" if not container.is_ended else f"ended with exit code {container.exit_code}"
            raise Refusal(_CONFLICT, f"container {container.short_id} {how}. Nothing is recorded.")
        # Once at a time: who asks again, because it takes long, gets the outcome and no second copy.
        with self._concluding[hash(container.id) % _AT_ONCE]:
            found = self.standing(container.task, container.try_id)
            return self.conclusions.conclude(container, found)

    def fail(self, request: FailRequest) -> Answered:
        """Have a failed attempt recorded, once for each try; a try that has succeeded did not fail."""
        container = self._container(request.container) if request.container else None
        if container is not None:
            whose, task = Attempted.of_container(container), container.task
            if container.is_running:  # what has failed does not run on
                self.containers.stop(container)
        else:
            whose, task = Attempted.of_request(request, _id(request.try_id)), TaskKey.of(request.identity)
            found = next((one for one in self._airflow.tries(task) if one.id == whose.try_id), None)
            if found is None:
                return Answered("not recorded: Airflow knows of no such try", is_new=False)
            if found.state == SUCCESS:
                return Answered("not recorded: this try has succeeded", is_new=False)
            whose = whose.of_try(found.number)
        if self._has_succeeded(task, whose):
            return Answered("not recorded: this try has succeeded", is_new=False)
        return self.record_failure(whose, request.failed, container)

    def _has_succeeded(self, task: TaskKey, whose: Attempted) -> bool:
        """Whether the outcome of ``task`` is what this very try has made."""
        outcome = self.books.outcome(self.standing(task, whose.try_id).first_try)
        return outcome is not None and records.author(outcome).same_attempt(whose.identity)

    def record_failure(self, whose: Attempted, report: FailedReport, container: Container | None = None) -> Answered:
        """Record a failure, unless its try has one."""
        return failures.fail(self.books, self._folder, whose, report, container)

    def unapproved(self, request: UnapprovedRequest) -> Answered:
        """Have a promotion recorded that nobody approved."""
        try_id = _id(request.try_id)
        task = TaskKey.of(msgspec.structs.replace(request.identity, map_index=-1))
        answer, run = self._airflow.answer(task), self._airflow.run(task.dag_id, task.run_id)
        if answer is None or run is None or answer.try_id != try_id:
            raise Refusal(_NOT_FOUND, "Airflow knows of no such request for approval. Nothing is recorded.")
        made = approvals.rejection(task, answer, run)
        sentence = f"promotion of {made.model_filename} to {made.environment} was {made.outcome}"
        with self.books.recording():
            if self.books.has_rejection(try_id):
                return Answered(f"recorded before: {sentence}", is_new=False)
            decisions.reject(self.books.registry, made)
        logger.info("%s %s: recorded: %s", task.dag_id, task.run_id, sentence)
        return Answered(f"recorded: {sentence}")

    def chain(self) -> dict[str, Any]:
        """The last line of each journal, as it was seen last."""
        heads = self.tables.heads()
        return {journal: heads.get(journal) for journal in JOURNAL_NAMES}

    def health(self) -> dict[str, Any]:
        """That it answers, and what it waits for."""
        trouble = self.books.trouble or self.books.heads_trouble
        return {"state": "waiting" if trouble else "ready", "trouble": trouble}

    def _container(self, container_id: str) -> Container | None:
        return self.containers.get(container_id)


class Routes:
    """By method and path, what answers."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    def __call__(self, request: Request) -> Response:
        """The answer to ``request``.

        Raises:
            Refusal: why there is none.
        """
        try:
            return Response(200, msgspec.json.encode(self._answer(request)))
        except (Away, LockHeld) as error:
            raise Refusal(_AWAY, str(error)) from error
        except Refused as error:
            raise Refusal(_CONFLICT, str(error)) from error
        except OSError as error:
            logger.exception("%s is not answered", request.path)
            raise Refusal(_AWAY, f"the registry cannot be written: {error.strerror or error}") from error

    def _answer(self, request: Request) -> Any:
        registrar = self._registrar
        match request.method, request.path:
            case "GET", "/health":
                return registrar.health()
            case "GET", "/chain":
                return registrar.chain()
            case "POST", "/look":
                return registrar.look(_read(request, LookRequest))
            case "POST", "/conclude":
                return registrar.conclude(_read(request, ConcludeRequest).container)
            case "POST", "/fail":
                return registrar.fail(_read(request, FailRequest))
            case "POST", "/unapproved":
                return registrar.unapproved(_read(request, UnapprovedRequest))
        raise Refusal(_NOT_FOUND, f"{request.method} {request.path[:60]} is nothing that the registrar does.")


def _read(request: Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(_BAD, f"{request.path}: {str(error)[:200]}") from None


def _id(text: str) -> str:
    try:
        return as_id(text)
    except ValueError:
        raise Refusal(_BAD, f"{text[:60]!r} is no id of a try.") from None
