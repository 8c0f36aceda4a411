"""Notes and tags in the name of a logged-in person: the registrar records them, asked on the page's socket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import Refused, short
from bulkhead.registrar_protocol import DEFAULT_PAGE_SOCKET, PAGE_SOCKET_VARIABLE, Annotated, AnnotateRequest

if TYPE_CHECKING:
    from bulkhead.registry.notes import Note, Tag

_SECONDS = 30.0
_OK, _UNFIT, _AWAY = 200, 422, 503


class NotAnnotated(Refused):
    """It is not recorded; the sentence says why.

    Args:
        message: the sentence.
        status: HTTP's: 404 no such model or tag, 409 no more of them, 422 none that is kept, 503 the registrar is away.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def note(filename: str, by: str, text: str) -> Note:
    """Have it recorded what ``by`` has to say of the model file ``filename``.

    Raises:
        NotAnnotated: it was not.
    """
    made = _ask(AnnotateRequest(kind="note", model_filename=filename, by=by, text=text)).note
    if made is None:
        raise NotAnnotated(_UNCLEAR, _AWAY)
    return made


def tag(filename: str, by: str, key: str, value: str | None) -> Tag:
    """Have the value recorded that ``by`` gives the model file ``filename`` under ``key``; None takes the key away.

    Raises:
        NotAnnotated: it was not.
    """
    made = _ask(AnnotateRequest(kind="tag", model_filename=filename, by=by, key=key, value=value)).tag
    if made is None:
        raise NotAnnotated(_UNCLEAR, _AWAY)
    return made


_UNCLEAR = "the registrar does not say what it has recorded. Run 'just build-images registrar airflow', then 'just up'."


def _ask(asked: AnnotateRequest) -> Annotated:
    from bulkhead.unix_http import Client  # with it comes http.client, and most commands ask nobody

    socket = Path(os.environ.get(PAGE_SOCKET_VARIABLE) or DEFAULT_PAGE_SOCKET)
    try:
        content = msgspec.json.encode(asked)
    except UnicodeEncodeError:
        raise NotAnnotated("half a character stands in it, which is none of a text. Leave it out.", _UNFIT) from None
    try:
        status, body = Client(socket, _SECONDS).request("POST", "/annotate", content)
    except OSError as error:
        raise NotAnnotated(
            f"the registrar does not answer ({error.strerror or error}), so nothing is recorded. Read 'just logs"
            " registrar', then try again.",
            _AWAY,
        ) from None
    if status != _OK:
        raise NotAnnotated(_sentence(body), status)
    try:
        return msgspec.json.decode(body, type=Annotated)
    except msgspec.DecodeError:
        raise NotAnnotated(_UNCLEAR, _AWAY) from None


class _Said(msgspec.Struct):
    message: str


def _sentence(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Said).message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"the registrar says {short(body.decode(errors='replace'), 200)}. Read 'just logs registrar'."
