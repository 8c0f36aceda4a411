"""What is told to whom: ``BULKHEAD_NOTIFY_*`` and ``BULKHEAD_SMTP_*`` of ``.env`` (docs/notifications.md)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self, cast, get_args
from urllib.parse import urlsplit

from bulkhead.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

Event = Literal["failure", "gate", "drift", "approval", "chain"]
EVENTS: tuple[Event, ...] = get_args(Event)
_SMTPS = 465
_SUBMISSION = 587
_HIGHEST_PORT = 65535
_HOURLY = "17 * * * *"
_FIX = "Fix .env, then run 'just up'."


@dataclass(frozen=True, kw_only=True)
class Mail:
    """By which server mail is sent, and to whom."""

    to: tuple[str, ...]
    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    starttls: bool = True

    @property
    def is_tls_at_once(self) -> bool:
        """Whether the connection itself is encrypted, as on port 465; ``starttls`` says nothing then."""
        return self.port == _SMTPS


@dataclass(frozen=True, kw_only=True)
class NotifySettings:
    """Where events go; nowhere, by default."""

    webhook: str | None = field(default=None, repr=False)
    """Its address, which may hold a secret itself."""
    secret: str | None = field(default=None, repr=False)
    """Signs what the webhook is sent."""
    mail: Mail | None = None
    events: frozenset[Event] = frozenset(EVENTS)

    @classmethod
    def from_environment(cls, given: Mapping[str, str] | None = None) -> Self:
        """As ``.env`` says.

        Raises:
            Refused: a setting is none.
        """
        variables = os.environ if given is None else given
        webhook = variables.get("BULKHEAD_NOTIFY_WEBHOOK") or None
        if webhook is not None:
            _check_address(webhook)
        return cls(
            webhook=webhook,
            secret=variables.get("BULKHEAD_NOTIFY_WEBHOOK_SECRET") or None,
            mail=_mail(variables),
            events=_events(variables.get("BULKHEAD_NOTIFY_EVENTS")),
        )

    def tells(self, event: Event) -> bool:
        """Whether somebody is to hear of ``event``."""
        return event in self.events and (self.webhook is not None or self.mail is not None)

    @property
    def is_on(self) -> bool:
        """Whether somebody is to hear of anything."""
        return any(map(self.tells, EVENTS))


def check_schedule(given: Mapping[str, str] | None = None) -> str | None:
    """When the registry is looked at by itself, as cron has it: where somebody is told; None: whenever it is triggered.

    Raises:
        Refused: a setting is none.
    """
    variables = os.environ if given is None else given
    if not NotifySettings.from_environment(variables).tells("chain"):
        return None
    cron = variables.get("BULKHEAD_CHECK_REGISTRY") or _HOURLY
    if cron == "off":
        return None
    from croniter import croniter

    if not croniter.is_valid(cron):
        raise Refused(f"BULKHEAD_CHECK_REGISTRY is {cron!r}: neither MINUTE HOUR DAY MONTH WEEKDAY, nor off. {_FIX}")
    return cron


def _check_address(webhook: str) -> None:
    # Not shown: it may hold a secret.
    try:
        parts = urlsplit(webhook)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or not webhook.isascii() or not webhook.isprintable() or " " in webhook:
        raise Refused(f"BULKHEAD_NOTIFY_WEBHOOK is no address of a webhook, http://... or https://.... {_FIX}")


def _mail(variables: Mapping[str, str]) -> Mail | None:
    to = tuple(filter(None, map(str.strip, (variables.get("BULKHEAD_NOTIFY_MAIL_TO") or "").split(","))))
    if not to:
        return None
    wrong = next((one for one in to if "@" not in one or not one.isprintable() or " " in one), None)
    if wrong is not None:
        raise Refused(f"BULKHEAD_NOTIFY_MAIL_TO has {wrong!r}, which is no mail address. {_FIX}")
    host = variables.get("BULKHEAD_SMTP_HOST") or ""
    if not host:
        raise Refused(f"BULKHEAD_NOTIFY_MAIL_TO is set, and BULKHEAD_SMTP_HOST is not. {_FIX}")
    return Mail(
        to=to,
        host=host,
        port=_port(variables.get("BULKHEAD_SMTP_PORT")),
        sender=variables.get("BULKHEAD_SMTP_FROM") or to[0],
        user=variables.get("BULKHEAD_SMTP_USER") or None,
        password=variables.get("BULKHEAD_SMTP_PASSWORD") or None,
        starttls=_is_on(variables.get("BULKHEAD_SMTP_STARTTLS"), "BULKHEAD_SMTP_STARTTLS"),
    )


def _port(text: str | None) -> int:
    if not text:
        return _SUBMISSION
    if not text.isdecimal() or not 0 < int(text) <= _HIGHEST_PORT:
        raise Refused(f"BULKHEAD_SMTP_PORT is {text!r}, which is no port. {_FIX}")
    return int(text)


def _is_on(text: str | None, name: str) -> bool:
    word = (text or "1").strip().lower()
    if word not in {"1", "true", "yes", "on", "0", "false", "no", "off"}:
        raise Refused(f"{name} is {word!r}, which is neither 1 nor 0. {_FIX}")
    return word in {"1", "true", "yes", "on"}


def _events(text: str | None) -> frozenset[Event]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()] or list(EVENTS)
    unknown = next((name for name in names if name not in EVENTS), None)
    if unknown is not None:
        raise Refused(f"BULKHEAD_NOTIFY_EVENTS has {unknown!r}. There are: {', '.join(EVENTS)}. {_FIX}")
    return cast("frozenset[Event]", frozenset(names))
