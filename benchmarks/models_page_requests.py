"""What the Models page takes at 10,000 models and 1,000,000 inferences, beside 100 and 1,000: prints the ratios.

Then how long a server takes to read 10,000 models into memory, narrow and wide (a thousand features each), and how long
somebody waits for an answer meanwhile.

Both registries are generated, and asked in turn in one run, so that whatever else the machine does hits both.
In this process, without Airflow's login; compressed and sent, as a browser has it.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from bulkhead.index import Index
from bulkhead.index.state_reader import StateReader

if TYPE_CHECKING:
    from starlette.requests import Request

SMALL, LARGE = (100, 1_000), (10_000, 1_000_000)
ROUNDS = 15
WIDE = 1_000
START = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = 0.2


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        small = stack.enter_context(served(folder / "small", *SMALL))
        large = stack.enter_context(served(folder / "large", *LARGE))
        compare(small, large)
        print()
        load(folder / "large", "narrow")
        wide = folder / "wide"
        wide.mkdir()
        generate(wide, LARGE[0], 0, features=WIDE)
        load(wide, "wide")


def load(folder: Path, name: str) -> None:
    """Read ``log.txt`` as a server does that has just been started, and ask for answers all the while."""
    reader = StateReader(folder)
    started = time.perf_counter()
    slowest = 0.0
    while True:
        asked = time.perf_counter()
        percent = reader.refresh()
        slowest = max(slowest, time.perf_counter() - asked)
        if percent == 100:
            break
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    size = (folder / "log.txt").stat().st_size
    print(
        f"{LARGE[0]:,} {name} models, {size / 1e6:,.0f} MB, in memory after {seconds:.2f} s;"
        f" the longest wait meanwhile {1e3 * slowest:.0f} ms"
    )


def served(folder: Path, models: int, inferences: int) -> TestClient:
    """The page of a generated registry, indexed; says how long that took."""
    from models_page.app import create_app
    from models_page.login import Visitor

    class Everybody:
        async def visitor(self, request: Request) -> Visitor:  # noqa: ARG002  # everybody may
            return Visitor("everybody", may_read=lambda _dag_id: True, may_trigger=lambda _dag_id: True)

    folder.mkdir()
    generate(folder, models, inferences)
    started = time.perf_counter()
    Index(folder, folder).wait()
    seconds = time.perf_counter() - started
    (index,) = folder.glob("*.sqlite")
    logs = sum(log.stat().st_size for log in folder.glob("log*.txt"))
    print(
        f"{models:>9,} models, {inferences:>9,} inferences: {logs / 1e6:8.1f} MB of logs"
        f" indexed in {seconds:5.1f} s, {index.stat().st_size / 1e6:6.1f} MB"
    )
    client = TestClient(create_app(folder, folder, Everybody(), folder))
    while client.get("/api/v1/models").status_code != 200:  # the state of a large log is read by a thread
        time.sleep(0.01)
    return client


def compare(small: TestClient, large: TestClient) -> None:
    """Ask both for the same, in turn."""
    print(f"\n{'median of ' + str(ROUNDS) + ', ms':46} {'small':>8} {'large':>8} {'worst':>8} {'ratio':>7}")
    worst = 0.0
    for name, path in questions().items():
        times: dict[TestClient, list[float]] = {small: [], large: []}
        for _ in range(ROUNDS):
            for client, taken in times.items():
                asked = path.format(**names(client))
                started = time.perf_counter()
                answer = client.get(asked)
                taken.append(time.perf_counter() - started)
                assert answer.status_code == 200, answer.text
        little, much = (statistics.median(taken) for taken in times.values())
        worst = max(worst, much)
        print(f"{name:46} {1e3 * little:8.1f} {1e3 * much:8.1f} {1e3 * max(times[large]):8.1f} {much / little:7.2f}")
    print(f"\nslowest median {1e3 * worst:.0f} ms; the budget is {1e3 * BUDGET:.0f} ms")


def questions() -> dict[str, str]:
    """By name, a path."""
    half = "since={middle}"
    return {
        "page: models": "/",
        "page: models of prd": "/?environment=prd",
        "page: models, the last page": "/?cursor=50",
        "page: models, searched": "/?search=t.csv",
        "page: models, served": "/?state=served",
        "page: models missing, by metric": "/?state=missing&metric=r2%3E%3D0.5&sort=-r2",
        "page: models by inferences": "/?sort=-inferences",
        "page: models with a tag": "/?tag=owner%3Dada",
        "page: one model": "/models/{model}",
        "page: one model by its short name": "/models/model%20%237",
        "page: two models": "/compare?version={model}&version=model%20%233",
        "page: a promotion": "/promote/prd/{model}",
        "page: inferences": "/inferences",
        "page: inferences, an old page": "/inferences?cursor={old}.inference.1000",
        "page: inferences, the oldest first": "/inferences?sort=time",
        "page: inferences of one table": "/inferences?source=t.csv",
        "page: drifted inferences of prd": "/inferences?environment=prd&outcome=drifted",
        "page: one inference": "/inferences/{inference}",
        "page: inferences of one model": "/inferences?model={model}",
        "page: failed inferences of prd": "/inferences?environment=prd&outcome=failed",
        "page: inferences of one run": "/inferences?run_id={run}",
        "page: inferences of half the time": f"/inferences?{half}",
        "page: failed, killed, prd, half the time": f"/inferences?environment=prd&cause=killed&{half}",
        "page: failures": "/failures",
        "page: health": "/health",
        "page: verify": "/verify",
        "api: models, 500 of them": "/api/v1/models?limit=500",
        "api: inferences": "/api/v1/inferences",
        "api: metrics of every model": "/api/v1/metrics",
    }


def names(client: TestClient, known: dict[TestClient, dict[str, str]] = {}) -> dict[str, str]:  # noqa: B006  # a cache
    """What is put into the paths."""
    if client not in known:
        model = client.get("/api/v1/models?limit=7").json()["models"][-1]["model_filename"]
        newest = client.get("/api/v1/inferences?limit=1").json()["inferences"][0]
        oldest_of_all = int(START.timestamp() * 1e6)
        end = datetime.fromisoformat(newest["at"]).replace(tzinfo=UTC)
        middle = START + (end - START) / 2
        known[client] = {
            "model": model,
            "inference": str(newest["offset"]),
            "run": newest["record"]["run_id"].replace("+", "%2B"),
            "old": str(oldest_of_all + int((end - START).total_seconds() * 1e5)),
            "middle": f"{middle:%Y-%m-%dT%H:%M:%S}",
        }
    return known[client]


def generate(folder: Path, models: int, inferences: int, features: int = 3) -> None:
    """The two logs, as the steps would have written them."""
    chance = random.Random(7)  # noqa: S311  # the same registry each time
    published: list[tuple[str, str, str]] = []
    columns = [f"feature_number_{number:04}" for number in range(features)]
    with (folder / "log.txt").open("w") as file:
        for number in range(models):
            moment = START + timedelta(minutes=20 * number)
            environment = "prd" if number % 3 == 0 else "dev"
            model_hash = f"{chance.getrandbits(128):032x}"
            name = f"model_{moment:%Y%m%dT%H%M%S%fZ}_{model_hash}.joblib"
            published.append((name, environment, model_hash))
            r2 = 0.3 + 0.4 * number / models + chance.gauss(0, 0.05)
            write(file, {"model_hash": model_hash, "model_filename": name, "training_timestamp": stamp(moment),
                         "environment": environment, "sha256": "c" * 64, "size_bytes": 1069,
                         **attempt(environment, "train_model", "train_model", moment),
                         "features": columns, "dtypes": dict.fromkeys(columns, "double"), "target": "target",
                         "input_example": dict.fromkeys(columns, 0.0380759064334241),
                         "coefficients": dict.fromkeys(columns, -235.48899652),
                         "data": {"path": "shared/inputs/t.csv", "sha256": f"{number // 50:064x}", "rows": 442,
                                  "source": "t.csv"},
                         "libraries": {"python": "3.13.5", "scikit-learn": "1.9.1", "numpy": "2.5.5"},
                         "parameters": {"test_fraction": 0.2, "seed": number},
                         "metrics": {"r2": r2, "rmse": 80 - 60 * r2, "mae": 46.1},
                         "profile": profile(columns[:300]), "evaluation": EVALUATION})  # fmt: skip
            if number % 10 == 3:
                write(file, {"tag_time": stamp(moment), "model_filename": name, "by": "ada", "tag_key": "owner",
                             "value": chance.choice(["ada", "grace"])})  # fmt: skip
                write(file, {"note_time": stamp(moment), "model_filename": name, "by": "ada",
                             "text": f"trained after change {number} of the prices"})  # fmt: skip
            if number % 11 == 5:
                write(file, {"error_timestamp": stamp(moment), "detail": "row 2: 'n/a' is not a number.",
                             "environment": environment, "step": "preprocessing", "cause": "refused",
                             **attempt(environment, "train_model", "preprocessing", moment)})  # fmt: skip
    with (folder / "log_inference.txt").open("w") as file:
        for number in range(inferences):
            moment = START + timedelta(seconds=number * models * 1200 / inferences)
            name, environment, model_hash = published[number * models // inferences]
            identity = attempt(environment, "inference_pipe", "model_inference", moment)
            if number % 50 == 7:
                write(file, {"error_time": stamp(moment), "error_message": "killed, exit code 137.",
                             "environment": environment, "step": "model_inference",
                             "cause": chance.choice(["killed", "refused"]), **identity})  # fmt: skip
            else:
                write(file, {"inference_time": stamp(moment), "environment": environment,
                             "inference_data": "shared/inputs/t.csv", "model_used": name,
                             "predictions": [chance.random() for _ in range(10)], "model_hash": model_hash,
                             "model_sha256": "c" * 64, "predictions_path": f"shared/runs/r/{number}.parquet",
                             "source": "t.csv", "drift": drift(chance.random()),
                             "rows": 10, "input_sha256": "d" * 64, "output_sha256": "e" * 64, **identity})  # fmt: skip


EDGES = [round(-0.1 + 0.02 * number, 6) for number in range(9)]
EVALUATION = {
    "rows": 89,
    "scatter": {name: [25 + 3.7 * number for number in range(89)] for name in ("actual", "predicted")},
    "residuals": {"edges": [-150.0 + 15 * number for number in range(21)], "counts": [4.0] * 20},
}


def profile(columns: list[str]) -> dict[str, Any]:
    column = {"kind": "number", "rows": 442, "shares": [0.1] * 10, "edges": EDGES, "low": -0.2, "high": 0.2}
    return {"rows": 442, "columns": dict.fromkeys(columns, column), "predictions": column}


def drift(greatest: float) -> dict[str, Any]:
    columns = {"feature_number_0000": greatest / 3, "feature_number_0001": 0.02, "feature_number_0002": 0.01}
    drifted = [name for name, psi in columns.items() if psi > 0.25]
    shares = dict.fromkeys(["prediction", *drifted], [0.1] * 10 + [0.0])
    return {"rows": 10, "sampled": 10, "columns": columns, "predictions": 0.05, "chance": 0.2, "shares": shares,
            "drifted": drifted, "limit": 0.25}  # fmt: skip


def attempt(environment: str, pipeline: str, task: str, moment: datetime) -> dict[str, Any]:
    return {
        "dag_id": f"{environment}_{pipeline}_dag", "run_id": f"manual__{stamp(moment)}", "task_id": task,
        "try_number": 1, "map_index": -1, "image": f"bulkhead/trainer@sha256:{'a' * 64}", "git_commit": "b" * 40,
    }  # fmt: skip


def stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def write(file: Any, record: dict[str, Any]) -> None:
    file.write(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
