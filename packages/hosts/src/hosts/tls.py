"""TLS 1.3 by a secret that both sides have, and by no certificate: who has it is who he says, on either side.

Python offers it since 3.13 (``ssl.SSLContext.set_psk_server_callback``), which the images have.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HANDSHAKE_SECONDS = 10.0


def server_context(secret_of: Callable[[str], str | None], come: Callable[[str], None]) -> ssl.SSLContext:
    """For one connection: a host's name is known only to the callback that is asked for its secret.

    Args:
        secret_of: the secret of a host by its name, in hex; None: there is no such host.
        come: told who connects, before it has proved that.
    """
    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    def secret(identity: str | None) -> bytes:
        found = secret_of(identity or "")
        if found is None:
            return b""  # no handshake succeeds with none
        come(identity or "")
        return bytes.fromhex(found)

    context.set_psk_server_callback(secret)
    return context  # type: ignore[no-any-return]  # 3.13's methods are unknown to 3.11's types


def client_context(name: str, secret: str) -> ssl.SSLContext:
    """For the host ``name`` with this secret, in hex. A server that does not have it is refused, whatever it shows."""
    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    # Certificates are wanted, and none is trusted: what is left is the secret.
    context.verify_mode = ssl.CERT_REQUIRED
    key = bytes.fromhex(secret)
    context.set_psk_client_callback(lambda _hint: (name, key))
    return context  # type: ignore[no-any-return]  # as above
