"""The page, the index and the command line beside files that a stranger has put in place of ours."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.project import publish

from bulkhead import clock
from bulkhead.index import Index
from bulkhead.maintenance import background_verify
from bulkhead.registry import journal
from bulkhead.registry.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.testclient import TestClient
    from tests.support.command import Command

    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]

SECONDS = 20
PAGES = ["/", "/inferences", "/failures", "/verify", "/api/v1/models", "/api/v1/inferences", "/api/v1/index"]
COMMANDS = [
    ["list"],
    ["list", "--inferences"],
    ["list", "--failures"],
    ["verify"],
    ["trace", "x" * 12],
    ["impact", "0" * 64],
]


@pytest.fixture(autouse=True)
def nothing_hangs() -> Iterator[None]:
    """A test that waits for a stranger ends the run, with every thread's stack."""
    import faulthandler

    faulthandler.dump_traceback_later(SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def link(path: Path) -> None:
    path.symlink_to("/etc/shadow")


def folder(path: Path) -> None:
    path.mkdir()


HOSTILE = [fifo, sparse, link, folder]


@pytest.mark.parametrize("name", ["log.txt", "log_inference.txt"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_log_hangs_no_page_and_is_said(
    hostile: Callable[[Path], None], name: str, visit: Visit, registry_with_two_models: Registry
) -> None:
    registry = registry_with_two_models
    journal.make(registry.inference_journal)
    with visit(registry) as client:
        path = registry.folder / name
        path.unlink()
        hostile(path)
        began = time.monotonic()
        for page in PAGES:
            answer = client.get(page)
            assert answer.status_code in (200, 503), page
            assert "root:" not in answer.text
        assert f"models/{name}" in client.get("/").text
        assert "What is shown is what was read before." in client.get("/").text
        assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize("name", ["log.txt", "log_inference.txt"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_log_ends_each_command_with_a_sentence(
    hostile: Callable[[Path], None], name: str, registry: Command, registry_with_two_models: Registry
) -> None:
    (registry.shared / "runs").mkdir()
    path = registry_with_two_models.folder / name
    path.unlink(missing_ok=True)
    hostile(path)
    for command in COMMANDS:
        ended = registry(*command)
        assert ended.code in (0, 1), (command, ended)
        assert "Traceback" not in ended.err
        assert "root:" not in ended.out + ended.err
    assert f"models/{name}" in registry("verify").err


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_log_ends_the_verify_in_the_background_with_a_sentence(
    hostile: Callable[[Path], None], tmp_path: Path, registry_with_two_models: Registry
) -> None:
    (tmp_path / "shared" / "runs").mkdir(parents=True)
    registry_with_two_models.training_journal.unlink()
    hostile(registry_with_two_models.training_journal)
    report = background_verify.check(registry_with_two_models.folder, tmp_path / "shared", tmp_path)
    assert report.trouble is not None
    assert "models/log.txt" in report.trouble


def test_a_line_of_20_mib_is_one_unreadable_line_and_takes_no_memory(
    visit: Visit, registry_with_two_models: Registry
) -> None:
    registry = registry_with_two_models
    with registry.training_journal.open("ab") as file:
        file.write(b'{"model_hash": "' + b"x" * (20 << 20) + b'"}\n')
    publish(registry, "dev", {"weights": [9.0]})
    with visit(registry) as client:
        text = client.get("/").text
        assert "models/log.txt: 1 line cannot be read as a record" in text or "1 line" in text
        assert registry.latest("dev").model_filename in text
        assert "longer than 16 MiB" in client.get("/verify").text


def test_the_index_of_a_log_that_becomes_hostile_while_it_is_read_stays(
    registry_with_two_models: Registry, tmp_path: Path
) -> None:
    index = Index(registry_with_two_models.folder, tmp_path)
    index.wait()
    registry_with_two_models.training_journal.unlink()
    os.mkfifo(registry_with_two_models.training_journal)
    looks = [threading.Thread(target=index.refresh, daemon=True) for _ in range(4)]
    for look in looks:
        look.start()
    for look in looks:
        look.join(SECONDS)
        assert not look.is_alive()
    assert "models/log.txt" in str(index.refresh().trouble)
    index.close()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_file_below_shared_is_not_read_for_anybody(
    hostile: Callable[[Path], None], registry: Command, registry_with_two_models: Registry
) -> None:
    path = registry.shared / "inputs" / "evil.csv"
    hostile(path)
    ended = registry("impact", "shared/inputs/evil.csv")
    assert ended.code == 1
    assert "shared/inputs/evil.csv" in ended.err
    assert "sha256" not in ended.out
    assert registry_with_two_models.latest("dev").environment == "dev"


def test_a_link_in_the_middle_of_a_path_below_shared_is_not_followed(
    registry: Command, registry_with_two_models: Registry, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_text("a,b\n")
    (registry.shared / "inputs" / "link").symlink_to(outside)
    ended = registry("impact", "shared/inputs/link/secret.csv")
    assert ended.code == 1
    assert "no model was trained on data" not in ended.err
    assert registry_with_two_models.latest("dev").environment == "dev"


def test_a_refused_promotion_is_in_the_history_of_its_model(
    visit: Visit, registry: Command, registry_with_two_models: Registry
) -> None:
    name = registry_with_two_models.latest("dev").model_filename
    journal.append(
        registry_with_two_models.training_journal,
        Rejection(
            rejection_time=clock.in_record(clock.now()),
            environment="prd",
            model_filename=name,
            outcome="rejected",
            by="ada",
            requested_by="<b>bob</b>",
            reason="not <i>yet</i>",
        ),
    )
    with visit(registry_with_two_models) as client:
        text = client.get(f"/models/{name}").text
        assert "Promotion to prd rejected" in text
        assert "by <bdi>ada</bdi>, asked for by <bdi>&lt;b&gt;bob&lt;/b&gt;</bdi>" in text
        assert '<span class="state plain">by hand</span>' in text
        assert client.get("/api/v1/models").json()["models"][0]["by_hand"] is True
    shown = registry.done("show", name)
    assert "promotion to prd rejected by ada, asked for by <b>bob</b>: not <i>yet</i> (recorded by hand)" in shown
