"""What is told of an event: the same few words to a webhook and by mail."""

from __future__ import annotations

import html

import msgspec

from bulkhead import clock
from bulkhead.errors import one_line
from bulkhead_airflow.notify_settings import Event  # msgspec reads it

LONGEST_SENTENCE = 1000
_LONGEST_NAME = 250
_LONGEST_LINK = 2000


class Notice(msgspec.Struct, frozen=True, kw_only=True, rename={"try_number": "try"}):
    """An event, as a webhook is sent it in JSON."""

    event: Event
    sentence: str
    environment: str = ""
    model: str = ""
    """Its name, not a file's."""
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int
    link: str = ""
    """To the task in Airflow."""
    time: str = ""

    def bounded(self) -> Notice:
        """This one, each text in one line of bounded length, with the time."""
        return msgspec.structs.replace(
            self,
            sentence=_line(self.sentence, LONGEST_SENTENCE),
            environment=_line(self.environment, _LONGEST_NAME),
            model=_line(self.model, _LONGEST_NAME),
            dag_id=_line(self.dag_id, _LONGEST_NAME),
            run_id=_line(self.run_id, _LONGEST_NAME),
            task_id=_line(self.task_id, _LONGEST_NAME),
            link=self.link if len(self.link) <= _LONGEST_LINK else "",
            time=clock.in_record(clock.now()),
        )

    @property
    def subject(self) -> str:
        """Of a mail."""
        what = {
            "failure": "failed",
            "gate": "refused by the gate",
            "drift": "drifted",
            "approval": "approval wanted",
            "chain": "the registry's logs",
        }[self.event]
        of = " ".join(filter(None, (self.environment, self.model))) or self.dag_id
        return _line(f"Bulkhead: {of}: {what} ({self.task_id})", 200)

    @property
    def html(self) -> str:
        """A mail's text; whatever others wrote is nothing but text in it."""
        rows = (
            ("environment", self.environment),
            ("model", self.model),
            ("DAG", self.dag_id),
            ("run", self.run_id),
            ("task", f"{self.task_id}, try {self.try_number}"),
            ("time", self.time),
        )
        cells = "".join(f"<tr><td>{name}</td><td>{html.escape(value)}</td></tr>" for name, value in rows if value)
        link = html.escape(self.link)
        shown = f'<p><a href="{link}">{link}</a></p>' if self.link else ""
        return f"<p>{html.escape(self.sentence)}</p><table>{cells}</table>{shown}"


def _line(text: str, limit: int) -> str:
    """``text`` in one line; what is spelled out in it makes it no longer than ``limit``."""
    return one_line(text, limit)[:limit]
