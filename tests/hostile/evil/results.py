"""What a step leaves in its run folder for those who read it afterwards."""

import contextlib
import hashlib
import json
import os
import pickle
import signal
import socket
import sys
import time

from common import FILE, MODELS, RESULT, SHARED, STEP, served


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
        "environment": os.environ.get("BULKHEAD_ENVIRONMENT", "dev"),
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
        file.writelines(b"y" * (1 << 20) for _ in range(mebibytes))
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


def twice():
    """A result with two proposals: a model for who reads the first, a promotion for who reads the last."""
    result(model())
    promotion = {"kind": "promotion", "model_filename": os.path.basename(served()), "reason": "mine"}
    with open(RESULT) as file:
        content = file.read()
    written(f'{content[:-1]}, "proposal": {json.dumps(promotion)}}}'.encode())


def setuid():
    proposal = model()
    os.chmod(f"{SHARED}/{FILE}", 0o6777)
    result(proposal)


def polite():
    """Told to end, it says that it has succeeded."""

    def end(*_):
        result(model())
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        time.sleep(1)


def bait():
    """A large model, proposed honestly; another step of this run rewrites it while it is copied."""
    result(model(pickle.dumps({"weights": b"w" * (120 << 20)})))


def swapper():
    """Rewrites the model of the run's other step from the moment on that it is proposed."""
    other = f"{SHARED}/train_model"
    until = time.monotonic() + 35
    while time.monotonic() < until and not os.path.exists(f"{other}.json"):
        time.sleep(0.01)
    count = 0
    while time.monotonic() < until:
        count += 1
        with contextlib.suppress(OSError), open(f"{other}.joblib", "r+b") as file:
            file.seek((count * 7919) % (120 << 20))
            file.write(b"evil")
        if count % 1000 == 0:
            with open(f"{other}.other", "wb") as file:
                file.write(b"evil" * 1000)
            os.replace(f"{other}.other", f"{other}.joblib")
    sys.exit(print(f"swapped {count} times", file=sys.stderr) or 3)


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
    ),
    "other environment": lambda: result(model(), environment="prd"),
    "other name": lambda: result(model(), model_name="other"),
    "odd goal": lambda: result({**model(), "lineage": {**lineage(), "goals": {"r2": "up"}}}),
    "identifier that is a feature": lambda: result(
        {**model(), "lineage": {**lineage(), "identifier": lineage()["features"][0]}}
    ),
    "unasked": lambda: result({**model(), "allow_unmeasured": True, "allow_signature_change": True}),
    "two proposals": twice,
    "setuid": setuid,
    "polite": polite,
    "bait": bait,
    "swapper": swapper,
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
