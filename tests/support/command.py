"""``registry`` on the command line, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.project import Ended

from bulkhead.cli import main as cli

if TYPE_CHECKING:
    import pytest

    from bulkhead.registry.store import Registry


class Command:
    """``registry`` on the command line, in this process."""

    def __init__(self, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
        self.registry = registry
        self.shared = registry.folder.parent / "shared"
        self._capsys = capsys

    def __call__(self, *argv: str) -> Ended:
        """Run it with the folders of the test."""
        self._capsys.readouterr()
        code = cli.main(["--models", str(self.registry.folder), "--shared", str(self.shared), *argv])
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    def done(self, *argv: str) -> str:
        """Run what must succeed; returns what it printed."""
        ended = self(*argv)
        assert ended.code == 0, ended.err
        return ended.out

    def refused(self, *argv: str) -> str:
        """Run what must be refused; returns its one sentence."""
        ended = self(*argv)
        assert (ended.code, ended.out) == (1, ""), ended
        (sentence,) = ended.said
        assert sentence.startswith("registry: ")
        return sentence
