"""Who is attacked: the step that this container is, and where its files are."""

import os
import sys

STEP, ATTACK = sys.argv[1], sys.argv[2].partition("=")[2]
SHARED, MODELS = "/shared", "/models"
RESULT = f"{SHARED}/{STEP}.json"
FILE = f"{STEP}.joblib"


def served():
    """The path of a published model."""
    return next(f"{MODELS}/{name}" for name in sorted(os.listdir(MODELS)) if name.startswith("model_"))
