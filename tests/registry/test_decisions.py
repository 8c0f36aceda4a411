"""What decisions see of each other, and of models that are not what they should be."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.registry_project import DECIDED

from bulkhead import environments
from bulkhead.environments import EnvironmentDefinition, checked
from bulkhead.errors import NoModel, OutOfService, Overtaken, Refused
from bulkhead.files import sha256
from bulkhead.maintenance import tree_removal
from bulkhead.maintenance.gc import GarbageCollector, RetentionRule
from bulkhead.registry import decisions, record_lines
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.registry_project import RegistryProject

    from bulkhead.maintenance.tree_removal import Left
    from bulkhead.registry.records import ModelRecord


def passes(_registry: Registry, _record: ModelRecord) -> dict[str, str]:
    """A serving check that every model passes."""
    return {}


def test_a_served_model_that_was_quarantined_is_refused_though_its_file_is_back(clean_project: RegistryProject) -> None:
    model = clean_project.publish("prd")
    path = clean_project.file_of(model)
    good = path.read_bytes()
    clean_project.alter(path)
    assert clean_project.repair()
    path.write_bytes(good)
    with pytest.raises(OutOfService, match="its file was put into models/quarantine"):
        clean_project.registry.latest("prd")
    with pytest.raises(OutOfService, match="its file was put into models/quarantine"):
        clean_project.registry.find(model.model_filename)


def test_a_rollback_sees_what_changed_below_the_served_model(
    clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile somebody else goes back to A, and promotes C again: the top is the same, and B is not below it."""
    first, _ = clean_project.publish("prd"), clean_project.publish("prd")
    third = clean_project.publish("dev")
    decisions.promote(clean_project.registry, third.model_filename, DECIDED, passes)
    look = Registry.check_file

    def slow(registry: Registry, record: ModelRecord) -> None:
        look(registry, record)
        monkeypatch.setattr(Registry, "check_file", look)
        decisions.roll_back(clean_project.registry, "prd", DECIDED, to=first.model_filename)
        decisions.promote(clean_project.registry, third.model_filename, DECIDED, passes)

    monkeypatch.setattr(Registry, "check_file", slow)
    with pytest.raises(Overtaken, match="another decision or training came first"):
        decisions.roll_back(clean_project.registry, "prd", DECIDED)
    assert clean_project.registry.latest("prd").model_filename == third.model_filename
    assert clean_project.verify() == []


