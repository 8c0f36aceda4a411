"""What models of before ``project/`` were trained on: the transformation as it came with the project then.

Their files hold the estimator alone, and records have the fingerprint of that file. They are served as long as they are
not replaced, so what the file did is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def transformed(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with ``feature1`` doubled, where there is one."""
    return frame.assign(feature1=frame["feature1"] * 2) if "feature1" in frame else frame
