"""Which customers leave, by LightGBM: a library of its own, with a library of Debian's below it."""

import pandas as pd
from lightgbm import LGBMClassifier

from bulkhead.columns import boolean, category, date, identifier, number, text
from project.parameters import Parameters

TARGET = "churned"
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


def transform(frame: pd.DataFrame) -> pd.DataFrame:
    """A date as the days since then: estimators take no dates."""
    return frame.assign(days=(pd.Timestamp("2026-11-01") - frame["signed_up"]).dt.days).drop(columns="signed_up")


def build(parameters: Parameters) -> LGBMClassifier:
    """Gradient-boosted trees, which take categories and empty cells as they are."""
    return LGBMClassifier(n_estimators=100, random_state=parameters.seed, deterministic=True, verbosity=-1)
