"""The forms that start pipelines, and what is made of what they say."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta
from tests.dags.without_airflow import load

from bulkhead import project_models
from bulkhead.errors import Refused
from bulkhead.parameters import TrainingParameters, fields_of

forms = load("forms")


class Shade(enum.Enum):
    LIGHT = "light"
    DARK = "dark"


class Trees(TrainingParameters, frozen=True):
    """As many kinds of fields as a form can hold."""

    depth: Annotated[int, Meta(ge=1, le=20, title="Depth", description="How deep.")] = 3
    share: Annotated[float, Meta(gt=0)] | None = None
    criterion: Literal["gini", "entropy"] = "gini"
    shade: Shade = Shade.DARK
    maybe: Literal["a", "b"] | None = None
    either: int | float = 1
    balanced: bool = False
    note: Annotated[str, Meta(max_length=20)] = "none"


@pytest.fixture
def trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model ``trees`` has parameters of its own, every other those that come with the project."""
    real = project_models.parameters_of
    monkeypatch.setattr(project_models, "parameters_of", lambda name: Trees if name == "trees" else real(name))


def form(environment: str, name: str) -> dict[str, Any]:
    return dict(forms.training(environment, name, forms.source_field(environment, scheduled=False)))


@pytest.mark.usefixtures("trees")
def test_two_models_have_two_forms() -> None:
    own = [*(field.name for field in fields_of(Trees))]
    assert list(form("dev", "model")) == ["source", "target", "features", "test_fraction", "seed", "serve"]
    assert list(form("dev", "trees")) == ["source", "target", "features", *own, "serve"]
    assert list(form("prd", "model"))[-3:] == ["serve", "allow_unmeasured", "allow_signature_change"]


@pytest.mark.usefixtures("trees")
def test_each_field_is_what_its_type_says() -> None:
    made = form("prd", "trees")
    told = {name: {key: made[name].get(key) for key in ("type", "default", "enum")} for name in made}
    assert made["depth"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 20,
        "default": 3,
        "title": "Depth",
        "description": "How deep.",
    }
    assert told["share"] == {"type": ["null", "number"], "default": None, "enum": None}
    assert made["share"]["exclusiveMinimum"] == 0
    assert told["criterion"] == {"type": "string", "default": "gini", "enum": ["entropy", "gini"]}
    assert told["shade"] == {"type": "string", "default": "dark", "enum": ["dark", "light"]}
    assert told["maybe"] == {"type": ["null", "string"], "default": None, "enum": ["a", "b", None]}
    assert told["either"]["type"] == ["number"]
    assert told["balanced"] == {"type": "boolean", "default": False, "enum": None}
    assert made["note"]["maxLength"] == 20
    assert all(field["title"] and field["description"] for field in made.values())


@pytest.mark.usefixtures("trees")
def test_each_field_is_a_flag() -> None:
    flags = forms.training_flags("prd", "trees")
    assert flags["depth"] == "{{ word(params['depth']) }}"
    assert set(flags) == {*(field.flag for field in fields_of(Trees)), "serve", "allow-unmeasured"} | {
        "allow-signature-change"
    }
    assert set(forms.training_flags("dev", "model")) == {"test-fraction", "seed", "serve"}


def test_a_parameter_that_has_the_name_of_a_field_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bad(TrainingParameters, frozen=True):
        source: str = "x"

    monkeypatch.setattr(project_models, "parameters_of", lambda _: Bad)
    with pytest.raises(Refused, match="the parameter source has a name that the trigger form uses already"):
        form("dev", "trees")


@pytest.mark.parametrize(
    ("value", "flag"), [(None, "null"), (True, "true"), (False, "false"), (0.2, "0.2"), (3, "3"), ("True", "True")]
)
def test_a_value_is_a_word_of_a_command_line(value: Any, flag: str) -> None:
    assert forms.word(value) == flag


@pytest.mark.parametrize(
    ("serve", "run_type", "is_served"),
    [
        (None, "manual", True),
        (None, "scheduled", True),
        (None, "asset_triggered", True),
        (None, "backfill", False),
        (True, "backfill", True),
        (False, "manual", False),
    ],
)
def test_a_backfill_is_not_served_unless_its_form_says_so(
    *, serve: bool | None, run_type: str, is_served: bool
) -> None:
    assert forms.is_served(serve, run_type) is is_served


def test_a_key_that_the_dag_does_not_know_is_named_and_so_are_those_that_it_knows() -> None:
    known = {"source": 1, "target": 2}
    assert forms.unknown_keys(None, known) is None
    assert forms.unknown_keys({}, known) is None
    assert forms.unknown_keys({"source": "x"}, known) is None
    said = forms.unknown_keys({"sorce": "x", "source": "y"}, known)
    assert (
        said == "the conf of this run has 'sorce', which its DAG does not know. Trigger it with any of: source, target."
    )
    assert len(str(forms.unknown_keys({"x" * 10_000: 1, **{str(n): n for n in range(500)}}, known))) < 500


@pytest.mark.parametrize(
    ("environment", "scheduled", "pattern", "default", "is_required"),
    [
        ("dev", False, None, "sample", False),
        ("dev", True, None, "sample", False),
        ("dev", True, "{day}.csv", None, False),
        ("prd", False, None, None, True),
        ("prd", True, None, None, False),
        ("prd", True, "{day}.csv", None, False),
    ],
)
def test_the_sample_is_the_first_environments_alone(
    *, environment: str, scheduled: bool, pattern: str | None, default: str | None, is_required: bool
) -> None:
    field = forms.source_field(environment, scheduled=scheduled, pattern=pattern)
    assert field.get("default") == default
    assert ("default" not in field) is is_required
    assert field["maxLength"] == 500
