"""What the registrar answers over its socket."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

import msgspec

from bulkhead.errors import Refused
from bulkhead.hosts_protocol import MAIN, GivenUp, GiveUpRequest, HostReport, Where, WhereRequest
from bulkhead.registrar_protocol import (
    Answered,
    Concluded,
    ConcludeRequest,
    FailedReport,
    FailRequest,
    Looked,
    LookRequest,
    RegistrarHealth,
    UnapprovedRequest,
)
from bulkhead.registry import decisions, records
from bulkhead.registry.lock import LockHeld
from bulkhead.unix_http import Refusal, Request, Response
from registrar import approvals, conclude, failures, sentences
from registrar.conclude import Conclusions
from registrar.database import Away
from registrar.failures import Attempted
from registrar.logical_task import SUCCESS, Standing, TaskKey, as_id, standing
from registrar.own_tables import JOURNAL_NAMES
from registrar.run_notes import RunNotes

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.records import Success
    from registrar.airflow_records import AirflowRecords
    from registrar.approvals import Rules
    from registrar.books import Books
    from registrar.containers import Container
    from registrar.hosts import Hosts
    from registrar.own_tables import OwnTables

logger = logging.getLogger(__name__)
T = TypeVar("T")

_BAD, _NOT_FOUND, _CONFLICT, _AWAY = 400, 404, 409, 503


class Registrar:
    """What is recorded, and what is known.

    Args:
        books: the registry.
        tables: the registrar's own, in Postgres.
        airflow: Airflow's own, in Postgres.
        hosts: their launchers, and which of them live.
        rules: what is asked of an approval.
        folder: in it is ``shared``.
        notes: what runs in Airflow say of themselves; None: nothing.
    """

    def __init__(  # noqa: PLR0913  # its parts
        self,
        books: Books,
        tables: OwnTables,
        airflow: AirflowRecords,
        hosts: Hosts,
        rules: Rules,
        folder: Path,
        *,
        notes: RunNotes | None = None,
    ) -> None:
        self.books = books
        self._notes = notes or RunNotes(None)
        self.tables = tables
        self.hosts = hosts
        self._airflow = airflow
        self.conclusions = Conclusions(books, airflow, rules, folder)
        self._folder = folder
        self._concluding: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        """By container, while somebody asks for it."""
        self._choosing = threading.Lock()

    def standing(self, task: TaskKey, try_id: str) -> Standing:
        """Where the try stands in its logical task.

        Raises:
            Away: Postgres does not answer.
        """
        tries = self._airflow.tries(task)
        return standing(tries, try_id, self.tables.accepted(one.id for one in tries))

    def look(self, request: LookRequest, host: str = MAIN) -> Looked:
        """What is known of a try's logical task, for a try on ``host``."""
        task = TaskKey(request.dag_id, request.run_id, request.task_id, request.map_index)
        found = self.standing(task, _id(request.try_id))
        outcome = self.books.outcome(found.first_try)
        if outcome is not None:  # should it have been lost with whoever recorded it
            self._note_outcome(task, outcome)
        shown = self.conclusions.adopted(outcome) if outcome is not None else None
        where = self.hosts.where(task) if shown is None else None
        return Looked(found.first_try, shown, found.ended, None if where == host else where)

    def conclude(self, container_id: str, host: str = MAIN) -> Concluded:
        """Have the proposal of a container on ``host`` recorded, which ended well."""
        container = self.hosts.containers(host).get(container_id)
        if container is None:
            raise Refusal(_NOT_FOUND, f"container {container_id[:12]} has gone. Nothing is recorded.")
        if not container.has_ended_well:
            how = "runs still" if not container.is_ended else f"ended with exit code {container.exit_code}"
            raise Refusal(_CONFLICT, f"container {container.short_id} {how}. Nothing is recorded.")
        if self.hosts.is_given_up(container.id):
            return conclude.superseded(container, f"its host {host} was given up, and the task is run elsewhere")
        self._check_host(container, host)
        # Once at a time: who asks again, because it takes long, gets the outcome and no second copy.
        with self._choosing:
            alone = self._concluding.setdefault(container.id, threading.Lock())
        with alone:
            found = self.standing(container.task, container.try_id)
            concluded = self.conclusions.conclude(container, found)
        if concluded.verdict in {"recorded", "adopted"}:
            outcome = self.books.outcome(found.first_try)
            if outcome is not None:
                self._note_outcome(container.task, outcome)
        return concluded

    def fail(self, request: FailRequest, host: str = MAIN) -> Answered:
        """Have a failed attempt on ``host`` recorded, once for each try; a try that has succeeded did not fail."""
        containers = self.hosts.containers(host)
        container = containers.get(request.container) if request.container else None
        if container is not None:
            self._check_host(container, host)
            whose, task = Attempted.of_container(container), container.task
            if container.is_running:  # what has failed does not run on
                containers.stop(container)
        else:
            whose, task = Attempted.of_request(request, _id(request.try_id)), TaskKey.of(request.identity)
            whose = whose.on(host if self.hosts.is_on else None)
            found = next((one for one in self._airflow.tries(task) if one.id == whose.try_id), None)
            if found is None:
                return Answered("not recorded: Airflow knows of no such try", is_new=False)
            if found.state == SUCCESS:
                return Answered("not recorded: this try has succeeded", is_new=False)
            whose = whose.of_try(found.number)
        if self._has_succeeded(task, whose):
            return Answered("not recorded: this try has succeeded", is_new=False)
        return self.record_failure(whose, request.failed, container)

    def give_up(self, request: GiveUpRequest) -> GivenUp:
        """Whether a task may be started anew, though another host has, or had, its container."""
        answer, container = self.hosts.give_up(request)
        if container is not None and not self.standing(container.task, container.try_id).is_current:
            self.record_loss(container)
        return answer

    def record_loss(self, container: Container) -> None:
        """Record that a try was lost with its host, unless its end is recorded."""
        detail = (
            f"its host {container.identity.host} was given up: silent for {self.hosts.lease:.0f} s, or released by a"
            " person. The task is run elsewhere."
        )
        self.record_failure(
            Attempted.of_container(container), FailedReport(cause="host_lost", detail=detail, retry=True)
        )

    def _check_host(self, container: Container, host: str) -> None:
        """A host speaks for the tries that Airflow gave it, and for no other; the first host is Airflow's own.

        Raises:
            Refusal: Airflow has given the try to another host.
        """
        if host == MAIN:
            return
        tries = self._airflow.tries(container.task)
        given = {one.host for one in tries if one.id == container.try_id}
        if given != {host}:
            raise Refusal(
                _CONFLICT, f"Airflow has not given this try of {container.identity.task_id} to the host {host}."
            )

    def _has_succeeded(self, task: TaskKey, whose: Attempted) -> bool:
        """Whether the outcome of ``task`` is what this very try has made."""
        outcome = self.books.outcome(self.standing(task, whose.try_id).first_try)
        return outcome is not None and records.author(outcome).same_attempt(whose.identity)

    def record_failure(self, whose: Attempted, report: FailedReport, container: Container | None = None) -> Answered:
        """Record a failure, unless its try has one."""
        answered, made = failures.fail(self.books, self._folder, whose, report, container)
        if answered.is_new and made.dag_id and made.run_id:
            self._notes.add(made.dag_id, made.run_id, sentences.of_failure(made))
        return answered

    def _note_outcome(self, task: TaskKey, outcome: Success) -> None:
        self._notes.add(task.dag_id, task.run_id, sentences.of_success(outcome, self.books.registry))

    def unapproved(self, request: UnapprovedRequest) -> Answered:
        """Have a promotion recorded that nobody approved."""
        try_id = _id(request.try_id)
        task = TaskKey.of(msgspec.structs.replace(request.identity, map_index=-1))
        answer, run = self._airflow.answer(task), self._airflow.run(task.dag_id, task.run_id)
        if answer is None or run is None or answer.try_id != try_id:
            raise Refusal(_NOT_FOUND, "Airflow knows of no such request for approval. Nothing is recorded.")
        made = approvals.rejection(task, answer, run, self.books.registry)
        sentence = f"promotion of {made.model_filename} to {made.environment} was {made.outcome}"
        with self.books.recording():
            if self.books.has_rejection(try_id):
                return Answered(f"recorded before: {sentence}", is_new=False)
            decisions.reject(self.books.registry, made)
        logger.info("%s %s: recorded: %s", task.dag_id, task.run_id, sentence)
        self._notes.add(task.dag_id, task.run_id, sentence)
        return Answered(f"recorded: {sentence}")

    def chain(self) -> dict[str, Any]:
        """The last line of each journal, as it was seen last."""
        heads = self.tables.heads()
        return {journal: heads.get(journal) for journal in JOURNAL_NAMES}

    def health(self) -> RegistrarHealth:
        """That it answers, and what it waits for."""
        trouble = self.books.trouble or self.books.heads_trouble
        return RegistrarHealth("waiting" if trouble else "ready", trouble, self.books.trouble)


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
        host, path = _host_and_path(request.path)
        match request.method, path:
            case "GET", "/health":
                return registrar.health()
            case "GET", "/chain":
                return registrar.chain()
            case "POST", "/look":
                return registrar.look(read(request, LookRequest), host)
            case "POST", "/conclude":
                return registrar.conclude(read(request, ConcludeRequest).container, host)
            case "POST", "/fail":
                return registrar.fail(read(request, FailRequest), host)
            case "POST", "/unapproved":
                return registrar.unapproved(read(request, UnapprovedRequest))
        return self._answer_about_hosts(request, host, path)

    def _answer_about_hosts(self, request: Request, host: str, path: str) -> Any:
        hosts = self._registrar.hosts
        match request.method, path:
            case "GET", "/hosts":
                return hosts.listing()
            case "POST", "/report":
                return hosts.report(host, read(request, HostReport), time.time())
            case "POST", "/whereabouts":
                asked = read(request, WhereRequest)
                task = TaskKey(asked.dag_id, asked.run_id, asked.task_id, asked.map_index)
                return Where(hosts.where(task))
            case "POST", "/give_up":
                return self._registrar.give_up(read(request, GiveUpRequest))
        raise Refusal(_NOT_FOUND, f"{request.method} {request.path[:60]} is nothing that the registrar does.")


def _host_and_path(path: str) -> tuple[str, str]:
    """Who asks, by what the gateway has put before the path."""
    if not path.startswith("/hosts/"):
        return MAIN, path
    name, _, rest = path.removeprefix("/hosts/").partition("/")
    return name, f"/{rest}"


def read(request: Request, kind: type[T]) -> T:
    """The body of ``request``.

    Raises:
        Refusal: it is no such thing.
    """
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(_BAD, f"{request.path}: {str(error)[:200]}") from None


def _id(text: str) -> str:
    try:
        return as_id(text)
    except ValueError:
        raise Refusal(_BAD, f"{text[:60]!r} is no id of a try.") from None
