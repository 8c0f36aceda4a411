"""The result file: written, read as a stranger's letter, and made from a record."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.project import publish
from tests.support.registry_project import DECIDED

from bulkhead import protocol
from bulkhead.errors import Refused
from bulkhead.identity import Identity
from bulkhead.registry import decisions
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.records import Promotion
from bulkhead.step import result

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhead.registry.store import Registry

CONTAINER = "0123456789abcdef" * 4
PROMOTING = Identity(dag_id="promote_model_dag", run_id="r", task_id="promote_model", try_number=2, map_index=-1)


def test_the_result_of_a_training_names_its_attempt_its_container_and_its_model(empty_registry: Registry) -> None:
    record = publish(empty_registry)
    made = result.from_record(record, "prd", CONTAINER)
    assert made.identity.same_attempt(record)
    assert CONTAINER.startswith(made.container)
    assert made.facts["model_filename"] == record.model_filename
    assert made.facts["sha256"] == record.sha256
    assert made.facts["model_name"] == "model"
    assert "serve" not in made.facts


def test_the_result_says_of_which_model_it_is_a_version_and_that_it_is_not_served(empty_registry: Registry) -> None:
    record = msgspec.structs.replace(publish(empty_registry, model_name="churn"), serve=False)
    assert {"model_name": "churn", "serve": False}.items() <= result.facts_of(record).items()
    promotion = Promotion(promotion_time="t", origin="dev", replaces=None, by="ann", reason="r")
    promoted = msgspec.structs.replace(record, promotion=promotion)
    assert "serve" not in result.facts_of(promoted)


def test_the_result_of_a_promotion_names_the_task_that_promoted_and_not_the_training(
    empty_registry: Registry, tmp_path: Path
) -> None:
    model = publish(empty_registry, "dev")
    decision = DecisionContext("ada", "good", PROMOTING)
    promoted = decisions.promote(empty_registry, model.model_filename, decision, lambda *_: {})
    made = result.from_record(promoted, "prd", CONTAINER)
    assert made.identity == PROMOTING
    (tmp_path / "promote_model.json").write_bytes(result.encode(made))
    assert result.read(tmp_path, "promote_model") == made


def test_the_result_of_a_rollback_says_what_is_served(empty_registry: Registry) -> None:
    first, second = publish(empty_registry), publish(empty_registry)
    rollback = decisions.roll_back(empty_registry, "prd", DECIDED)
    facts = result.from_record(rollback, "prd", CONTAINER).facts
    assert (facts["model_filename"], facts["withdrawn"]) == (first.model_filename, [second.model_filename])


def stored(folder: Path, content: object) -> result.StepResult | None:
    """What is read where a file holds ``content``."""
    (folder / "preprocessing.json").write_bytes(msgspec.json.encode(content))
    return result.read(folder, "preprocessing")


WHOLE = msgspec.to_builtins(
    result.StepResult(
        protocol=protocol.PROTOCOL,
        identity=Identity(task_id="preprocessing", image="bulkhead/trainer:latest@sha256:1"),
        environment="dev",
        container=CONTAINER[:12],
        started="s",
        finished="f",
        facts={"rows": 20},
    )
)


def test_a_result_that_names_no_version_is_of_the_first(tmp_path: Path) -> None:
    found = stored(tmp_path, {key: value for key, value in WHOLE.items() if key != "protocol"})
    assert found is not None
    assert found.protocol == 1
    assert found.facts == {"rows": 20}


def test_a_key_that_only_a_later_version_knows_is_passed_over(tmp_path: Path) -> None:
    found = stored(tmp_path, {**WHOLE, "later": {"kind": "model"}, "protocol": protocol.PROTOCOL + 1})
    assert found is not None
    assert found.facts == {"rows": 20}
    assert not found.is_readable


@pytest.mark.parametrize("version", [0, 3, 2**70])
def test_of_a_version_with_another_layout_container_and_image_are_known(tmp_path: Path, version: int) -> None:
    identity = {"image": "bulkhead/trainer:latest@sha256:1", "try_number": "first"}
    found = stored(tmp_path, {"protocol": version, "identity": identity, "container": CONTAINER[:12], "outputs": []})
    assert found is not None
    assert (found.protocol, found.identity.image) == (version, "bulkhead/trainer:latest@sha256:1")
    assert found.is_by(CONTAINER)
    assert not found.is_readable


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {**WHOLE, "outputs": []},
        {**WHOLE, "protocol": "1"},
        {"protocol": 2, "identity": "me"},
        {"protocol": None},
    ],
    ids=["empty", "a list", "of this version, with another layout", "a text", "of no identity", "null"],
)
def test_what_no_version_writes_is_no_result(tmp_path: Path, content: object) -> None:
    assert stored(tmp_path, content) is None


@pytest.mark.parametrize(
    ("image", "command"),
    [
        ("bulkhead/trainer:latest@sha256:1", "'just build-images trainer'"),
        ("localhost:5000/bulkhead/trainer@sha256:1", "'just build-images trainer'"),
        (None, "'just build-images'"),
        ("", "'just build-images'"),
    ],
)
def test_the_command_that_builds_an_image_names_its_purpose(image: str | None, command: str) -> None:
    assert result.rebuild(image) == command


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def a_link(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(msgspec.json.encode(WHOLE))
    path.symlink_to("elsewhere")


def a_sparse_file(path: Path) -> None:
    path.touch()
    os.truncate(path, 12 << 30)


def two_mebibytes(path: Path) -> None:
    path.write_bytes(b" " * (2 << 20))


def deep_json(path: Path) -> None:
    path.write_bytes(b"[" * 500_000)


def no_utf8(path: Path) -> None:
    path.write_bytes(b'{"protocol": 2, "container": "\xff\xfe"}')


def a_huge_number(path: Path) -> None:
    path.write_bytes(b'{"protocol": ' + b"9" * 100_000 + b"}")


@pytest.mark.parametrize(
    "put",
    [a_fifo, a_socket, a_link, Path.mkdir, a_sparse_file, two_mebibytes, deep_json, no_utf8, a_huge_number],
    ids=lambda put: put.__name__,
)
def test_what_a_hostile_step_puts_there_is_no_result_and_is_told_at_once(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    put(tmp_path / "preprocessing.json")
    begun = time.monotonic()
    assert result.read(tmp_path, "preprocessing") is None
    with pytest.raises(Refused, match=r"preprocessing\.json: "):
        result.read_or_refuse(tmp_path, "preprocessing")
    assert time.monotonic() - begun < 5
