"""What a step tries to reach from inside its seal: each attempt must fail."""

import ctypes
import fcntl
import os
import socket
import struct
import sys

from common import ATTACK, MODELS, SHARED, served


def held(*attempts):
    """Each attempt must fail; a file that is not there is no answer, but where its absence is the seal."""
    for attempt in attempts:
        try:
            said = attempt()
        except FileNotFoundError as error:
            if ATTACK not in UNSEEN:
                sys.exit(print(f"MISSED: {ATTACK}: {error!r}", file=sys.stderr) or 5)
        except (OSError, ValueError, IndexError) as error:
            print(f"{ATTACK}: {error!r}", file=sys.stderr)
        else:
            sys.exit(print(f"BREACH: {ATTACK}: {said!r}", file=sys.stderr) or 4)
    sys.exit(print(f"held: {ATTACK}", file=sys.stderr) or 3)


def opened(path, mode="a"):
    with open(path, mode) as file:
        return file.write("evil\n")


def locked(path, flags):
    descriptor = os.open(path, flags)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def syscall(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def connected(family, address):
    with socket.socket(family) as made:
        made.settimeout(3)
        made.connect(address)
    return address


def entered_userns_and_mounted():
    syscall("unshare", 0x10000000 | 0x20000)
    syscall("mount", b"none", b"/models", None, 4096 | 32, None)


def on_the_host():
    """Where the engine has its run folder, as the kernel tells every container."""
    for line in open("/proc/self/mountinfo"):
        fields = line.split()
        if fields[4] == SHARED:
            return fields[3]
    raise ValueError("no mount")


def listed_by_link(target):
    """What a link in the run folder shows, of other runs."""
    link = f"{SHARED}/link"
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(target, link)
    found = os.listdir(link)
    if "shared" in found and "models" in found:  # this container's own root
        raise FileNotFoundError(target)
    return found


def opened_by_handle():
    """The root of the file system that the run folder is on, by its number (as "shocker" did)."""
    handle = ctypes.create_string_buffer(struct.pack("<IiII", 8, 1, 2, 0))
    folder = os.open(SHARED, os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.open_by_handle_at(folder, handle, 0) < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    return "opened"


UNSEEN = {"sockets", "other runs", "device", "kernel"}
"""Attacks on what must not even be there."""
SEAL = {
    "log": [lambda: opened(f"{MODELS}/log.txt"), lambda: os.truncate(f"{MODELS}/log.txt", 0)],
    "inferences": [lambda: opened(f"{MODELS}/log_inference.txt"), lambda: os.unlink(f"{MODELS}/log_inference.txt")],
    "model file": [lambda: os.chmod(served(), 0o666), lambda: opened(served()), lambda: os.unlink(served())],
    "new model": [lambda: opened(f"{MODELS}/model_20990101T000000000000Z_abc.joblib", "w")],
    "gate": [lambda: opened(f"{MODELS}/gate.toml"), lambda: os.rename(f"{MODELS}/log.txt", f"{MODELS}/gate.toml")],
    "link in models": [lambda: os.symlink("/etc", f"{MODELS}/link"), lambda: os.link(served(), f"{SHARED}/model")],
    "lock": [
        lambda: locked(f"{MODELS}/.lock", os.O_RDONLY),
        lambda: locked(f"{MODELS}/.lock", os.O_WRONLY),
        lambda: os.chmod(f"{MODELS}/.lock", 0o666),
    ],
    "modes of models": [lambda: os.chmod(MODELS, 0o777), lambda: os.mkdir(f"{MODELS}/x"), lambda: os.utime(MODELS)],
    "inputs": [
        lambda: opened("/inputs/evil.csv", "w"),
        lambda: os.symlink("/etc", "/inputs/link"),
        lambda: opened("/inputs/.uploads/" + "0" * 32, "w"),
        lambda: os.symlink("/etc/passwd", "/inputs/.uploads/arriving/" + "0" * 32),
        lambda: os.rename("/inputs/.uploads", "/inputs/uploads"),
    ],
    "hard link": [lambda: os.link("/inputs/t.csv", f"{SHARED}/t.csv"), lambda: os.link("/etc/passwd", f"{SHARED}/p")],
    "device": [lambda: os.mknod(f"{SHARED}/disk", 0o060666, os.makedev(8, 0)), lambda: open("/dev/mem", "rb")],
    "root file system": [lambda: opened("/evil", "w"), lambda: opened("/etc/passwd"), lambda: opened("/opt/evil", "w")],
    "mount": [
        lambda: syscall("mount", b"none", b"/models", None, 4096 | 32, None),
        lambda: syscall("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, None),
        lambda: syscall("umount2", b"/models", 2),
    ],
    "user namespace": [entered_userns_and_mounted],
    "root": [lambda: os.setuid(0), lambda: os.setgroups([0, 1]), lambda: os.chown(f"{SHARED}/.", 0, 0)],
    "kernel": [
        lambda: opened("/proc/sys/kernel/core_pattern", "w"),
        lambda: opened("/sys/kernel/mm/ksm/run", "w"),
        lambda: opened("/proc/sysrq-trigger", "w"),
    ],
    "network": [
        lambda: connected(socket.AF_INET, ("172.17.0.1", 22)),
        lambda: connected(socket.AF_INET, ("api-server", 8080)),
        lambda: connected(socket.AF_INET, ("127.0.0.1", 8080)),
    ],
    "sockets": [
        lambda: connected(socket.AF_UNIX, "/var/run/docker.sock"),
        lambda: connected(socket.AF_UNIX, "/run/bulkhead/launcher/launcher.sock"),
        lambda: connected(socket.AF_UNIX, "/run/bulkhead/registrar/registrar.sock"),
    ],
    "other runs": [
        lambda: os.listdir("/shared/../../prd_train_model_dag"),
        lambda: os.listdir(f"{SHARED}/../prd_train_model_dag"),
        lambda: listed_by_link("../../prd_train_model_dag"),
        lambda: listed_by_link("../.."),
        lambda: os.listdir(on_the_host().rpartition("/")[0]),
        lambda: os.listdir("/opt/airflow/shared/runs"),
        lambda: os.listdir("/proc/1/root/opt/airflow"),
    ],
    "file handle": [opened_by_handle],
    "other processes": [lambda: [int(n) for n in os.listdir("/proc") if n.isdigit() and int(n) > 50].pop()],
    "secrets": [lambda: [name for name in os.environ if "KEY" in name or "PASS" in name].pop()],
}
