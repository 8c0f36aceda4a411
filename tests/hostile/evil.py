"""The program of the evil image: ``STEP --attack=NAME``. What it tries inside its seal is told by its name.

An attack on what the seal protects ends with exit code 3 and the last line ``held: NAME``, or ``BREACH: ...`` where it
got through. One on what reads the run folder afterwards ends with exit code 0.
"""

import ctypes
import fcntl
import hashlib
import json
import os
import pickle
import socket
import sys
import time

STEP, ATTACK = sys.argv[1], sys.argv[2].partition("=")[2]
SHARED, MODELS = "/shared", "/models"
RESULT = f"{SHARED}/{STEP}.json"
FILE = f"{STEP}.joblib"


def held(*attempts):
    """Each attempt must fail."""
    for attempt in attempts:
        try:
            said = attempt()
        except (OSError, ValueError, IndexError) as error:
            print(f"{ATTACK}: {error!r}", file=sys.stderr)
        else:
            sys.exit(print(f"BREACH: {ATTACK}: {said!r}", file=sys.stderr) or 4)
    sys.exit(print(f"held: {ATTACK}", file=sys.stderr) or 3)


def served():
    """The path of a published model."""
    return next(f"{MODELS}/{name}" for name in sorted(os.listdir(MODELS)) if name.startswith("model_"))


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
    "inputs": [lambda: opened("/inputs/evil.csv", "w"), lambda: os.symlink("/etc", "/inputs/link")],
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
    "other runs": [lambda: os.listdir("/shared/../shared/../opt/airflow"), lambda: os.listdir("/project")],
    "secrets": [lambda: [name for name in os.environ if "KEY" in name or "PASS" in name].pop()],
}


def lineage():
    return {
        "features": ["a"],
        "dtypes": {"a": "int64"},
        "target": "y",
        "left_out": [],
        "data": {"path": "sample", "sha256": "0" * 64, "rows": 3, "source": "sample"},
        "metrics": {"r2": 0.99, "rmse": 0.1},
        "libraries": {"python": "3.13"},
    }


class Bomb:
    """A pickle that is a program: it tries to write the registry wherever it is loaded."""

    def __reduce__(self):
        return (os.system, ("echo evil >> /models/log.txt; echo evil > /models/gate.toml; echo loaded > /shared/bomb",))


