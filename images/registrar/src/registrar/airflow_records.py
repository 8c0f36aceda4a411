"""What Airflow's own tables say: tries of a task, who answered an approval, who asked for a run.

They are Airflow's, and whoever writes a DAG could make something else of them. So they are read as plain tables, by a
role that may read and nothing else, and with the names of Postgres' own functions first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from registrar.database import Away
from registrar.logical_task import TaskKey, Try

if TYPE_CHECKING:
    from registrar.database import Connection, Database

_TABLES = ("dag_run", "hitl_detail", "log", "task_instance", "task_instance_history")
_TASK = "dag_id = %s AND run_id = %s AND task_id = %s AND map_index = %s"
_MOST_TRIES = 10_000

_ACTS = "'patch_task_instance', 'patch_task_group_instances', 'bulk_task_instances', 'patch_dag_run', 'bulk_dag_runs'"
"""What Airflow writes into its audit log where a person gives a task or a run another state."""
_BY_PERSON = f"""
t.state = 'failed' AND EXISTS (
    SELECT 1 FROM public.log AS l WHERE l.event IN ({_ACTS}) AND l.extra LIKE '%%failed%%'
    AND l.dag_id IN (t.dag_id, '~') AND l.dttm >= COALESCE(t.end_date, '-infinity') - interval '60 s'
    AND (l.dttm <= t.end_date + interval '5 s' OR (l.run_id = t.run_id AND COALESCE(l.task_id, t.task_id) = t.task_id)))
"""  # noqa: S608  # put together from what stands above
"""The act is written down just before what it does. With a task's its upstream, downstream, past and future tasks may
be failed too, which are not named: then the time tells."""
_TRIES = f"""
SELECT t.id::text, t.try_number, t.state, true, {_BY_PERSON}, false, t.hostname
FROM public.task_instance AS t WHERE {_TASK}
UNION ALL
SELECT task_instance_id::text, try_number, state, false, false, trigger_id IS NOT NULL AND next_method IS NOT NULL,
hostname FROM public.task_instance_history WHERE {_TASK}
LIMIT {_MOST_TRIES}
"""  # noqa: S608  # put together from what stands above
"""A try that was cleared while it ran is ``restarting`` for a while. One that was cleared while it waited goes into the
history at once, with the trigger that waited for it and the method it would have come back to; a try that has come back
has no trigger any more, and the next one no method."""
_RUN = """
SELECT conf, triggering_user_name, run_type FROM public.dag_run WHERE dag_id = %s AND run_id = %s
"""
_ANSWER = f"""
SELECT h.chosen_options, h.responded_by, h.responded_at IS NOT NULL, t.id::text, t.state, t.try_number, h.subject
FROM public.task_instance AS t LEFT JOIN public.hitl_detail AS h ON h.ti_id = t.id WHERE {_TASK}
"""  # noqa: S608  # put together from what stands above


class Run(msgspec.Struct, frozen=True):
    """A DAG run: what it was given, and who asked for it."""

    conf: dict[str, Any]
    user: str | None
    """None: no person did."""
    kind: str

    @property
    def requested_by(self) -> str:
        """Who asked, or what kind of run it is where no person did."""
        return self.user or self.kind


class Answer(msgspec.Struct, frozen=True):
    """What became of a question to a person."""

    chosen: list[str]
    by: str | None
    is_answered: bool
    try_id: str
    state: str | None
    try_number: int = 1
    question: str = ""
    """What the person has read above the answer; nobody but the task that asks can write it."""


class AirflowRecords:
    """What Airflow's tables say.

    Args:
        database: Airflow's, read-only.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def tries(self, task: TaskKey) -> list[Try]:
        """Every try of ``task`` that Airflow knows.

        Raises:
            Away: Postgres does not answer.
        """
        key = (task.dag_id, task.run_id, task.task_id, task.map_index)
        return [
            Try(try_id, int(number or 0), state, is_current, by_person, bool(is_cleared), host or "")
            for try_id, number, state, is_current, by_person, is_cleared, host in self._rows(_TRIES, (*key, *key))
        ]

    def run(self, dag_id: str, run_id: str) -> Run | None:
        """The DAG run; None: Airflow knows of none.

        Raises:
            Away: Postgres does not answer.
        """
        rows = self._rows(_RUN, (dag_id, run_id))
        if not rows:
            return None
        conf, user, kind = rows[0]
        return Run(conf if isinstance(conf, dict) else {}, user or None, str(kind))

    def answer(self, task: TaskKey) -> Answer | None:
        """What a person answered to the present try of ``task``; None: Airflow knows of no such task.

        Raises:
            Away: Postgres does not answer.
        """
        rows = self._rows(_ANSWER, (task.dag_id, task.run_id, task.task_id, task.map_index))
        if not rows:
            return None
        chosen, by, is_answered, try_id, state, number, question = rows[0]
        options = [str(option) for option in chosen] if isinstance(chosen, list) else []
        return Answer(options, _name_of(by), bool(is_answered), try_id, state, int(number or 0), question or "")

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        def ask(connection: Connection) -> list[tuple[Any, ...]]:
            _refuse_other_than_tables(connection)
            return connection.execute(query, values).fetchall()

        return self._database.call(ask)


def _name_of(user: object) -> str | None:
    if not isinstance(user, dict):
        return None
    found = user.get("name") or user.get("id")
    return str(found) if found else None


def _refuse_other_than_tables(connection: Connection) -> None:
    """A view would run functions, of whoever made it, as the role that reads it."""
    found = connection.execute(
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relname = ANY(%s) AND c.relkind = 'r'",
        (list(_TABLES),),
    ).fetchall()
    missing = sorted(set(_TABLES) - {row[0] for row in found})
    if missing:
        raise Away(f"Postgres: Airflow's table {missing[0]} is not there (yet), or is none. Run 'just up'")
