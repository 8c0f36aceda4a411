"""A registry that real steps have filled: two kinds of models, inferences, drift, failures, what people decided."""

from __future__ import annotations

import json
import os
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.support.project import Project
from tests.support.project_files import own_project

from bulkhead import clock, paths
from bulkhead.identity import Identity
from bulkhead.registry import annotating, decisions, journal
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.records import Promotion

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.records import ModelRecord

HOSTILE = '<script>top.hacked=1</script><img src=x onerror=top.hacked=1>"\' onmouseover="top.hacked=1\u202e'
HOSTILE += "x" * 9000
WHY = DecisionContext("ada", "the one before was better")
MANY = 150

REGRESSION = """
from sklearn.linear_model import LinearRegression
def build(parameters):
    return LinearRegression()
def plots(estimator, frame, target):
    return {"a curve": {"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 4.0]}, "a table": {"rows": len(frame)}}
"""
CLASSIFIER = """
from sklearn.linear_model import LogisticRegression
from bulkhead.columns import category, date, number
PROBLEM = "binary"
TARGET = "left"
POSITIVE = "yes"
COLUMNS = {"age": number(missing=True), "plan": category(), "joined": date()}
def transform(frame):
    return frame.assign(age=frame["age"].fillna(0), plan=(frame["plan"] == "basic").astype(float),
        joined=frame["joined"].astype("int64") / 1e18)
def build(parameters):
    return LogisticRegression()
"""


class SteppedProject:
    """A project whose steps ran in this process."""

    def __init__(self, folder: Path) -> None:
        quiet: Any = SimpleNamespace(readouterr=lambda: SimpleNamespace(out="", err=""))
        self.project = Project(folder, quiet)
        self.registry = self.project.registry
        self.regressions: list[ModelRecord] = []
        self.classifiers: list[ModelRecord] = []

    def train(self, name: str, source: str, environment: str = "dev") -> ModelRecord:
        where = ("--name", name, "--environment", environment)
        self.project.done("trainer", "preprocessing", *where, "--source", source)
        self.project.done("trainer", "train_model", *where, "--test-fraction", "0.3")
        return self.registry.latest(environment, name)

    def infer(self, name: str, source: str, environment: str = "dev") -> None:
        where = ("--name", name, "--environment", environment)
        self.project.done("inference", "generate_inf_data", *where, "--source", source)
        self.project.done("inference", "preprocess_inf_data", *where)
        self.project.done("inference", "model_inference", *where)

    def offsets(self) -> list[int]:
        """Where the records of ``log_inference.txt`` begin."""
        found, at = [], 0
        for line in self.registry.inference_journal.read_bytes().splitlines(keepends=True):
            found.append(at)
            at += len(line)
        return found


def numbers(rows: int, shift: float = 0.0) -> str:
    draw = random.Random(rows + shift)  # noqa: S311  # no secret
    lines = []
    for _ in range(rows):
        a, b = draw.gauss(shift, 1), draw.gauss(0, 1)
        lines.append(f"{a:.6f},{b:.6f},{a + 2 * b + draw.gauss(0, 0.5):.6f}\n")
    return "a,b,target\n" + "".join(lines)


def customers(rows: int, oldest: int = 80) -> str:
    draw = random.Random(rows + oldest)  # noqa: S311  # as above
    lines = []
    for at in range(rows):
        age, plan = draw.uniform(18, oldest), draw.choice(["basic", "gold", "a plan with a rather long name"])
        left = "yes" if age + draw.gauss(0, 10) > 50 else "no"
        shown = "" if at % 9 == 4 else f"{age:.1f}"
        lines.append(f"{shown},{plan},20{at % 20 + 10}-0{at % 9 + 1}-1{at % 10},{left}\n")
    return "age,plan,joined,left\n" + "".join(lines)