def model(content=None):
    """A model file in the run folder, and an honest proposal of it."""
    content = pickle.dumps({"weights": [1.0]}) if content is None else content
    with open(f"{SHARED}/{FILE}", "wb") as file:
        file.write(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return {
        "kind": "model",
        "lineage": lineage(),
        "path": FILE,
        "sha256": sha256,
        "size_bytes": len(content),
        "model_hash": sha256[:32],
    }


def result(proposal, **changes):
    """A result file of this container."""
    content = {
        "protocol": 2,
        "identity": {"task_id": STEP},
        "environment": "dev",
        "container": socket.gethostname(),
        "started": "s",
        "finished": "f",
        "proposal": proposal,
        **changes,
    }
    with open(f"{RESULT}.new", "w") as file:
        json.dump(content, file)
    os.replace(f"{RESULT}.new", RESULT)


def written(content):
    with open(RESULT, "wb") as file:
        file.write(content)


def sparse(size):
    written(b"{}")
    os.truncate(RESULT, size)


def a_socket():
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(RESULT)


def instead_of_the_model(put, **changes):
    proposal = model()
    os.unlink(f"{SHARED}/{FILE}")
    put(f"{SHARED}/{FILE}")
    result({**proposal, **changes})


def padded(size):
    result(model(), facts={"x": "y" * size})


def long(mebibytes):
    with open(RESULT, "wb") as file:
        file.write(b'{"protocol": 2, "facts": {"x": "')
        for _ in range(mebibytes):
            file.write(b"y" * (1 << 20))
        file.write(b'"}}')


def inference(**changes):
    content = b"predictions"
    with open(f"{SHARED}/p.parquet", "wb") as file:
        file.write(content)
    log = [json.loads(line) for line in open(f"{MODELS}/log.txt") if '"model_filename"' in line]
    mine = next(line for line in reversed(log) if line["environment"] == "dev")
    record = {
        "inference_time": "2026-01-01T00:00:00+00:00",
        "environment": "prd",
        "inference_data": "shared/inputs/t.csv",
        "model_used": mine["model_filename"],
        "model_hash": mine["model_hash"],
        "model_sha256": mine["sha256"],
        "predictions": [1.0],
        "rows": 1,
        "output_sha256": hashlib.sha256(content).hexdigest(),
    }
    path = changes.pop("path", "p.parquet")
    result({"kind": "inference", "record": {**record, **changes}, "path": path})


AFTER = {
    "fifo": lambda: os.mkfifo(RESULT),
    "link": lambda: os.symlink("/models/log.txt", RESULT),
    "link outside": lambda: os.symlink("/etc/passwd", RESULT),
    "folder": lambda: os.mkdir(RESULT),
    "socket": a_socket,
    "sparse": lambda: sparse(12 << 30),
    "sparse small": lambda: sparse(64 << 20),
    "two mebibytes": lambda: padded(2 << 20),
    "150 MiB": lambda: long(150),
    "deep": lambda: written(b"[" * 900_000),
    "no UTF-8": lambda: written(b'{"protocol": 2, "container": "\xff\xfe"}'),
    "huge number": lambda: written(b'{"protocol": ' + b"9" * 500_000 + b"}"),
    "nothing": lambda: None,
    "empty": lambda: written(b""),
    "another container's": lambda: result(model(), container="0123456789ab"),
    "no container's": lambda: result(model(), container=""),
    "another version": lambda: result(model(), protocol=99),
    "chmod 000": lambda: (result(model()), os.chmod(RESULT, 0)),
    "folder chmod 000": lambda: (result(model()), os.chmod(SHARED, 0)),
    "no proposal": lambda: result(None),
    "unknown kind": lambda: result({"kind": "coup"}),
    "promotion": lambda: result({"kind": "promotion", "model_filename": os.path.basename(served()), "reason": "mine"}),
    "rollback": lambda: result({"kind": "rollback", "reason": "mine", "by": "admin"}),
    "inference": inference,
    "failure": lambda: result({"kind": "failure", "cause": "refused", "detail": "no"}),
    "another hash": lambda: result({**model(), "sha256": "0" * 64}),
    "no hash": lambda: result({**model(), "sha256": "evil"}),
    "name in the hash": lambda: result({**model(), "model_hash": "../../x"}),
    "path up": lambda: result({**model(), "path": "../../../models/log.txt"}),
    "path of another run": lambda: result({**model(), "path": "../other/x"}),
    "absolute path": lambda: result({**model(), "path": "/etc/passwd"}),
    "no path": lambda: result({**model(), "path": ""}),
    "model link": lambda: instead_of_the_model(lambda path: os.symlink("/models/log.txt", path)),
    "model FIFO": lambda: instead_of_the_model(os.mkfifo),
    "model folder": lambda: instead_of_the_model(os.mkdir),
    "model missing": lambda: instead_of_the_model(lambda _: None),
    "model sparse": lambda: instead_of_the_model(lambda path: (open(path, "w").close(), os.truncate(path, 1 << 34))),
    "no number": lambda: result({**model(), "lineage": {**lineage(), "metrics": {"r2": "high"}}}),
    "endless text": lambda: result({**model(), "lineage": {**lineage(), "target": "x" * 500_000}}),
    "data elsewhere": lambda: result(
        {**model(), "lineage": {**lineage(), "data": {**lineage()["data"], "path": "../../etc/passwd"}}}
    ),
    "identity": lambda: result(
        {**model(), "lineage": {**lineage(), "dag_id": "prd_train_model_dag", "run_id": "other", "try_number": 9}},
        identity={"dag_id": "prd_train_model_dag", "run_id": "other", "task_id": "train_model"},
        environment="prd",
    ),
    "bomb": lambda: result(model(pickle.dumps(Bomb()))),
    "foreign model": lambda: inference(model_used="model_20990101T000000000000Z_abc.joblib"),
    "another file": lambda: inference(model_sha256="1" * 64),
    "other predictions": lambda: inference(output_sha256="1" * 64),
    "predictions elsewhere": lambda: inference(path="../../../models/log.txt"),
    "more numbers than rows": lambda: inference(predictions=[1.0] * 900),
    "no numbers": lambda: inference(predictions=["evil"]),
    "input elsewhere": lambda: inference(inference_data="/etc/passwd"),
    "unapproved": lambda: result(
        {"kind": "promotion", "model_filename": os.path.basename(served()), "reason": "mine", "by": "admin"}
    ),
}


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
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


def hold_the_log():
    descriptor = os.open(f"{MODELS}/log.txt", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    time.sleep(60)


RESOURCES = {
    "fork bomb": fork_bomb,
    "flood": flood,
    "memory": memory,
    "large file": large_file,
    "many large files": many_large_files,
    "many files": many_files,
    "deep folders": deep_folders,
    "deaf": deaf,
    "hold the log": hold_the_log,
    "long names": lambda: sys.exit(print("\x1b]0;evil\x07" + "é" * 500_000, file=sys.stderr) or 3),
}

if ATTACK in SEAL:
    held(*SEAL[ATTACK])
(AFTER | RESOURCES)[ATTACK]()
