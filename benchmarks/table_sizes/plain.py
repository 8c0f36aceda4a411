"""What a person would write instead of the steps: ``plain.py WHAT TABLE``, run in the trainer image.

Prints a JSON object: the seconds of its work, without the imports, the processors' seconds, and its peak memory in
MiB. Knows nothing of Bulkhead, and leaves what it makes in /shared.
"""

import json
import resource
import sys
import time
from importlib import import_module

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import train_test_split

MODEL = "/shared/model.joblib"


def read(path: str) -> pd.DataFrame:
    return pd.read_csv(path) if path.endswith(".csv") else pd.read_parquet(path)


def training(path: str) -> None:
    frame = read(path)
    features, target = frame.drop(columns="target"), frame["target"]
    train, test, train_target, test_target = train_test_split(features, target, test_size=0.2, random_state=0)
    model = LinearRegression().fit(train, train_target)
    predicted = model.predict(test)
    r2 = r2_score(test_target, predicted)
    rmse = np.sqrt(mean_squared_error(test_target, predicted))
    mae = mean_absolute_error(test_target, predicted)
    print(f"r2 {r2}, rmse {rmse}, mae {mae}", file=sys.stderr)
    joblib.dump(model, MODEL)


def inference(path: str) -> None:
    model = joblib.load(MODEL)
    frame = read(path).drop(columns="target")
    pd.DataFrame({"prediction": model.predict(frame)}).to_parquet("/shared/predictions.parquet")


def customers(path: str) -> tuple[pd.DataFrame, pd.Series]:
    frame = pd.read_csv(path, parse_dates=["signed_up"], dtype={"plan": "category", "region": "category"})
    frame["days"] = (pd.Timestamp("2026-11-01") - frame["signed_up"]).dt.days
    frame["autopay"] = frame["autopay"] == "yes"
    return frame.drop(columns=["customer", "notes", "signed_up", "churned"]), frame["churned"]


def classify(model: object, path: str) -> None:
    features, target = customers(path)
    train, test, train_target, test_target = train_test_split(features, target, test_size=0.2, random_state=0)
    model.fit(train, train_target)  # type: ignore[attr-defined]  # any classifier
    probabilities = model.predict_proba(test)[:, 1]  # type: ignore[attr-defined]  # as well
    scores = [measure(test_target == "yes", probabilities) for measure in (roc_auc_score, average_precision_score)]
    loss = log_loss(test_target, probabilities)
    accuracy = accuracy_score(test_target == "yes", probabilities > 0.5)
    print(f"roc_auc and average precision {scores}, log loss {loss}, accuracy {accuracy}", file=sys.stderr)
    joblib.dump(model, MODEL)


def churn(path: str) -> None:
    classify(HistGradientBoostingClassifier(random_state=0), path)


def churn_lightgbm(path: str) -> None:
    classify(
        import_module("lightgbm").LGBMClassifier(n_estimators=100, random_state=0, deterministic=True, verbosity=-1),
        path,
    )


WORK = {one.__name__: one for one in (training, inference, churn, churn_lightgbm)}

if __name__ == "__main__":
    what, table = sys.argv[1:]
    if what == "churn_lightgbm":
        import_module("lightgbm")  # no part of the work, as what is imported above
    begun, processor = time.monotonic(), time.process_time()
    WORK[what](table)
    took = {"seconds": time.monotonic() - begun, "processor": time.process_time() - processor}
    print(json.dumps({**took, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