def fill(folder: Path) -> SteppedProject:
    """The project in ``folder``: trained, promoted, rolled back, used, noted; with a hostile record of each kind."""
    made = SteppedProject(folder)
    project = made.project
    with pytest.MonkeyPatch.context() as patch, own_project(folder / "own") as code:
        for variable in [name for name in os.environ if name.startswith("BULKHEAD_")]:
            patch.delenv(variable)
        for name, place in (("SHARED", project.shared), ("MODELS", project.models), ("INPUTS", project.inputs)):
            patch.setattr(paths, name, str(place))
        umask = os.umask(0o022)
        code.put("model.py", REGRESSION)
        code.put("churn.py", CLASSIFIER)
        project.put("numbers.csv", numbers(300))
        project.put("shifted.csv", numbers(300, 4))
        project.put("customers.csv", customers(400))
        project.put("older.csv", customers(300, 200))
        for environment in ("dev", "prd", "dev"):
            made.regressions.append(made.train("model", "numbers.csv", environment))
        made.classifiers += [made.train("churn", "customers.csv") for _ in range(2)]
        for source in ("numbers.csv", "shifted.csv"):
            made.infer("model", source)
        for source in ("customers.csv", "older.csv"):
            made.infer("churn", source)
        project.trainer("preprocessing", "--source", "nowhere.csv")
        project.inference("generate_inf_data", "--source", "nowhere.csv")
        os.umask(umask)
    _decide(made)
    _many(made)
    _hostile(made)
    return made


def _decide(made: SteppedProject) -> None:
    first, _, last = made.regressions
    promotion = Promotion(
        promotion_time=clock.in_record(clock.now()), origin="dev", replaces=made.regressions[1].model_filename,
        by="grace", requested_by="ada", reason="better on every row",
    )  # fmt: skip
    promoted = msgspec.structs.replace(first, environment="prd", promotion=promotion)
    journal.append(made.registry.training_journal, promoted)
    decisions.roll_back(made.registry, "dev", WHY, None)
    decisions.revoke(made.registry, made.classifiers[0].model_filename, WHY)
    noted = "the table of June was <b>not</b> in it"
    annotating.note(made.registry, last.model_filename, "ada", noted, Identity())
    annotating.tag(made.registry, last.model_filename, "ada", "stage", "a candidate for the autumn", Identity())


def _many(made: SteppedProject) -> None:
    """So many versions of a third model that a picture shows their range; they have records, and no files."""
    one = made.regressions[0]
    for number in range(MANY):
        stamp = f"2026{number // 28 % 12 + 1:02}{number % 28 + 1:02}T000000000000Z"
        changes = {
            "model_name": "demand",
            "model_filename": f"model_{stamp}_{number:032x}.joblib",
            "model_hash": f"{number:032x}",
            "version": number + 1,
            "training_timestamp": f"2026-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}T00:00:00.000000+00:00",
            "metrics": {"r2": 0.5 + (number * 37 % 100) / 300, "rmse": 1.0 + number / 100},
        }
        journal.append(made.registry.training_journal, msgspec.structs.replace(one, **changes))


def _hostile(made: SteppedProject) -> None:
    """Lines that a hand has written, in which every text is hostile."""
    identity = {"dag_id": HOSTILE, "run_id": HOSTILE, "task_id": HOSTILE}
    column = {"kind": "category", "rows": 9, "categories": [HOSTILE, "b"], "shares": [0.5, 0.25, 0.25]}
    model = {
        "model_hash": HOSTILE, "model_filename": "model_hostile.joblib", "training_timestamp": HOSTILE,
        "environment": HOSTILE, "metrics": {HOSTILE: HOSTILE, "r2": 1e308}, "parameters": {HOSTILE: HOSTILE},
        "image": HOSTILE, "features": [HOSTILE], "target": HOSTILE, "coefficients": {HOSTILE: 1e308},
        "plots": {HOSTILE: {HOSTILE: [HOSTILE] * 9}}, "profile": {"rows": 9, "columns": {HOSTILE: column}},
        "evaluation": {"rows": 4, "confusion": {"classes": [HOSTILE] * 9, "counts": [[10**14] * 9] * 9}}, **identity,
    }  # fmt: skip
    failed = {"error_timestamp": HOSTILE, "detail": HOSTILE, "cause": HOSTILE, "environment": HOSTILE, **identity}
    drift = {"rows": 9, "sampled": 9, "columns": {HOSTILE: 1e300}, "shares": {HOSTILE: [1.0, 0, 0, 0]}, "limit": 0.2}
    used = {
        "inference_time": HOSTILE, "environment": HOSTILE, "inference_data": HOSTILE, "source": HOSTILE,
        "model_used": "model_hostile.joblib", "predictions": HOSTILE, "drift": drift | {"drifted": [HOSTILE]},
        **identity,
    }  # fmt: skip
    for path, records in (
        (made.registry.training_journal, [model, failed]),
        (made.registry.inference_journal, [used]),
    ):
        with path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
