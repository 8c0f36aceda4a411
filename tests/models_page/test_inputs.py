"""What tables there are to choose from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from models_page.inputs_listing import inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.testclient import TestClient
    from tests.models_page.conftest import Somebody

    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]


def put(folder: Path, name: str, at: int, content: str = "a\n1\n") -> None:
    path = folder / "inputs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (at, at))


def test_tables_and_folders_of_tables_are_listed_newest_first(
    visit: Visit, registry_with_a_model: Registry, tmp_path: Path, somebody: Somebody
) -> None:
    shared = tmp_path / "shared"
    put(shared, "old.csv", 1_000)
    put(shared, "new.parquet", 3_000, "12345")
    put(shared, "parts/a.csv", 1_500)
    put(shared, "parts/b.csv", 2_000)
    put(shared, "parts/_SUCCESS", 9_000)
    put(shared, ".uploads/arriving/x.csv", 9_000)
    put(shared, ".uploads/y.csv", 9_000)
    put(shared, "notes.txt", 9_000)
    put(shared, "empty/notes.txt", 9_000)
    with visit(registry_with_a_model) as client:
        found = client.get("/api/v1/inputs").json()
        assert found == {
            "inputs": [
                {"name": "new.parquet", "kind": "table", "bytes": 5, "modified": "1970-01-01 00:50:00", "tables": 1},
                {"name": "parts", "kind": "folder", "bytes": 8, "modified": "1970-01-01 00:33:20", "tables": 2},
                {"name": "old.csv", "kind": "table", "bytes": 4, "modified": "1970-01-01 00:16:40", "tables": 1},
            ],
            "total_entries": 3,
            "may_upload": False,
            "limit": 0,
            "ends": [".csv", ".csv.gz", ".parquet"],
        }
        some = client.get("/api/v1/inputs?limit=1").json()
        assert ([one["name"] for one in some["inputs"]], some["total_entries"]) == (["new.parquet"], 3)
        somebody.triggers = {"dev_train_model_dag"}
        answer = client.post("/api/v1/inputs/t.csv", content=b"a\n1\n")
        assert (answer.status_code, "there is no folder for it" in answer.json()["detail"]) == (503, True)


def test_what_a_stranger_put_there_is_neither_followed_nor_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    put(tmp_path, "t.csv", 1_000)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/s.csv").write_text("a\n1\n")
    (folder / "link.csv").symlink_to(tmp_path / "secret/s.csv")
    (folder / "linked").symlink_to(tmp_path / "secret")
    (folder / "folder.csv").mkdir()
    (folder / "bad\nname.csv").write_text("a\n1\n")
    os.mkfifo(folder / "fifo.csv")
    assert [one.name for one in inputs(tmp_path)] == ["t.csv"]


def test_a_folder_of_very_many_tables_is_counted_up_to_a_bound(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("models_page.inputs_listing._MOST_ENTRIES", 50)
    for number in range(80):
        put(tmp_path, f"many/{number}.csv", 1_000)
    (found,) = inputs(tmp_path)
    assert found.tables == 50


def test_no_folder_of_inputs_is_told(visit: Visit, registry_with_a_model: Registry) -> None:
    with visit(registry_with_a_model) as client:
        answer = client.get("/api/v1/inputs")
        assert (answer.status_code, "cannot be read" in answer.json()["detail"]) == (503, True)
