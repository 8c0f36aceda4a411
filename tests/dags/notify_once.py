"""Runs inside the Airflow image: what notifiers tell whom of a task's end, and what its log has, as JSON."""

from __future__ import annotations

import json
import os
import socketserver
import sys
import threading
import time
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import structlog
from airflow.sdk import BaseOperatorLink
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.observability import stats

from bulkhead.registry.records import Evidence
from bulkhead_airflow import delivery, links, notifiers, registry_check, step_metrics, task_log
from engine.verdict import Failed

webhooks: list[Any] = []
mails: list[Any] = []


class Web(BaseHTTPRequestHandler):
    """Takes what is posted; whoever posts to /hang waits."""

    def do_POST(self) -> None:
        """Take it."""
        if self.path == "/hang":
            time.sleep(60)
        webhooks.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as a sender needs."""

    def handle(self) -> None:
        """Take a mail."""
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline(1000):
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                content = b""
                while (part := self.rfile.readline()) not in {b".\r\n", b""}:
                    content += part
                message = message_from_bytes(content)
                text = b"".join(bytes(one.get_payload(decode=True) or b"") for one in message.walk()).decode()
                mails.append({"subject": message["Subject"], "to": message["To"], "text": text})
            self.wfile.write(b"250 ok\r\n")


class Server(socketserver.ThreadingTCPServer):
    """Of mail."""

    allow_reuse_address = daemon_threads = True


web, smtp = ThreadingHTTPServer(("127.0.0.1", 0), Web), Server(("127.0.0.1", 0), Mail)
for server in (web, smtp):
    threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {
    "BULKHEAD_NOTIFY_WEBHOOK": f"http://127.0.0.1:{web.server_port}/",
    "BULKHEAD_NOTIFY_MAIL_TO": "a@example.org, b@example.org",
    "BULKHEAD_SMTP_HOST": "127.0.0.1",
    "BULKHEAD_SMTP_PORT": str(smtp.server_address[1]),
    "BULKHEAD_SMTP_FROM": "bulkhead@example.org",
    "BULKHEAD_SMTP_STARTTLS": "0",
    "AIRFLOW__API__BASE_URL": "http://here.example:8080/below",
}
ti = SimpleNamespace(dag_id="d", run_id="manual__2026-01-01T00:00:00+00:00", task_id="train_model", try_number=2)


def task(**known: Any) -> Any:
    """A step's operator at its end."""
    return SimpleNamespace(task_id="train_model", bulkhead_environment="prd", bulkhead_model_name="churn", **known)


def told(notifier: Any, operator: Any, **more: Any) -> list[Any]:
    """What the webhook gets."""
    webhooks.clear()
    more.setdefault("ti", ti)
    notifier({"task": operator, **more})
    return list(webhooks)


failure, drift = notifiers.FailureNotifier(), notifiers.DriftNotifier()
CRASHED = Failed("crashed", "x", retry=True)
hostile = "{{ 1 + 1 }} <b>x</b>\r\nBcc: everybody@example.org"
said: dict[str, Any] = {
    "failure": told(failure, task(failed=Failed("crashed", hostile, retry=True))),
    "mails": list(mails),
    "gate": told(failure, task(failed=Failed("refused", "the limit in models/gate.toml is 2", retry=False))),
    "person": told(failure, task(failed=Failed("killed", "the task was ended by a person (failed). x", retry=True))),
    "superseded": told(failure, task(failed=Failed("superseded", "x", retry=False))),
    "lost": told(failure, task(failed=None)),
    "unrendered": told(failure, SimpleNamespace(task_id="t", bulkhead_environment="{{ params.environment }}")),
    "mapped": told(failure, task(failed=CRASHED), ti=SimpleNamespace(**vars(ti), map_index=3)),
    "drift": told(drift, task(facts={"drifted": ["age", "prediction"], "model_used": "m.joblib"})),
    "no_drift": told(drift, task(facts={"drifted": []})) + told(drift, task(facts=None)),
    "approval": told(
        notifiers.ApprovalNotifier(),
        SimpleNamespace(subject="Promote m.joblib to prd?", candidate_name="churn"),
        params={"environment": "prd", "reason": "better"},
        dag_run=SimpleNamespace(triggering_user_name="ada", run_type="manual"),
    ),
}
os.environ["BULKHEAD_NOTIFY_EVENTS"] = "gate"
said["unwanted"] = told(failure, task(failed=CRASHED))
os.environ["BULKHEAD_NOTIFY_EVENTS"] = ""
delivery.deliver.__defaults__ = (2.0,)  # its own time is ten
address = os.environ["BULKHEAD_NOTIFY_WEBHOOK"]
os.environ["BULKHEAD_NOTIFY_WEBHOOK"] = f"{address}hang"
begun = time.monotonic()
told(failure, task(failed=CRASHED))
said["hung"] = time.monotonic() - begun
os.environ["BULKHEAD_NOTIFY_WEBHOOK"] = "no address"
said["wrong"] = told(failure, task(failed=CRASHED))
os.environ["BULKHEAD_NOTIFY_WEBHOOK"] = address

