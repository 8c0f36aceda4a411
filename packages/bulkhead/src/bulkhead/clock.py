"""Times as the records hold them: ISO 8601, UTC, to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime

LEGACY_FORMAT = "%Y-%m-%d:%H-%M-%S"
"""How legacy records hold times, without a zone; they are read as UTC."""


def now() -> datetime:
    """The current time, aware, UTC."""
    return datetime.now(UTC)


def in_record(moment: datetime) -> str:
    """``2026-11-23T05:19:56.000001+00:00``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def in_filename(moment: datetime) -> str:
    """``20261123T051956000001Z``: sorts by time, and no system forbids a character of it."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def parse(text: str) -> datetime:
    """The aware UTC time that a record of ours or a legacy record holds.

    Raises:
        ValueError: ``text`` is in neither format, or beyond the calendar in UTC.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.strptime(text, LEGACY_FORMAT).replace(tzinfo=UTC)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
