"""The one reader: folders, sizes and limits."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bulkhead import untrusted
from bulkhead.untrusted import Untrusted

LIMIT = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file and a folder in it, beside a secret."""
    (tmp_path / "secret.txt").write_bytes(b"secret")
    made = tmp_path / "root"
    (made / "below").mkdir(parents=True)
    (made / "plain.json").write_bytes(b"{}")
    (made / "below" / "deep.json").write_bytes(b"deep")
    return made


def test_a_plain_file_is_read_hashed_and_measured(root: Path) -> None:
    assert untrusted.read(root, "below/deep.json", limit=LIMIT) == b"deep"
    assert untrusted.hash_of(root, "below/deep.json") == hashlib.sha256(b"deep").hexdigest()
    assert untrusted.size(root, "plain.json") == 2
    assert sorted(entry.name for entry in untrusted.scan(root)) == ["below", "plain.json"]


def test_a_folder_that_is_a_link_is_not_gone_through(root: Path) -> None:
    (root / "way").symlink_to("..")
    for reading in (
        lambda: untrusted.read(root, "way/secret.txt", limit=LIMIT),
        lambda: os.close(untrusted.open_folder(root, "way")),
        lambda: list(untrusted.scan(root, "way")),
    ):
        with pytest.raises(Untrusted, match="link"):
            reading()


def test_a_device_is_refused() -> None:
    with pytest.raises(Untrusted, match="character device"):
        untrusted.read(Path("/dev"), "zero", limit=LIMIT)


def test_a_file_has_at_most_the_limit(root: Path) -> None:
    (root / "most").write_bytes(b"x" * LIMIT)
    (root / "more").write_bytes(b"x" * (LIMIT + 1))
    assert len(untrusted.read(root, "most", limit=LIMIT)) == LIMIT
    with pytest.raises(Untrusted, match="has 1001 bytes or more, and 1000 are read at most"):
        untrusted.read(root, "more", limit=LIMIT)


def test_a_sparse_file_is_refused_and_one_that_is_filled_is_not(root: Path) -> None:
    with (root / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    (root / "filled").write_bytes(os.urandom(2 << 20))
    for reading in (
        lambda: untrusted.hash_of(root, "sparse"),
        lambda: untrusted.open_file(root, "sparse"),
    ):
        with pytest.raises(Untrusted, match="sparse file"):
            reading()
    assert len(untrusted.hash_of(root, "filled")) == 64


def test_a_missing_file_and_a_missing_folder_are_what_they_always_were(root: Path) -> None:
    for path in ("none", "none/below"):
        with pytest.raises(FileNotFoundError):
            untrusted.open_file(root, path)
    with pytest.raises(FileNotFoundError):
        untrusted.open_folder(root, "none")


def test_a_name_is_shown_as_the_project_calls_it_in_one_printable_line(root: Path) -> None:
    name = "odd\n\x1b[31mname"
    (root / name).symlink_to("plain.json")
    with pytest.raises(Untrusted, match=r"^odd\\n\\x1b\[31mname: is, or is reached by, a symbolic link"):
        untrusted.open_file(root, name)
    with pytest.raises(Untrusted, match=r"^models/log\.txt: "):
        untrusted.open_file(root, name, called="models/log.txt")
