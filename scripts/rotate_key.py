"""``just rotate-key``: sign the registry's records with a new key from now on; the old one stays, for old records.

.env is replaced by a whole new one in a single step, with the new key and the old one before the older ones: however
this is interrupted, there is the old .env or the new one, and no key is lost. The registrar is then started anew, where
it runs; where that did not happen any more, it signs with the old key until the next ``just up``, and that is fine.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

# First: it puts the packages below on Python's path.
from by_hand import KEYS, ROOT, fail, ready, running_registrar

KEY, OLD_KEYS = KEYS


def main() -> int:
    """Rotate; returns the exit code."""
    for name in KEYS:
        if os.environ.get(name):
            fail(f"{name} is set in the environment, which wins over .env.", "Change it where you set it, or unset it.")
    file = Path(os.environ.get("BULKHEAD_ENV_FILE") or ROOT / ".env")
    environment = ready()
    with file.open("rb") as old:
        # Two at once would each keep the same old key, and one of the new ones would be lost.
        fcntl.flock(old, fcntl.LOCK_EX)
        if file.stat().st_ino != os.fstat(old.fileno()).st_ino:
            fail(
                f"{file.name} was changed by another command meanwhile; nothing was done.",
                "Run 'just rotate-key' again.",
            )
        replace(file, rotated(old.read().decode(), secrets.token_urlsafe(32)))
    print(f"{file.name} has a new {KEY}; the old one is the first of {OLD_KEYS}.", flush=True)
    if not running_registrar(environment.get("BULKHEAD_PROJECT") or "bulkhead"):
        return 0
    command = ["docker", "compose", "--env-file", str(file), "up", "--detach", "--no-deps", "--wait", "registrar"]
    if subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode:
        fail("the registrar did not start with the new key.", "Read 'just logs registrar', then run 'just up'.")
    print("The registrar signs with it.")
    return 0


def rotated(text: str, key: str) -> str:
    """The content ``text`` of a ``.env`` with ``key`` as the new key, and the one before among the old ones."""
    before, older = value_of(text, KEY), value_of(text, OLD_KEYS)
    lines = [line for line in text.splitlines() if not re.match(rf"({KEY}|{OLD_KEYS})=", line)]
    kept = ",".join(dict.fromkeys(one for one in (before, *older.split(",")) if one))
    return "\n".join([*lines, f"{KEY}='{key}'", f"{OLD_KEYS}='{kept}'"]) + "\n"


def value_of(text: str, name: str) -> str:
    """What ``name`` is in a ``.env``; the last line counts, as everywhere."""
    found = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
    return str(found[-1]).strip().strip("'\"") if found else ""


def replace(file: Path, text: str) -> None:
    """Put ``text`` in the place of ``file``, all of it or nothing, readable for its owner alone."""
    # Where .env is a link, what it points to is replaced.
    file = file.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        if os.geteuid() == 0:
            os.chown(name, file.stat().st_uid, file.stat().st_gid)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


if __name__ == "__main__":
    sys.exit(main())
