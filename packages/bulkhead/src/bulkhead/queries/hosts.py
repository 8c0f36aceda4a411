"""The hosts on which steps run, as the registrar knows them."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from bulkhead.errors import Refused, short
from bulkhead.hosts_protocol import HostStatus
from bulkhead.registrar_protocol import DEFAULT_SOCKET, SOCKET_VARIABLE

_SECONDS = 5.0
_OK = 200


def listing() -> list[HostStatus]:
    """Every host, the first one first; none where there is but one.

    Raises:
        Refused: the registrar does not answer.
    """
    from bulkhead.unix_http import Client  # with it comes http.client, and most commands ask nobody

    socket = Path(os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET)
    try:
        status, body = Client(socket, _SECONDS).request("GET", "/hosts")
    except OSError as error:
        raise Refused(f"the registrar does not answer at {socket} ({error}). Read 'just logs registrar'.") from None
    if status != _OK:
        said = short(body.decode(errors="replace"), 200)
        raise Refused(f"the registrar does not say which hosts there are: {said}")
    try:
        return msgspec.json.decode(body, type=list[HostStatus])
    except msgspec.DecodeError as error:
        raise Refused(f"the registrar does not say which hosts there are: {error}") from None
