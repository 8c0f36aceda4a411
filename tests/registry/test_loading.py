"""Only the file that was published is ever unpickled."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import joblib
import msgspec
import pytest
from tests.support.project import NEXT, publish

from bulkhead.errors import NotVerified
from bulkhead.files import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.store import Registry

unpickled: list[str] = []


def leave_a_trace(trace: str) -> None:
    unpickled.append(trace)


class Explosive:
    """Unpickling this leaves a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return leave_a_trace, ("boom",)


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_an_altered_file_is_refused_before_it_is_unpickled(registry_with_a_model: Registry) -> None:
    record = registry_with_a_model.latest("prd")
    buffer = io.BytesIO()
    joblib.dump(Explosive(), buffer)
    replace(registry_with_a_model.folder / record.model_filename, buffer.getvalue())
    unpickled.clear()
    with pytest.raises(NotVerified, match=f"is not the file that was published.*{record.sha256}") as caught:
        registry_with_a_model.load(record)
    assert NEXT.search(str(caught.value))
    assert unpickled == []
    joblib.load(io.BytesIO(buffer.getvalue()))
    assert unpickled == ["boom"], "the trap works"


@pytest.mark.parametrize("change", ["one bit", "a byte more", "a byte less", "empty"])
def test_any_change_of_the_file_is_refused(change: str, registry_with_a_model: Registry) -> None:
    record = registry_with_a_model.latest("prd")
    path = registry_with_a_model.folder / record.model_filename
    content = path.read_bytes()
    changed = {
        "one bit": bytes([content[0] ^ 1]) + content[1:],
        "a byte more": content + b"\x00",
        "a byte less": content[:-1],
        "empty": b"",
    }[change]
    replace(path, changed)
    with pytest.raises(NotVerified, match="is not the file that was published"):
        registry_with_a_model.load(record)


def test_a_missing_file_is_refused(registry_with_a_model: Registry) -> None:
    record = registry_with_a_model.latest("prd")
    (registry_with_a_model.folder / record.model_filename).unlink()
    with pytest.raises(NotVerified, match=r"is recorded in models/log\.txt and missing\. Restore it"):
        registry_with_a_model.load(record)


@pytest.mark.parametrize(
    "filename",
    [
        *("../outside.joblib", "folder/inside.joblib", "./inside.joblib", "", ".", "..", "folder", "folder/"),
        *("x\x00.joblib", "x" * 300, "../models/inside.joblib"),
    ],
)
def test_a_record_whose_file_name_is_not_a_files_plain_name_is_refused(
    filename: str, registry_with_a_model: Registry
) -> None:
    """Even where a file stands there, with the recorded hash."""
    record = registry_with_a_model.latest("prd")
    content = (registry_with_a_model.folder / record.model_filename).read_bytes()
    (registry_with_a_model.folder / "folder").mkdir()
    for path in ("../outside.joblib", "inside.joblib", "folder/inside.joblib"):
        (registry_with_a_model.folder / path).write_bytes(content)
    with pytest.raises(NotVerified) as caught:
        registry_with_a_model.load(msgspec.structs.replace(record, model_filename=filename))
    assert NEXT.search(str(caught.value))


def test_an_absolute_file_name_is_refused(registry_with_a_model: Registry) -> None:
    record = registry_with_a_model.latest("prd")
    absolute = str(registry_with_a_model.folder / record.model_filename)
    with pytest.raises(NotVerified, match="not the name of a published model"):
        registry_with_a_model.load(msgspec.structs.replace(record, model_filename=absolute))


def test_a_record_with_an_empty_hash_is_refused(registry_with_a_model: Registry) -> None:
    record = registry_with_a_model.latest("prd")
    with pytest.raises(NotVerified):
        registry_with_a_model.load(msgspec.structs.replace(record, sha256=""))


def test_an_untouched_model_loads_however_often(registry_with_a_model: Registry) -> None:
    record = registry_with_a_model.latest("prd")
    path = registry_with_a_model.folder / record.model_filename
    for _ in range(2):
        assert registry_with_a_model.load(record) == {"weights": [1.0, 2.0]}
    assert sha256(path.read_bytes()) == record.sha256


def test_what_was_hashed_is_what_is_unpickled(registry_with_a_model: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file exchanged between hash and unpickling has no effect: the file is read once."""
    record = publish(registry_with_a_model, model={"weights": [7.0]})
    path = registry_with_a_model.folder / record.model_filename
    real = joblib.load

    def exchange_then_load(file: Any) -> Any:
        replace(path, b"something else")
        return real(file)

    monkeypatch.setattr(joblib, "load", exchange_then_load)
    assert registry_with_a_model.load(record) == {"weights": [7.0]}
