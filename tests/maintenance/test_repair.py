"""repair: what readers should not stumble over is put aside, and every byte of it is kept."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.project import publish
from tests.support.registry_project import DECIDED, RegistryProject

from bulkhead.errors import Refused
from bulkhead.files import sha256
from bulkhead.maintenance.repair import Repair
from bulkhead.registry import journal
from bulkhead.registry.records import Quarantine, Unreadable

ORPHAN = "model_20260101T000000000000Z_abc.joblib"
JOURNALS = ["log.txt", "log_inference.txt"]


@pytest.mark.parametrize("name", JOURNALS)
def test_a_bad_line_stays_in_its_place_and_a_copy_of_it_is_kept_with_a_record(
    name: str, clean_project: RegistryProject
) -> None:
    path = clean_project.models / name
    content = path.read_bytes() + b"torn \xff line"
    path.write_bytes(content)
    (record,) = clean_project.repair()
    assert path.read_bytes().startswith(content + b"\n")
    assert (record.path, record.offset) == (f"models/{name}", content.index(b"torn"))
    assert (record.size_bytes, record.sha256) == (11, sha256(b"torn \xff line"))
    assert (clean_project.folder / record.moved_to).read_bytes() == b"torn \xff line"
    assert (record.by, record.reason) == (DECIDED.by, DECIDED.reason)
    assert list(journal.read(path))[-1] == record
    assert clean_project.verify() == []


def test_an_orphan_is_moved_and_recorded(clean_project: RegistryProject) -> None:
    (clean_project.models / ORPHAN).write_bytes(b"orphan")
    (record,) = clean_project.repair()
    assert not (clean_project.models / ORPHAN).exists()
    assert clean_project.quarantined() == [b"orphan"]
    assert (record.path, record.offset, record.sha256) == (f"models/{ORPHAN}", None, sha256(b"orphan"))
    assert clean_project.verify() == []


def test_an_altered_model_is_moved_and_what_it_served_is_told(clean_project: RegistryProject) -> None:
    model = clean_project.publish()
    altered = clean_project.alter(clean_project.file_of(model))
    clean_project.repair()
    assert clean_project.quarantined() == [altered]
    found = clean_project.the("served_model_gone")
    assert found.mended_by == "person"
    assert "Run 'just registry rollback'" in found.sentence


def test_a_good_registry_is_not_touched(clean_project: RegistryProject) -> None:
    before = {path: path.read_bytes() for path in clean_project.models.iterdir()}
    assert clean_project.repair() == []
    assert {path: path.read_bytes() for path in clean_project.models.iterdir()} == before


def test_a_file_in_the_quarantine_is_never_overwritten(clean_project: RegistryProject) -> None:
    folder = clean_project.models / "quarantine"
    folder.mkdir()
    taken = folder / f"{ORPHAN}.{sha256(b'orphan')[:16]}"
    taken.write_bytes(b"somebody's")
    (clean_project.models / ORPHAN).write_bytes(b"orphan")
    clean_project.repair()
    assert clean_project.quarantined() == [b"orphan", b"somebody's"]
    assert taken.read_bytes() == b"somebody's"
    assert clean_project.verify() == []


@pytest.mark.parametrize("make", ["file", "link"])
def test_a_quarantine_that_is_no_folder_is_refused_and_nothing_is_done(
    make: str, clean_project: RegistryProject
) -> None:
    place = clean_project.models / "quarantine"
    if make == "file":
        place.touch()
    else:
        place.symlink_to(clean_project.shared)
    (clean_project.models / ORPHAN).write_bytes(b"orphan")
    logs = clean_project.registry.training_journal.read_bytes()
    with pytest.raises(Refused, match="is not a folder"):
        clean_project.repair()
    assert (clean_project.models / ORPHAN).read_bytes() == b"orphan"
    assert clean_project.registry.training_journal.read_bytes() == logs


def test_what_contradicts_itself_is_left_to_a_person(clean_project: RegistryProject) -> None:
    clean_project.append(clean_project.publish())
    assert clean_project.repair() == []
    assert clean_project.damage() == ["published_twice"]


def test_an_orphan_that_was_being_published_is_left_alone(clean_project: RegistryProject) -> None:
    """It was linked and not yet recorded when somebody looked without the lock; now it is recorded."""
    before = clean_project.registry.training_journal.read_bytes()
    model = clean_project.publish()
    recorded = clean_project.registry.training_journal.read_bytes()
    clean_project.registry.training_journal.write_bytes(before)
    fixer, found = Repair(clean_project.registry, DECIDED), clean_project.the("orphan_model")
    clean_project.registry.training_journal.write_bytes(recorded)
    assert fixer.fix(found) is None
    assert clean_project.file_of(model).exists()
    assert clean_project.verify() == []


def test_an_altered_model_that_was_restored_since_is_left_alone(clean_project: RegistryProject) -> None:
    path = clean_project.file_of(clean_project.publish())
    good = path.read_bytes()
    clean_project.alter(path)
    fixer, found = Repair(clean_project.registry, DECIDED), clean_project.the("altered_model")
    clean_project.alter(path, good)
    assert fixer.fix(found) is None
    assert clean_project.verify() == []


def test_two_repairs_of_the_same_things_do_each_of_them_once(clean_project: RegistryProject) -> None:
    (clean_project.models / ORPHAN).write_bytes(b"x")
    clean_project.registry.inference_journal.write_bytes(
        b"foreign\n" + clean_project.registry.inference_journal.read_bytes()
    )
    repairs = [Repair(clean_project.registry, DECIDED) for _ in range(2)]
    found = [finding for finding in clean_project.verify() if finding.mended_by == "repair"]
    done = [fixer.fix(finding) for finding in found for fixer in repairs]
    assert [record is not None for record in done] == [True, False, True, False]
    assert clean_project.verify() == []


def test_repair_and_publishers_at_work_together_lose_nothing(clean_project: RegistryProject) -> None:
    stop = threading.Event()
    published: list[str] = []

    def publisher() -> None:
        while not stop.is_set():
            published.append(
                publish(clean_project.registry, model={"weights": [len(published)]}, dag_id=None).model_filename
            )

    thread = threading.Thread(target=publisher)
    thread.start()
    try:
        for number in range(20):
            (clean_project.models / f"model_2026010{number % 9}T000000000000Z_{number}.joblib").write_bytes(
                b"%d" % number
            )
            with (
                journal.locked(clean_project.registry.training_journal),
                clean_project.registry.training_journal.open("ab") as file,
            ):
                file.write(b"torn %d" % number)
            clean_project.repair()
    finally:
        stop.set()
        thread.join()
    assert clean_project.damage() == []
    assert all((clean_project.models / name).exists() for name in published)
    assert len(clean_project.quarantined()) == 40


@settings(max_examples=60)
@given(data=st.data())
def test_after_a_repair_only_what_a_person_must_decide_is_left_and_no_byte_is_lost(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clean_project = RegistryProject(Path(folder) / "p")
        for environment in ("dev", "prd", "dev"):
            clean_project.infer(clean_project.publish(environment))
        files = [path for path in clean_project.models.iterdir() if path.is_file()]
        for path in data.draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=3)):
            content = bytearray(path.read_bytes())
            at = data.draw(st.integers(0, len(content)))
            content[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=30))
            clean_project.alter(path, bytes(content))
        for name in data.draw(st.lists(st.sampled_from([ORPHAN, "model_x.pkl", "model_y.joblib"]), max_size=2)):
            (clean_project.models / name).write_bytes(data.draw(st.binary(max_size=9)))
        before = {path.read_bytes() for path in clean_project.models.iterdir() if path.name not in JOURNALS}
        logs = {name: (clean_project.models / name).read_bytes() for name in JOURNALS}
        clean_project.repair()
        assert [found for found in clean_project.verify() if found.mended_by == "repair"] == []
        assert before <= {path.read_bytes() for path in clean_project.models.rglob("*") if path.is_file()}
        assert all((clean_project.models / name).read_bytes().startswith(content) for name, content in logs.items())
        bad = {
            line.offset
            for name in JOURNALS
            for line in journal.read(clean_project.models / name)
            if isinstance(line, Unreadable)
        }
        recorded = [
            r for name in JOURNALS for r in journal.read(clean_project.models / name) if isinstance(r, Quarantine)
        ]
        assert bad <= {record.offset for record in recorded}
        assert all(
            sha256((clean_project.folder / record.moved_to).read_bytes()) == record.sha256 for record in recorded
        )
