"""What models of before ``project/`` were trained on: the transformation as it came with the project then.

Their files hold the estimator alone, and records have the fingerprint of that file. They are served as long as they are
not replaced, so what the file did is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bulkhead.errors import Refused

if TYPE_CHECKING:
    from modeling.definition import Definition

_PROBES = 20


def transformed(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with ``feature1`` doubled, where there is one."""
    return frame.assign(feature1=frame["feature1"] * 2) if "feature1" in frame else frame


def is_alike(definition: Definition, features: list[str], example: dict[str, Any]) -> bool:
    """Whether the model's own ``transform`` does what the older one did, as far as some rows show.

    Args:
        definition: the model.
        features: the columns, all numbers.
        example: a row of its training; the others are drawn around it.
    """
    row = np.array([float(example[name]) for name in features])
    factors = np.random.default_rng(0).uniform(0.5, 2, size=(_PROBES, len(row)))
    factors[0] = 1
    frame = pd.DataFrame(row * factors + (factors - 1), columns=features)
    try:
        found = definition.transformed(frame, may_be_empty=False)
    except Refused:
        return False
    expected = transformed(frame)
    return list(found.columns) == list(expected.columns) and np.array_equal(found.to_numpy(), expected.to_numpy())
