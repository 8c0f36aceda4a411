"""What churn promises, without a container: just test-project."""

import pandas as pd
from project.churn_parameters import Parameters

from project import churn


def test_a_negative_fee_is_told_with_its_row() -> None:
    frame = pd.DataFrame({"monthly": [10.0, None, -1.0]})
    assert churn.check(frame) == ["column 'monthly', row 3: a fee cannot be negative. Fix the cell."]


def test_the_date_becomes_days() -> None:
    frame = pd.DataFrame({"signed_up": pd.to_datetime(["2026-10-31", "2025-11-01"])})
    assert list(churn.transform(frame)["days"]) == [1, 365]


def test_the_parameters_reach_the_estimator() -> None:
    assert churn.build(Parameters(leaves=7)).max_leaf_nodes == 7