def test_a_rollback_sees_that_a_model_on_its_way_was_revoked(
    clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = (clean_project.publish("prd") for _ in range(3))
    look = Registry.check_file

    def slow(registry: Registry, record: ModelRecord) -> None:
        look(registry, record)
        decisions.revoke(clean_project.registry, second.model_filename, DECIDED)

    monkeypatch.setattr(Registry, "check_file", slow)
    with pytest.raises(Overtaken):
        decisions.roll_back(clean_project.registry, "prd", DECIDED, to=first.model_filename)
    assert clean_project.verify() == []


@pytest.mark.parametrize(
    ("r2", "fragment"),
    [
        (-5, "r2 is -5 on the held-out rows, and the limit for prd"),
        (-5.0, "r2 is -5 on the held-out rows, and the limit for prd"),
        ("-5.0", "no number"),
        (True, "no number"),
        ([0.9], "no number"),
    ],
)
def test_an_r2_that_was_edited_into_something_else_passes_no_gate(
    r2: object, fragment: str, clean_project: RegistryProject
) -> None:
    model = clean_project.publish("dev", metrics={"r2": r2})
    with pytest.raises(Refused, match=fragment):
        decisions.promote(clean_project.registry, model.model_filename, DECIDED, passes)


@pytest.fixture
def staging(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment between dev and prd."""
    path = (("dev", None), ("staging", "dev"), ("prd", "staging"))
    defined = checked(*(EnvironmentDefinition(name=name, promotes_from=origin) for name, origin in path))
    monkeypatch.setattr(environments, "ENVIRONMENTS", defined)
    monkeypatch.setattr(environments, "PROMOTED_TO", ("staging", "prd"))


@pytest.mark.usefixtures("staging")
def test_no_environment_of_the_promotion_path_is_passed_over(clean_project: RegistryProject) -> None:
    model = clean_project.publish("dev").model_filename
    with pytest.raises(
        NoModel, match=r"is a dev model, and staging was .*registry promote MODEL --environment staging"
    ):
        decisions.promote(clean_project.registry, model, DECIDED, passes)
    for environment, origin in (("staging", "dev"), ("prd", "staging")):
        promoted = decisions.promote(clean_project.registry, model, DECIDED, passes, environment=environment)
        assert promoted.promotion is not None
        assert (promoted.environment, promoted.promotion.origin) == (environment, origin)
        assert clean_project.registry.latest(environment).model_filename == model
    assert clean_project.verify() == []


@pytest.mark.usefixtures("staging")
def test_a_promotion_to_one_environment_changes_no_other(clean_project: RegistryProject) -> None:
    served = clean_project.registry.latest("prd").model_filename
    decisions.promote(
        clean_project.registry, clean_project.publish("dev").model_filename, DECIDED, passes, environment="staging"
    )
    assert clean_project.registry.latest("prd").model_filename == served


def test_a_promotion_to_an_environment_that_takes_none_is_refused(clean_project: RegistryProject) -> None:
    with pytest.raises(Refused, match="nothing is promoted to dev"):
        decisions.promote(
            clean_project.registry, clean_project.publish("dev").model_filename, DECIDED, passes, environment="dev"
        )


def test_a_promotion_that_says_another_thing_of_its_model_is_found(clean_project: RegistryProject) -> None:
    model = clean_project.publish("dev")
    promoted = decisions.promote(clean_project.registry, model.model_filename, DECIDED, passes)
    assert clean_project.verify() == []
    edited = msgspec.structs.replace(promoted, transformation="0" * 64)
    log = clean_project.registry.training_journal
    log.write_bytes(log.read_bytes().replace(record_lines.encode(promoted)[:-2], record_lines.encode(edited)[:-2]))
    assert clean_project.damage() == ["unfounded_promotion"]


def test_a_run_folder_that_is_used_while_others_are_deleted_stays(
    clean_project: RegistryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        clean_project.infer(clean_project.publish("dev"))
    clean_project.age(60)
    collector = GarbageCollector(clean_project.registry, clean_project.shared, RetentionRule(1, timedelta(days=1)))
    removing = tree_removal.remove
    old = [item.path for item in collector.plan() if item.kind == "run"]
    assert len(old) > 2

    def used_meanwhile(root: Path, relative: str, called: str) -> list[Left]:
        left = removing(root, relative, called)
        monkeypatch.setattr(tree_removal, "remove", removing)
        (clean_project.folder / old[1] / "fresh.json").touch()
        return left

    monkeypatch.setattr(tree_removal, "remove", used_meanwhile)
    gone = [item.path for item in collector.collect(DECIDED) if item.kind == "run"]
    assert gone == [old[0], *old[2:]]
    assert (clean_project.folder / old[1] / "fresh.json").exists()


def test_the_gate_that_was_tightened_during_the_check_judges_and_is_the_one_recorded(
    clean_project: RegistryProject,
) -> None:
    model = clean_project.publish("dev", metrics={"r2": 0.5})
    settings = clean_project.models / "gate.toml"

    def saved_meanwhile(least: float) -> Callable[[Registry, ModelRecord], dict[str, str]]:
        def check(_registry: Registry, _record: ModelRecord) -> dict[str, str]:
            settings.write_text(f"[prd]\nmin_r2 = {least}\n")
            return {}

        return check

    settings.write_text("[prd]\nmin_r2 = 0.1\n")
    with pytest.raises(Refused, match=r"the limit for prd in models/gate\.toml is 0\.9"):
        decisions.promote(clean_project.registry, model.model_filename, DECIDED, saved_meanwhile(0.9))
    settings.write_text("[prd]\nmin_r2 = 0.1\n")
    promoted = decisions.promote(clean_project.registry, model.model_filename, DECIDED, saved_meanwhile(0.2))
    assert promoted.promotion is not None
    assert promoted.promotion.gate_sha256 == sha256(settings.read_bytes())
