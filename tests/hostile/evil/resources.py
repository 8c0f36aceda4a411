"""A step that takes all it can get, or does not end."""

import fcntl
import os
import signal
import sys
import time

from common import FILE, MODELS, RESULT, SHARED
from results import model, result


def fork_bomb():
    children = 0
    try:
        while True:
            if os.fork() == 0:
                time.sleep(5)
                os._exit(0)
            children += 1
    except OSError:
        sys.exit(print(f"held: {children < 300}", file=sys.stderr) or 3)


def flood():
    while True:
        sys.stdout.write("x" * 4000 + "\x1b[2J\x00\r\n" + "::error::evil\n")


def memory():
    kept = []
    while True:
        kept.append(bytearray(16 << 20))


def large_file():
    with open(f"{SHARED}/large", "wb") as file:
        while True:
            file.write(b"x" * (1 << 20))


def many_large_files():
    for number in range(40):
        with open(f"{SHARED}/part{number}", "wb") as file:
            file.write(b"x" * (20 << 20))
    time.sleep(60)


def many_files():
    for number in range(30_000):
        os.mknod(f"{SHARED}/{number}")
    result(model())


def deep_folders():
    os.chdir(SHARED)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    os.chdir("/")
    result(model())
    time.sleep(30)


def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


def hold_the_log():
    descriptor = os.open(f"{MODELS}/log.txt", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    time.sleep(60)


def fifo_while_it_runs():
    os.mkfifo(RESULT)
    os.mkfifo(f"{SHARED}/{FILE}")
    deaf()


RESOURCES = {
    "fork bomb": fork_bomb,
    "flood": flood,
    "memory": memory,
    "large file": large_file,
    "many large files": many_large_files,
    "many files": many_files,
    "deep folders": deep_folders,
    "deaf": deaf,
    "fifo while it runs": fifo_while_it_runs,
    "hold the log": hold_the_log,
    "long names": lambda: sys.exit(print("\x1b]0;evil\x07" + "é" * 500_000, file=sys.stderr) or 3),
}
