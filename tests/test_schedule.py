"""``project/schedule.toml``: when pipelines run by themselves, and each mistake with its table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bulkhead import schedule
from bulkhead.errors import Refused

NAMES = ["model", "churn"]
GOOD = """
[prd.model.train_model]
cron = "0 3 * * *"
source = "{year}-{month}-{day}.csv"

[prd.model.inference_pipe]
asset = "prd_models"
source = "customers.csv"

[prd.churn.inference_pipe]
asset = "prd_churn_models"
source = "in/{year}/{month}/{day}T{hour}.parquet"

[dev.churn.train_model]
cron = "@daily"
"""


def test_a_good_file_is_read() -> None:
    found = schedule.decoded(GOOD, NAMES)
    assert list(found) == [
        ("prd", "model", "train_model"),
        ("prd", "model", "inference_pipe"),
        ("prd", "churn", "inference_pipe"),
        ("dev", "churn", "train_model"),
    ]
    training = found["prd", "model", "train_model"]
    assert (training.cron, training.asset) == ("0 3 * * *", None)
    assert found["prd", "churn", "inference_pipe"].asset == "prd_churn_models"
    assert found["dev", "churn", "train_model"].source is None


def test_the_file_that_comes_with_the_project_schedules_nothing() -> None:
    assert schedule.read() == {}


def test_a_source_is_of_the_runs_date_in_utc_with_two_digits() -> None:
    moment = datetime(2026, 3, 4, 5, 59, tzinfo=UTC)
    assert schedule.source_at("{year}/{month}-{day}T{hour}.csv", moment) == "2026/03-04T05.csv"
    assert schedule.source_at("{hour}.csv", moment.astimezone(timezone(timedelta(hours=9)))) == "05.csv"
    assert schedule.source_at("plain.csv", moment) == "plain.csv"


def table(text: str, name: str = "prd.model.train_model") -> str:
    return f"[{name}]\n{text}\n"


WHOLE = 'cron = "0 3 * * *"\nsource = "a.csv"'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            table(WHOLE, "staging.model.train_model"),
            r"table staging: there is no environment 'staging'. Name one of: dev, ",
        ),
        (table(WHOLE, "prd.other.train_model"), r"table prd.other: there is no model of project/ 'other'"),
        (
            table(WHOLE, "prd.model.train"),
            r"table prd.model.train: there is no pipeline 'train'. Name one of: train_model",
        ),
        (table(f"{WHOLE}\nsorce = 'x'"), r"table prd.model.train_model: there is no key 'sorce'. Name one of: cron"),
        (table(f"{WHOLE}\nasset = 'prd_models'"), r"table prd.model.train_model: it has both cron and asset"),
        (table("source = 'a.csv'"), r"table prd.model.train_model: it has neither cron nor asset"),
        (table("cron = '0 3 * * *'"), r"table prd.model.train_model: it has no source. Only dev has a sample"),
        (
            table("cron = '0 3 * * *'\nsource = '{minute}.csv'"),
            r"source has a field \{minute\}. Use \{year\}, \{month\}",
        ),
        (table("cron = '0 3 * * *'\nsource = '{day:03}.csv'"), r"source has a field \{day\}. Use"),
        (table("cron = '0 3 * * *'\nsource = '{day!r}.csv'"), r"source has a field \{day\}. Use"),
        (table("cron = '0 3 * * *'\nsource = '{day.real}.csv'"), r"source has a field \{day.real\}. Use"),
        (table("cron = '0 3 * * *'\nsource = '{}.csv'"), r"source has a field \{\}. Use"),
        (table("cron = '0 3 * * *'\nsource = '{day.csv'"), r"source is '\{day.csv': .*Close each brace"),
        (table("cron = '0 3 * * *'\nsource = ''"), r"source has 0 characters"),
        (table(f"cron = '0 3 * * *'\nsource = '{'x' * 501}'"), r"source has 501 characters"),
        (table("cron = 'at night'\nsource = 'a.csv'"), r"cron is 'at night'. Give five fields"),
        (table("cron = '* * * * * *'\nsource = 'a.csv'"), r"cron is '\* \* \* \* \* \*'. Give five fields"),
        (table("cron = 3\nsource = 'a.csv'"), r"table prd.model.train_model: Expected `str \| null`, got `int`"),
        (table('cron = "0 25 * * *"\nsource = "a.csv"'), r"cron is '0 25"),
        (table('cron = "99 3 * * *"\nsource = "a.csv"'), r"cron is '99 3"),
        (table('cron = "0 3 1-32 * *"\nsource = "a.csv"'), r"cron is '0 3 1-32"),
        (table(f"{WHOLE}\nstart = 'soon'"), r"table prd.model.train_model: there is no key 'start'"),
        (table("asset = 'prd_model'\nsource = 'a.csv'"), r"there is no asset 'prd_model'. Name one of: dev_models"),
        (table("asset = 'prd_models'\nsource = 'a.csv'"), r"what it publishes starts it again \(prd_models\)"),
        (
            table("asset = 'prd_churn_models'\nsource = 'a.csv'")
            + table("asset = 'prd_models'\nsource = 'a.csv'", "prd.churn.train_model"),
            r"starts it again \(prd_models\). Give one of the circle a cron",
        ),
        ("[prd]\ncron = '0 3 * * *'\n", r"table prd.cron: there is no model of project/ 'cron'"),
        ("prd = 1\n", r"table prd: it is 1, and no table"),
        ("[prd.model]\ntrain_model = 1\n", r"table prd.model.train_model: it is 1, and no table"),
        ("[prd.model.train_model\n", r"is no TOML"),
    ],
)
def test_each_mistake_is_a_sentence_that_names_the_table(content: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as caught:
        schedule.decoded(content, NAMES)
    assert str(caught.value).startswith("project/schedule.toml")
    assert "\n" not in str(caught.value)
