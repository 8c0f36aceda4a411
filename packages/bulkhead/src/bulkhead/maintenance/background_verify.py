"""A verify of the registry in a process of its own, its progress and its result kept in files.

For servers, which must neither wait for it nor be slowed down by it. One runs at a time, however many
processes ask; all of them see the same result:
``python -m bulkhead.maintenance.background_verify MODELS SHARED FOLDER``.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock
from bulkhead.errors import one_line
from bulkhead.files import write_whole
from bulkhead.maintenance import seen_heads
from bulkhead.maintenance.verify import Finding, amount, verify
from bulkhead.registry.store import Registry
from bulkhead.untrusted import Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST = 500
"""Findings that are kept; the others are counted."""
_TELL_SECONDS = 0.5


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a verify found."""

    started: str
    finished: str
    damage: int
    notes: int
    found: list[Finding]
    """Damage first; at most 500."""
    trouble: str | None = None
    """Why it did not come to its end."""

    @property
    def is_clean(self) -> bool:
        """Everything was looked at, and is as the records say."""
        return self.trouble is None and self.damage == 0


class BackgroundVerify:
    """The verify of the registry in ``models``.

    Args:
        models: the registry's folder.
        shared: the project's ``shared/``.
        folder: where progress and result are kept, by this user alone.
    """

    def __init__(self, models: Path, shared: Path, folder: Path) -> None:
        self._models = models
        self._shared = shared
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None

    def latest(self) -> VerifyReport | None:
        """The result of the last one; None: there was none yet."""
        try:
            return msgspec.json.decode((self._folder / "verify-report.json").read_bytes(), type=VerifyReport)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def progress(self) -> int | None:
        """How far it is, in percent; None: none runs."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        if self._child is None and not self._is_running():
            return None
        try:
            return int((self._folder / "verify-progress.txt").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def start(self) -> None:
        """Start one, unless one runs."""
        if self.progress() is not None:
            return
        (self._folder / "verify-progress.txt").write_text("0")
        self._child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bulkhead.maintenance.background_verify",
                *map(str, (self._models, self._shared, self._folder)),
            ],
            stdin=subprocess.DEVNULL,
        )

    def close(self) -> None:
        """Stop the one that this process has started, if it runs."""
        if self._child is not None:
            self._child.terminate()
            self._child.wait()

    def _is_running(self) -> bool:
        with (self._folder / "verify.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def check(models: Path, shared: Path, folder: Path) -> VerifyReport:
    """Verify the registry, tell ``folder`` how far it is, and leave the result there."""
    started = clock.in_record(clock.now())
    damage, notes = list[Finding](), list[Finding]()
    amounts = {"damage": 0, "note": 0}
    trouble = None
    try:
        heads = seen_heads.ask()
        registry = Registry(models)
        progress = _teller(folder / "verify-progress.txt", amount(registry))
        for finding in verify(registry, shared, progress=progress, heads=heads):
            amounts[finding.severity] += 1
            kept = damage if finding.severity == "damage" else notes
            if len(kept) < _MOST:
                kept.append(finding)
    except Untrusted as error:
        trouble = one_line(f"It stopped before its end: {error}")
    except OSError as error:
        trouble = one_line(f"It stopped before its end: {error}. Fix that, then verify again.")
    result = VerifyReport(
        started=started,
        finished=clock.in_record(clock.now()),
        damage=amounts["damage"],
        notes=amounts["note"],
        found=[*damage, *notes][:_MOST],
        trouble=trouble,
    )
    write_whole(folder / "verify-report.json", msgspec.json.encode(result), 0o600)
    return result


def _teller(told: Path, total: int) -> Callable[[int], None]:
    done, last = 0, 0.0

    def tell(size: int) -> None:
        nonlocal done, last
        done += size
        if time.monotonic() - last > _TELL_SECONDS:
            last = time.monotonic()
            told.write_text(str(min(99, 100 * done // max(1, total))))

    return tell


def main(models: str, shared: str, folder: str) -> int:
    """Check, unless another process is doing so."""
    os.nice(10)  # whoever waits for a page goes first
    with (Path(folder) / "verify.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        check(Path(models), Path(shared), Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
