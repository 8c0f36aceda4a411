"""Tells people of what happens: Airflow's notifiers, which StepOperator attaches where ``.env`` names somebody.

Airflow calls one at a task's last end, in its process; after a process that was lost, where DAGs are read. None of them
raises, nor takes longer than ``delivery.SECONDS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier
from airflow.sdk.configuration import conf
from airflow.sdk.log import mask_secret

from bulkhead.errors import BulkheadError, one_line
from bulkhead_airflow import delivery
from bulkhead_airflow.notice import Notice
from bulkhead_airflow.notify_settings import NotifySettings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bulkhead_airflow.notify_settings import Event

_BY_PERSON = ("the task was ended by a person", "Airflow has ended this try")
_GATE = "gate.toml"
_MOST_NAMED = 10


class _Notifier(BaseNotifier):
    """Tells of one kind of event, or of none."""

    template_fields = ()

    def notify(self, context: Context) -> None:
        """Tell, whatever comes of it."""
        try:
            notice = self._notice(context)
            settings = NotifySettings.from_environment()
            if notice is None or not settings.tells(notice.event):
                return
            for secret in (settings.webhook, settings.secret, settings.mail and settings.mail.password):
                if secret:
                    mask_secret(secret)
            for receiver, why in delivery.deliver(notice.bounded(), settings).items():
                if why is None:
                    self.log.info("told by %s: %s", receiver, notice.event)
                else:
                    self.log.warning("not told by %s: %s: %s", receiver, notice.event, why)
        except Exception as error:  # noqa: BLE001  # the task has ended as it has
            kind = str(error) if isinstance(error, BulkheadError) else type(error).__name__
            self.log.warning("nobody was told: %s", one_line(kind, 300))

    def _notice(self, context: Context) -> Notice | None:
        raise NotImplementedError


class FailureNotifier(_Notifier):
    """Tells of a task that has failed for good: by the gate, or otherwise. What a person has ended is no news."""

    def _notice(self, context: Context) -> Notice | None:
        task: Any = context.get("task")
        failed = getattr(task, "failed", None)
        if failed is None:
            error = context.get("exception")
            sentence = str(error) if error else "its process was lost, and Airflow has failed it. See its log."
            return _of(context, getattr(task, "failure_event", "failure"), sentence)
        if failed.cause == "superseded" or failed.detail.startswith(_BY_PERSON):
            return None
        event: Event = "gate" if failed.cause == "refused" and _GATE in failed.detail else "failure"
        return _of(context, event, f"{task.task_id}: {failed.cause}: {failed.detail}")


class DriftNotifier(_Notifier):
    """Tells of an inference on a table that is not like training's: its facts name what has drifted."""

    def _notice(self, context: Context) -> Notice | None:
        facts = getattr(context.get("task"), "facts", None) or {}
        drifted = facts.get("drifted")
        if not isinstance(drifted, list) or not drifted:
            return None
        named = ", ".join(one_line(str(name), 80) for name in drifted[:_MOST_NAMED])
        more = f" and {len(drifted) - _MOST_NAMED} more" if len(drifted) > _MOST_NAMED else ""
        model = facts.get("model_used", "the model")
        return _of(context, "drift", f"{named}{more} drifted from what {model} was trained on. Look at the table.")


class ApprovalNotifier(_Notifier):
    """Tells that a promotion waits for a person."""

    def _notice(self, context: Context) -> Notice | None:
        task: Any = context["task"]
        params = context["params"]
        by = getattr(context["dag_run"], "triggering_user_name", None) or context["dag_run"].run_type
        reason = one_line(str(params.get("reason", "")), 300)
        notice = _of(context, "approval", f"{task.subject} Asked by {by}: {reason}")
        return Notice(
            event=notice.event,
            sentence=notice.sentence,
            environment=str(params.get("environment", "")),
            model=task.candidate_name,
            dag_id=notice.dag_id,
            run_id=notice.run_id,
            task_id=notice.task_id,
            try_number=notice.try_number,
            link=f"{notice.link}/required_actions",
        )


def arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Airflow's arguments for a task that tells of its failure and drift; ``given`` are those that its DAG gives.

    Raises:
        Refused: a setting is none.
    """
    if not NotifySettings.from_environment().is_on:
        return {}
    return {
        name: [*_listed(given.get(name)), notifier]
        for name, notifier in (("on_failure_callback", FailureNotifier()), ("on_success_callback", DriftNotifier()))
    }


def of_approval() -> list[BaseNotifier]:
    """Who tells that an approval is wanted.

    Raises:
        Refused: a setting is none.
    """
    return [ApprovalNotifier()] if NotifySettings.from_environment().tells("approval") else []


def _of(context: Context, event: Event, sentence: str) -> Notice:
    task: Any = context.get("task")
    ti = context["ti"]
    map_index = getattr(ti, "map_index", -1)
    mapped = isinstance(map_index, int) and map_index >= 0
    path = f"/dags/{quote(ti.dag_id)}/runs/{quote(ti.run_id)}/tasks/{quote(ti.task_id)}"
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return Notice(
        event=event,
        sentence=sentence,
        environment=_rendered(getattr(task, "bulkhead_environment", "")),
        model=_rendered(getattr(task, "bulkhead_model_name", "")),
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=int(map_index) if mapped else -1,
        try_number=ti.try_number,
        link=f"{base}{path}{f'/mapped/{map_index}' if mapped else ''}",
    )


def _rendered(value: object) -> str:
    """``value``, unless it is the template that it was: where DAGs are read nobody fills it in."""
    text = str(value or "")
    return "" if "{{" in text else text


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
