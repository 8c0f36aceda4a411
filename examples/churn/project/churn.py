"""Which customers leave: a classifier over numbers, categories, a truth value and a date, some cells empty."""

import numpy as np
import pandas as pd
from project.churn_parameters import Parameters
from sklearn.calibration import calibration_curve
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from bulkhead.columns import boolean, category, date, identifier, number, text
from bulkhead.scoring import maximize, minimize

TARGET = "churned"
PROBLEM = "binary"
POSITIVE = "yes"

COLUMNS = {
    "customer": identifier(),
    "plan": category(),
    "region": category(missing=True),
    "autopay": boolean(),
    "signed_up": date(),
    "monthly": number(missing=True),
    "visits": number(),
    "notes": text(),
}

METRICS = {
    "roc_auc": maximize(roc_auc_score, response="predict_proba"),
    "average_precision": maximize(average_precision_score, response="predict_proba"),
    "log_loss": minimize(log_loss, response="predict_proba"),
}

_TODAY = pd.Timestamp("2026-11-01")


def check(frame: pd.DataFrame) -> list[str]:
    """What is wrong with a table, beyond what its columns are: a sentence each."""
    negative = np.flatnonzero(frame["monthly"].to_numpy() < 0)
    return [f"column 'monthly', row {row + 1}: a fee cannot be negative. Fix the cell." for row in negative[:1]]


def transform(frame: pd.DataFrame) -> pd.DataFrame:
    """A date as the days since then: estimators take no dates."""
    return frame.assign(days=(_TODAY - frame["signed_up"]).dt.days).drop(columns="signed_up")


def build(parameters: Parameters) -> HistGradientBoostingClassifier:
    """Gradient-boosted trees, which take categories and empty cells as they are."""
    return HistGradientBoostingClassifier(
        learning_rate=parameters.learning_rate, max_leaf_nodes=parameters.leaves, random_state=parameters.seed
    )


def plots(estimator: HistGradientBoostingClassifier, frame: pd.DataFrame, target: pd.Series) -> dict[str, object]:
    """How often customers left whom the model gave a probability, on the held-out rows."""
    positive = list(estimator.classes_).index(POSITIVE)
    observed, predicted = calibration_curve(target == POSITIVE, estimator.predict_proba(frame)[:, positive], n_bins=10)
    return {"calibration": {"predicted": predicted, "observed": observed}}
