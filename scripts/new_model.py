"""``just new-model NAME``: begin a model of yours, with its test and its gate. Needs the standard library alone."""

from __future__ import annotations

import keyword
import sys
import tomllib

# First: it puts the packages below on Python's path.
from by_hand import ROOT, fail
from command_line import Parser, one_of

from bulkhead import environments, model_name
from bulkhead.errors import Refused

KINDS = {
    "regression": ("HistGradientBoostingRegressor", "r2", 0.0),
    "binary": ("HistGradientBoostingClassifier", "roc_auc", 0.5),
    "multiclass": ("HistGradientBoostingClassifier", "accuracy", 0.5),
}
"""By problem: an estimator that takes numbers, categories and empty cells; the leading metric, and a limit for it."""

MODEL = '''"""What this model predicts, and from what. docs/your-own-model.md has all that this file may say."""

import pandas as pd
from sklearn.ensemble import {estimator}

from project.parameters import Parameters

TARGET = "{target}"
PROBLEM = "{problem}"

# What the columns are is inferred from training's table. To say it yourself:
#   from bulkhead.columns import boolean, category, date, identifier, number, text
#   COLUMNS = {{"customer": identifier(), "plan": category(), "age": number(missing=True), "*": text()}}


def transform(frame: pd.DataFrame) -> pd.DataFrame:
    """Row by row, in training and inference alike: dates become days, since estimators take no dates."""
    dates = frame.select_dtypes("datetime")
    days = {{name: (dates[name] - pd.Timestamp("2000-01-01")).dt.total_seconds() / 86400 for name in dates}}
    return frame.assign(**days)


def build(parameters: Parameters) -> {estimator}:
    """The estimator, unfitted."""
    return {estimator}(random_state=parameters.seed)
'''

TEST = '''"""What the model {name} promises, without a container: just test-project."""

import pandas as pd

from project import {name}
from project.parameters import Parameters


def test_dates_become_days() -> None:
    frame = pd.DataFrame({{"day": pd.to_datetime(["2000-01-02T00:00", "2000-01-01T12:00"])}})
    assert list({name}.transform(frame)["day"]) == [1.0, 0.5]


def test_it_builds_with_the_default_parameters() -> None:
    assert {name}.build(Parameters()).random_state == 0
'''

EXAMPLE = "For example: just new-model churn --target churned --kind binary"

GATE = """
# {name}, which predicts {target}.
[{environment}.{name}.{metric}]
limit = {limit}
worse_by = 0.05
"""


def main(argv: list[str]) -> int:
    """Make the files; returns the exit code."""
    parser = Parser("new-model", "Begin a model of yours: its file, its test, its gate.")
    parser.add_argument("name", help=model_name.WORDS)
    parser.add_argument("--target", default="target", help="the column to predict (default: target)")
    parser.add_argument(
        "--kind",
        type=one_of("kind", KINDS),
        default="regression",
        help=f"what it is: {', '.join(KINDS)} (default: regression)",
    )
    given = parser.parse_args(argv)
    try:
        name = model_name.checked(given.name)
    except Refused as error:
        fail(str(error), EXAMPLE)
    if keyword.iskeyword(name) or name == "conftest":
        fail(f"{name} is a word of Python's or of pytest's.", EXAMPLE)
    if not given.target.isprintable() or '"' in given.target or "\\" in given.target:
        fail(f"the target {given.target!r} holds quotes or control characters.", "Rename the column, or edit the file.")
    estimator, metric, limit = KINDS[given.kind]
    words = {
        "name": name,
        "target": given.target,
        "problem": given.kind,
        "estimator": estimator,
        "metric": metric,
        "limit": limit,
        "environment": environments.LAST,
    }
    made = {
        ROOT / "project" / f"{name}.py": MODEL.format(**words),
        ROOT / "project" / "tests" / f"test_{name}.py": TEST.format(**words),
    }
    if there := [path for path in made if path.exists()]:
        fail(f"{there[0].relative_to(ROOT)} is there already; nothing was changed.", "Choose another name, or edit it.")
    for path, content in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        print(f"new-model: {path.relative_to(ROOT)}")
    gate = ROOT / "models" / "gate.toml"
    if gate.is_file() and name not in tomllib.loads(gate.read_text()).get(environments.LAST, {}):
        with gate.open("a") as file:
            file.write(GATE.format(**words))
        print(f"new-model: models/gate.toml, [{environments.LAST}.{name}.{metric}]")
    print("new-model: edit the file, then run 'just build-images trainer inference'; its DAGs appear within seconds")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
