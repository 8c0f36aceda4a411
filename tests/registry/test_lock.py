"""The registry's one lock: who can take it, and what it does with a file that is none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from tests.support.project import training_failure

from bulkhead.errors import Refused
from bulkhead.registry import journal, lock
from bulkhead.untrusted import Untrusted

if TYPE_CHECKING:
    from pathlib import Path

HOLD = "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.flock(f,fcntl.LOCK_EX); print('held',flush=True); input()"


def test_the_lock_can_be_opened_only_by_who_may_write_whatever_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        with lock.locked(tmp_path):
            pass
    finally:
        os.umask(previous)
    assert (tmp_path / lock.NAME).stat().st_mode & 0o777 == 0o220


def test_a_thread_that_holds_the_lock_takes_it_again_and_lets_go_at_the_outer_end(tmp_path: Path) -> None:
    with lock.locked(tmp_path):
        with lock.locked(tmp_path, seconds=0):
            pass
        assert _others_are_refused(tmp_path)
    assert not _others_are_refused(tmp_path)


def test_both_journals_have_the_same_lock(tmp_path: Path) -> None:
    with journal.locked(tmp_path / "log.txt"):
        assert _others_are_refused(tmp_path)
        with journal.locked(tmp_path / "log_inference.txt") as inferences:
            inferences.append(training_failure())


def test_a_lock_that_is_never_let_go_is_refused_with_who_to_look_for(tmp_path: Path) -> None:
    (tmp_path / lock.NAME).touch()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / lock.NAME)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(Refused, match=r"models/\.lock has been held .* for 0\.05 s, .*fuser models/\.lock"),
            lock.locked(tmp_path, seconds=0.05),
        ):
            pass
        holder.communicate("\n", timeout=30)
    with lock.locked(tmp_path, seconds=5):
        pass


def test_a_lock_file_that_was_removed_while_somebody_waited_keeps_two_writers_apart(tmp_path: Path) -> None:
    """Who waited for the old file must not go on with it: the next one locks the new file."""
    took = threading.Event()
    done = threading.Event()

    def wait_and_hold() -> None:
        with lock.locked(tmp_path, seconds=20):
            took.set()
            done.wait(20)

    with lock.locked(tmp_path):
        waiter = threading.Thread(target=wait_and_hold)
        waiter.start()
        assert not took.wait(0.2)
        (tmp_path / lock.NAME).unlink()
    assert took.wait(20)
    try:
        assert _others_are_refused(tmp_path)
    finally:
        done.set()
        waiter.join(20)


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_a_lock_that_is_no_plain_file_is_an_error_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / lock.NAME
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(tmp_path / "elsewhere")
        case _:
            path.mkdir()
    with pytest.raises((OSError, Untrusted)), lock.locked(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_fifo_that_somebody_reads_is_no_lock(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / lock.NAME)
    reader = os.open(tmp_path / lock.NAME, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(Untrusted, match="FIFO"), lock.locked(tmp_path):
            pass
    finally:
        os.close(reader)


def _others_are_refused(folder: Path) -> bool:
    """Whether another thread cannot take the lock now."""
    refused: list[bool] = []

    def take() -> None:
        try:
            with lock.locked(folder, seconds=0.05):
                refused.append(False)
        except Refused:
            refused.append(True)

    other = threading.Thread(target=take)
    other.start()
    other.join(20)
    return refused[0]
