"""Brings a notice to its receivers, within ten seconds in all, whatever they do.

Each receiver has a thread of its own that nobody waits for any longer than that: one that accepts and says nothing,
sends a byte a second, or has a name that is looked up for ever, costs ten seconds of a task that has ended, and no
more. What comes back is not read beyond the status line and its headers. Nothing is sent a second time: who wants
certainty asks the registry, where everything is.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import ssl
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from bulkhead.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhead_airflow.notice import Notice
    from bulkhead_airflow.notify_settings import Mail, NotifySettings

SECONDS = 10.0
"""For all receivers together."""
SIGNATURE = "X-Bulkhead-Signature-256"
"""``sha256=`` and the HMAC-SHA256 of the body by ``BULKHEAD_NOTIFY_WEBHOOK_SECRET``, in hexadecimal."""
_CALL_SECONDS = 8.0
_CONNECTION = "bulkhead_mail"
_OK = range(200, 300)


class NotDelivered(Exception):
    """A receiver did not take the notice."""


def deliver(notice: Notice, settings: NotifySettings, seconds: float = SECONDS) -> dict[str, str | None]:
    """Send ``notice`` to all receivers at once.

    Returns:
        By receiver (``webhook``, ``mail``), why it was not delivered; None: it was.
    """
    receivers: dict[str, Callable[[], None]] = {}
    if settings.webhook is not None:
        receivers["webhook"] = partial(post, notice, settings.webhook, settings.secret)
    if settings.mail is not None:
        connect(settings.mail)
        receivers["mail"] = partial(send_mail, notice, settings.mail)
    ends: dict[str, str | None] = dict.fromkeys(receivers, f"it took longer than {seconds:g} s")
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_tried, args=(name, send, ends), name=f"notify {name}", daemon=True)
        for name, send in receivers.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(ends)


def post(notice: Notice, webhook: str, secret: str | None) -> None:
    """POST ``notice`` as JSON.

    Raises:
        NotDelivered: the answer is no success.
        OSError: there is none.
    """
    body = msgspec.json.encode(notice)
    headers = {"Content-Type": "application/json", "User-Agent": "Bulkhead", "Connection": "close"}
    if secret is not None:
        headers[SIGNATURE] = signature(body, secret)
    parts = urlsplit(webhook)
    host, port = parts.hostname or "", parts.port
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_CALL_SECONDS, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=_CALL_SECONDS)
    )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    if status not in _OK:  # nor is a redirect followed: the notice is for the one who was named
        raise NotDelivered(f"the answer was {status}")


def signature(body: bytes, secret: str) -> str:
    """What the header says of ``body``."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def connect(mail: Mail) -> None:
    """Tell Airflow of the mail server as of a connection, in this process alone."""
    extra = {
        "from_email": mail.sender,
        "disable_ssl": not mail.is_tls_at_once,
        "disable_tls": mail.is_tls_at_once or not mail.starttls,
        "timeout": int(_CALL_SECONDS),
        "retry_limit": 0,
    }
    connection = {
        "conn_type": "smtp",
        "host": mail.host,
        "port": mail.port,
        "login": mail.user,
        "password": mail.password,
        "extra": extra,
    }
    os.environ[f"AIRFLOW_CONN_{_CONNECTION.upper()}"] = json.dumps(connection)


def send_mail(notice: Notice, mail: Mail) -> None:
    """Send ``notice`` by Airflow's SMTP notifier."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    notifier: Any = SmtpNotifier(
        to=list(mail.to),
        from_email=mail.sender,
        subject=notice.subject,
        html_content=notice.html,
        smtp_conn_id=_CONNECTION,
    )
    # Not called as a whole, which would take the notice's text for a template.
    notifier.notify({})


def _tried(name: str, send: Callable[[], None], ends: dict[str, str | None]) -> None:
    try:
        send()
    except NotDelivered as error:
        ends[name] = str(error)
    except TimeoutError:
        ends[name] = f"no answer within {_CALL_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001  # whatever it is, the task has ended as it has
        # Its kind, and what the system says: a library's own words may repeat an address, which may hold a secret.
        said = (error.strerror if isinstance(error, OSError) else None) or ""
        ends[name] = one_line(f"{type(error).__name__} {said}".strip(), 200)
    else:
        ends[name] = None
