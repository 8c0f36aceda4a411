"""The secret by which a host and the first one know each other. Needs the standard library alone."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

_CODE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9-]{0,31}):(?P<secret>[0-9a-f]{64})@(?P<address>[^\s@:]+|\[[0-9a-f:]+\]):(?P<port>\d{1,5})"
)


def secret_of(key: str, name: str, generation: str) -> str:
    """The secret of the host ``name``, in hex; another one each time that the host is added.

    Args:
        key: ``BULKHEAD_HOSTS_KEY``, which only the first host has.
        name: the host.
        generation: made when it was added.
    """
    return hmac.new(key.encode(), f"host {name} {generation}".encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class JoinCode:
    """What a new host has to be told: who it is, its secret, and where the first host is."""

    name: str
    secret: str
    address: str
    port: int

    @classmethod
    def parse(cls, text: str) -> JoinCode:
        """What :meth:`__str__` wrote.

        Raises:
            ValueError: it is none.
        """
        found = _CODE.fullmatch(text.strip())
        if found is None or not 0 < int(found["port"]) < 65536:  # noqa: PLR2004  # ports
            raise ValueError("that is no code of 'just host-add', which looks like NAME:SECRET@ADDRESS:PORT")
        return cls(found["name"], found["secret"], found["address"].strip("[]"), int(found["port"]))

    def __str__(self) -> str:
        """``NAME:SECRET@ADDRESS:PORT``."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.name}:{self.secret}@{address}:{self.port}"
