"""verify: records of log.txt that contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.support.registry_project import DECIDED, rechain

from bulkhead import clock
from bulkhead.registry import decisions
from bulkhead.registry.records import Revocation, Rollback

if TYPE_CHECKING:
    from tests.support.registry_project import RegistryProject

    from bulkhead.registry.records import ModelRecord


def rollback(to: str, *withdrawn: str, environment: str = "prd") -> Rollback:
    return Rollback(
        rollback_time=clock.in_record(clock.now()),
        environment=environment,
        model_filename=to,
        withdrawn=list(withdrawn),
        by="b",
        reason="r",
    )


def revocation(model: ModelRecord, **changes: Any) -> Revocation:
    given = {"model_filename": model.model_filename, "model_hash": model.model_hash, **changes}
    return Revocation(revocation_time=clock.in_record(clock.now()), by="b", reason="r", **given)


def test_what_is_decided_by_this_program_contradicts_nothing(clean_project: RegistryProject) -> None:
    dev = clean_project.publish("dev")
    decisions.promote(clean_project.registry, dev.model_filename, DECIDED, lambda _registry, _record: {})
    decisions.roll_back(clean_project.registry, "prd", DECIDED)
    decisions.promote(clean_project.registry, dev.model_filename, DECIDED, lambda _registry, _record: {})
    decisions.revoke(clean_project.registry, dev.model_filename, DECIDED)
    decisions.roll_back(clean_project.registry, "prd", DECIDED)
    assert clean_project.verify() == []


@pytest.mark.parametrize(
    ("changes", "how"),
    [({}, "the same hash"), ({"sha256": "0" * 64}, "another hash"), ({"model_hash": "0"}, "another")],
)
def test_a_file_that_is_published_twice_is_found(
    changes: dict[str, str], how: str, clean_project: RegistryProject
) -> None:
    model = clean_project.publish(dag_id=None)
    clean_project.append(msgspec.structs.replace(model, **changes))
    found = clean_project.the("published_twice")
    assert f"is published again, with {how}" in found.sentence
    assert (found.line, found.mended_by) == (6, "person")
    assert "it was published in line 5," in found.sentence


def test_an_attempt_that_publishes_twice_is_found(clean_project: RegistryProject) -> None:
    clean_project.publish(run_id="again")
    clean_project.publish(run_id="again", try_number=2)
    clean_project.publish(run_id="again", map_index=1)
    clean_project.publish(run_id="again", task_id="other")
    assert clean_project.damage() == []
    clean_project.publish(run_id="again")
    found = clean_project.the("attempt_twice")
    assert (found.line, found.severity) == (9, "note")


def test_an_attempt_that_decides_twice_is_found(clean_project: RegistryProject) -> None:
    first, second = (clean_project.publish("prd") for _ in range(2))
    who = {"dag_id": "rollback_model_dag", "run_id": "r", "task_id": "roll_back", "try_number": 1, "map_index": -1}
    clean_project.append(msgspec.structs.replace(rollback(first.model_filename, second.model_filename), **who))
    third = clean_project.publish("prd")
    assert clean_project.damage() == []
    clean_project.append(msgspec.structs.replace(rollback(first.model_filename, third.model_filename), **who))
    found = clean_project.the("attempt_twice")
    assert (found.line, found.severity) == (9, "note")


def test_by_hand_every_training_is_an_attempt_of_its_own(clean_project: RegistryProject) -> None:
    for _ in range(2):
        clean_project.publish(dag_id=None, run_id="debug")
    assert clean_project.damage() == []


@pytest.mark.parametrize(
    "changes",
    [{"training_timestamp": "2020-01-01T00:00:00.000000+00:00"}, {"training_timestamp": "then"}, {"model_hash": "a"}],
)
def test_a_name_that_says_another_time_or_hash_than_the_record_is_found(
    changes: dict[str, str], clean_project: RegistryProject
) -> None:
    model = clean_project.publish()
    path = clean_project.registry.training_journal
    lines = path.read_bytes().splitlines(keepends=True)
    for key, value in changes.items():
        lines[-1] = lines[-1].replace(f'"{key}":"{getattr(model, key)}"'.encode(), f'"{key}":"{value}"'.encode())
    path.write_bytes(b"".join(lines))
    assert clean_project.damage() == ["contradictory_record"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"origin": "prd"}, "where it never was"),
        ({"sha256": "0" * 64}, "another hash"),
        ({"model_hash": "0"}, "another hash"),
        ({"replaces": None}, "in place of 'None'"),
        ({"model_filename": "model_20260101T000000000000Z_abc.joblib"}, "never published before"),
    ],
)
def test_a_promotion_that_cannot_have_happened_is_found(
    changes: dict[str, Any], why: str, clean_project: RegistryProject
) -> None:
    served = clean_project.publish("prd")
    dev = clean_project.publish("dev")
    clean_project.append(clean_project.promoted(dev, **{"replaces": served.model_filename, **changes}))
    assert why in clean_project.the("unfounded_promotion").sentence


def test_a_promotion_of_a_revoked_model_is_found(clean_project: RegistryProject) -> None:
    served = clean_project.publish("prd")
    dev = clean_project.publish("dev")
    clean_project.append(revocation(dev), clean_project.promoted(dev, replaces=served.model_filename))
    assert "though it was revoked by b" in clean_project.the("unfounded_promotion").sentence


def test_a_rollback_to_or_from_a_model_that_was_not_there_is_found(clean_project: RegistryProject) -> None:
    old, new = clean_project.publish("prd"), clean_project.publish("prd")
    dev = clean_project.publish("dev")
    clean_project.append(rollback(old.model_filename, new.model_filename))
    assert clean_project.damage() == []
    clean_project.append(rollback(dev.model_filename, old.model_filename))
    assert "was not there to be served or withdrawn" in clean_project.the("unfounded_rollback").sentence


def test_a_rollback_that_leaves_another_model_on_top_is_found(clean_project: RegistryProject) -> None:
    old = clean_project.publish("prd")
    middle, _new = clean_project.publish("prd"), clean_project.publish("prd")
    clean_project.append(rollback(old.model_filename, middle.model_filename))
    assert "another model lies on top after it" in clean_project.the("unfounded_rollback").sentence


def test_a_rollback_to_a_revoked_model_is_found(clean_project: RegistryProject) -> None:
    old, new = clean_project.publish("prd"), clean_project.publish("prd")
    clean_project.append(revocation(old), rollback(old.model_filename, new.model_filename))
    assert clean_project.damage() == ["unfounded_rollback"]


def test_a_revocation_of_an_unknown_model_or_hash_is_found(clean_project: RegistryProject) -> None:
    model = clean_project.publish()
    clean_project.append(revocation(model, model_hash="0"), revocation(model, model_filename="model_x.joblib"))
    assert clean_project.damage() == ["unfounded_revocation", "unfounded_revocation"]


def test_a_removal_of_an_unknown_model_or_of_a_path_elsewhere_is_found(clean_project: RegistryProject) -> None:
    clean_project.removed("models/model_x.joblib", "/etc/passwd", "shared/inputs/t.csv")
    assert clean_project.damage() == ["unfounded_removal"] * 3


def test_lines_that_were_moved_are_a_note(clean_project: RegistryProject) -> None:
    """A clock that was set back leaves the same, so it is no damage."""
    first, second = (clean_project.publish("dev") for _ in range(2))
    path = clean_project.registry.training_journal
    *lines, one, other = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, other, one]))
    assert (clean_project.damage(), clean_project.notes()) == (["moved_line"], ["out_of_order"])
    rechain(path)  # as far as the records go, and in a log without a chain
    assert clean_project.registry.latest("dev") == first
    assert (clean_project.damage(), clean_project.notes()) == ([], ["out_of_order"])
    assert (
        f"is of {first.training_timestamp}, and one of {second.training_timestamp}"
        in clean_project.the("out_of_order").sentence
    )


def test_a_torn_publication_makes_what_follows_from_it_unfounded(clean_project: RegistryProject) -> None:
    """The line is fixed by repair; that a promotion hangs in the air stays for a person."""
    path = clean_project.registry.training_journal
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:50] + b"\n" + lines[2] + lines[3])
    clean_project.repair()
    assert clean_project.damage() == ["edited_line", "other_environment", "unfounded_promotion"]
