"""The one reader: what it reads, and what it refuses at once."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bulkhead import untrusted
from bulkhead.files import sha256
from bulkhead.untrusted import Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    made = tmp_path / "root"
    (made / "a" / "b").mkdir(parents=True)
    (made / "a" / "b" / "file").write_bytes(b"content")
    return made


def test_a_plain_file_is_read_and_hashed(root: Path) -> None:
    assert untrusted.read(root, "a/b/file", limit=LIMIT) == b"content"
    assert untrusted.read(root, "./a//b/file", limit=7) == b"content"
    assert untrusted.hash_of(root, "a/b/file") == sha256(b"content")
    assert untrusted.size(root, "a/b/file") == 7
    assert [entry.name for entry in untrusted.scan(root, "a")] == ["b"]


def test_the_root_may_be_reached_by_a_link(root: Path) -> None:
    (root.parent / "link").symlink_to(root)
    assert untrusted.read(root.parent / "link", "a/b/file", limit=LIMIT) == b"content"


def test_a_missing_file_is_missing(root: Path) -> None:
    for path in ("a/none", "none/b/file", "a/b\0c"):
        with pytest.raises(FileNotFoundError):
            untrusted.read(root, path, limit=LIMIT)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "outside" / "secret")


def link_inside(path: Path) -> None:
    path.symlink_to("a/b/file")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def device(path: Path) -> None:
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def too_large(path: Path) -> None:
    path.write_bytes(b"x" * (LIMIT + 1))


@pytest.mark.parametrize(
    "put",
    [fifo, link, link_inside, dangling, loop, a_socket, device, Path.mkdir, sparse, too_large],
    ids=lambda put: put.__name__,
)
def test_what_is_no_plain_file_is_refused_at_once_and_by_its_name(root: Path, put: Callable[[Path], None]) -> None:
    put(root / "it")
    begun = time.monotonic()
    with pytest.raises(Untrusted, match=r"^models/it: ") as caught:
        untrusted.read(root, "it", limit=LIMIT, called="models/it")
    assert time.monotonic() - begun < 1
    assert str(caught.value).endswith(".")
    assert "secret" not in str(caught.value)


def test_a_link_in_the_middle_is_not_followed(root: Path) -> None:
    (root / "inner").symlink_to(root.parent / "outside")
    with pytest.raises(Untrusted, match="link"):
        untrusted.read(root, "inner/secret", limit=LIMIT)
    with pytest.raises(Untrusted, match="link"):
        untrusted.open_folder(root, "inner")


@pytest.mark.parametrize("path", ["", ".", "/", "/etc/passwd", "..", "../outside/secret", "a/../../outside/secret"])
def test_a_path_that_leads_elsewhere_is_none(root: Path, path: str) -> None:
    with pytest.raises(Untrusted, match="not a path below"):
        untrusted.read(root, path, limit=LIMIT)


def test_a_file_that_grows_while_it_is_read_is_still_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = root / "grows"
    file.write_bytes(b"x" * LIMIT)
    checked = untrusted._check

    def grows(*arguments: object) -> None:
        checked(*arguments)  # type: ignore[arg-type]
        file.write_bytes(b"x" * 10 * LIMIT)

    monkeypatch.setattr(untrusted, "_check", grows)
    with pytest.raises(Untrusted, match=f"{LIMIT} are read at most"):
        untrusted.read(root, "grows", limit=LIMIT)


def test_no_descriptor_is_left_open(root: Path) -> None:
    (root / "link").symlink_to("a")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("link/b/file", "a/b", "a/none", "none/x"):
        with pytest.raises((Untrusted, FileNotFoundError)):
            untrusted.read(root, path, limit=LIMIT)
    untrusted.read(root, "a/b/file", limit=LIMIT)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_names_that_no_terminal_should_show_are_escaped(root: Path) -> None:
    (root / "a\n\x1b[2Jb").mkdir()
    with pytest.raises(Untrusted) as caught:
        untrusted.read(root, "a\n\x1b[2Jb", limit=LIMIT)
    assert str(caught.value).isprintable()
