"""Whether a host's ``models/`` and ``shared/`` are the registrar's: what one writes, the other has to see at once.

The registrar writes a nonce into ``models/`` and holds a lock on it; the host must read it and see the lock. The host's
launcher writes another one into ``shared/``, which the registrar must read. One host at a time.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from bulkhead import untrusted
from bulkhead.hosts_protocol import PROBE, PROBES, Probe
from registrar import host_judging

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.hosts_protocol import HostReport

logger = logging.getLogger(__name__)

_SECONDS = 5.0
"""How long one host has the probe to itself."""
_LIMIT = 64


class _Begun(NamedTuple):
    name: str
    probe: Probe
    locked: int
    """The file that is locked."""
    since: float


class FolderProbes:
    """Looks at the folders of hosts.

    Args:
        folder: in it are ``models`` and ``shared``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun: _Begun | None = None

    def begin(self, name: str) -> Probe | None:
        """What the host ``name`` is to look for; None: another host's turn is not over, or nothing can be written."""
        now = time.monotonic()
        if self._begun is not None and self._begun.name != name and now - self._begun.since < _SECONDS:
            return None
        self.end()
        probe = Probe(models=secrets.token_hex(16), shared=secrets.token_hex(16))
        path = self._folder / "models" / PROBE
        written = path.with_name(f"{PROBE}.tmp")
        try:
            written.unlink(missing_ok=True)
            descriptor = os.open(written, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            self._begun = _Begun(name, probe, descriptor, now)
            os.write(descriptor, probe.models.encode())
            os.fsync(descriptor)  # it stays open, and a file server's client may keep what was not asked for
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            written.rename(path)
        except OSError as error:
            logger.warning("models/%s cannot be written: %s", PROBE, error)
            self.end()
            return None
        return probe

    def judge(self, name: str, report: HostReport) -> list[str] | None:
        """What is wrong with the folders of ``name``, by what it has found; None: it was not told to look."""
        if self._begun is None or self._begun.name != name or report.probed is None:
            return None
        shared = None
        with suppress(OSError, untrusted.Untrusted, UnicodeDecodeError):
            shared = untrusted.read(self._folder, f"{PROBES}/{name}", limit=_LIMIT).decode()
        found = host_judging.folder_problems(report, self._begun.probe, shared)
        self.end()
        return found

    def end(self) -> None:
        """Let go of the lock."""
        if self._begun is not None:
            os.close(self._begun.locked)
            self._begun = None
