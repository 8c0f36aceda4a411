"""The one reader of what a step may have put anywhere."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
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


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert untrusted.read(tmp_path / "link", "plain.json", limit=LIMIT) == b"{}"


@pytest.mark.parametrize(
    "path",
    ["", ".", "/", "/etc/passwd", "..", "../secret.txt", "below/../../secret.txt", "below/../plain.json", "a\0b"],
)
def test_a_path_that_could_lead_out_is_refused(path: str, root: Path) -> None:
    with pytest.raises(Untrusted, match="is not a path below its folder"):
        untrusted.open_file(root, path)


@pytest.mark.parametrize("target", ["../secret.txt", "plain.json", "nowhere"])
def test_a_link_is_not_followed_wherever_it_leads(target: str, root: Path) -> None:
    (root / "link").symlink_to(target)
    with pytest.raises(Untrusted, match="symbolic link"):
        untrusted.read(root, "link", limit=LIMIT)


def test_a_folder_that_is_a_link_is_not_gone_through(root: Path) -> None:
    (root / "way").symlink_to("..")
    for reading in (
        lambda: untrusted.read(root, "way/secret.txt", limit=LIMIT),
        lambda: os.close(untrusted.open_folder(root, "way")),
        lambda: list(untrusted.scan(root, "way")),
    ):
        with pytest.raises(Untrusted, match="link"):
            reading()


@pytest.mark.parametrize(("kind", "named"), [("fifo", "FIFO"), ("folder", "folder"), ("socket", "socket")])
def test_what_is_no_plain_file_is_refused_at_once(kind: str, named: str, root: Path) -> None:
    path = root / "odd"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
    found: list[BaseException] = []

    def read() -> None:
        try:
            untrusted.read(root, "odd", limit=LIMIT)
        except Untrusted as error:
            found.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(10)
    assert not reader.is_alive()
    assert named in str(found[0])


def test_a_device_is_refused() -> None:
    with pytest.raises(Untrusted, match="character device"):
        untrusted.read(Path("/dev"), "zero", limit=LIMIT)


def test_a_file_has_at_most_the_limit(root: Path) -> None:
    (root / "most").write_bytes(b"x" * LIMIT)
    (root / "more").write_bytes(b"x" * (LIMIT + 1))
    assert len(untrusted.read(root, "most", limit=LIMIT)) == LIMIT
    with pytest.raises(Untrusted, match="has 1001 bytes or more, and 1000 are read at most"):
        untrusted.read(root, "more", limit=LIMIT)


def test_a_file_that_grows_while_it_is_read_is_refused_and_not_held(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = untrusted._check

    def looked_and_grown(found: os.stat_result, shown: str, limit: int | None) -> None:
        real(found, shown, limit)
        (root / "plain.json").write_bytes(b"x" * 50_000)

    monkeypatch.setattr(untrusted, "_check", looked_and_grown)
    with pytest.raises(Untrusted, match="has 1001 bytes or more"):
        untrusted.read(root, "plain.json", limit=LIMIT)


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


def test_no_descriptor_is_left_open_by_any_refusal(root: Path) -> None:
    (root / "link").symlink_to("plain.json")
    (root / "way").symlink_to("below")
    os.mkfifo(root / "fifo")

    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    for path in ("link", "way/deep.json", "fifo", "none", "below", "below/none", "plain.json/x", "../x"):
        with pytest.raises((Untrusted, FileNotFoundError)):
            untrusted.read(root, path, limit=LIMIT)
    assert opened() == before