# Links.
key = SimpleNamespace(run_id="a+b:c")
shown = [
    task(facts={"model_filename": "m x.joblib"}),
    task(facts={"model_used": "m.joblib", "predictions_path": "p"}),
    task(failed=CRASHED),
    task(facts=None),
]
said["links"] = [{link.name: link.get_link(one, ti_key=key) for link in links.LINKS} for one in shown]
said["are_links"] = all(isinstance(link, BaseOperatorLink) for link in links.LINKS)

# The task's log.
logged: list[Any] = []


def keep(_logger: Any, _method: str, event: Any) -> Any:
    """In the place of what writes the log."""
    logged.append([event["event"], bool(event.get("exc_info"))])
    raise structlog.DropEvent


structlog.configure(processors=[keep], cache_logger_on_first_use=True)
log = structlog.get_logger(logger_name="task")
log.info("bound before")
for error in (task_log.told(AirflowFailException("told")), AirflowFailException("not told")):
    try:
        raise error
    except AirflowFailException:
        log.exception("Task failed with exception")
        log.info("after")
said["logged"] = list(logged)

# Metrics.
figures: list[Any] = []
for kind in ("incr", "timing", "gauge"):
    setattr(stats, kind, lambda name, value=1, tags=None, kind=kind: figures.append([kind, name, value, tags]))
tags = step_metrics.tags_of("prd", "churn", "train_model", "success")
result = {
    "started": "2026-01-01T00:00:00+00:00",
    "finished": "2026-01-01T00:00:02.500000+00:00",
    "processor_seconds": 1.0,
    "peak_memory_bytes": 123,
    "outputs": {"a": {"rows": 5}, "b": {"rows": 7}},
}
step_metrics.of_success(result, {}, tags)
step_metrics.of_success({**result, "processor_seconds": None, "peak_memory_bytes": None}, {"rows": 20}, tags)
evidence = Evidence(duration_seconds=1.5, peak_memory_bytes=99)
step_metrics.of_failure(
    Failed("out_of_memory", "x", retry=False, evidence=evidence), {**tags, "outcome": "out_of_memory"}
)
said["figures"] = figures

# The check of the registry.
said["checks"] = []
check: Any = None
for broken in (None, "log.txt is shorter than it was."):
    health = SimpleNamespace(state="ready", trouble=broken, broken=broken)
    vars(registry_check)["RegistrarClient"] = SimpleNamespace(
        from_environment=lambda *, health=health, **_: SimpleNamespace(health=lambda: health)
    )
    check = registry_check.RegistryCheck(task_id="check_chain")
    try:
        registry_check.RegistryCheck.execute.__wrapped__(check, {})  # type: ignore[attr-defined]  # no task
    except AirflowFailException as error:
        said["checks"].append(str(error))
    else:
        said["checks"].append("passed")
said["chain"] = told(failure, check, exception=AirflowFailException("log.txt is shorter than it was."))
print(json.dumps(said))
sys.stdout.flush()
os._exit(0)  # whoever hangs is not waited for
