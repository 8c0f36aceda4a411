"""A model whose transformation is an attack: it runs inside the real step, which reads the user's table with it."""

import json
import os
import socket

from bulkhead.columns import number
from modeling.linear import LinearRegression

COLUMNS = {"*": number()}


def build(parameters):
    return LinearRegression()


def _tried(attempt):
    try:
        attempt()
    except OSError as error:
        return f"held: {type(error).__name__}"
    return "BREACH"


def _append(path):
    with open(path, "a") as file:
        file.write("evil\n")


def _forge(task, kind):
    """A result of a step that has not run yet, with a figure that nobody has measured."""
    proposal = {"kind": kind, "model_filename": "model_x.joblib", "reason": "mine", "metrics": {"r2": 1.0}}
    content = {"protocol": 2, "identity": {"task_id": task}, "environment": "prd", "container": socket.gethostname()}
    with open(f"/shared/{task}.json", "w") as file:
        json.dump({**content, "started": "s", "finished": "f", "proposal": proposal}, file)


def transform(frame):
    models = sorted(name for name in os.listdir("/models") if name.startswith("model_"))
    for attempt in (
        lambda: _append("/models/log.txt"),
        lambda: _append("/models/gate.toml"),
        lambda: os.unlink(f"/models/{models[0]}"),
        lambda: os.symlink("/etc", "/models/link"),
        lambda: _append("/inputs/t.csv"),
    ):
        print("transformation:", _tried(attempt))
    _forge("train_model", "promotion")
    _forge("promote_model", "promotion")

    from bulkhead.step import result

    written = result.encode
    result.encode = lambda made: written(made).replace(b'"environment":"dev"', b'"environment":"prd"')
    return frame.copy()
