"""How the recipes take arguments: a wrong one is answered at once, with the nearest right word.

Needs the standard library alone, and asks nobody: whatever is said here comes before anything is built or started.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

EXIT_USAGE = 2
"""Wrong command line, as everywhere."""


class Parser(argparse.ArgumentParser):
    """A recipe's arguments. What is wrong with them is one line, how they are given another; exit code 2."""

    def __init__(self, recipe: str, explained: str | None = None, **more: Any) -> None:
        """``recipe`` is what follows ``just``; ``explained`` is for its ``--help``."""
        more.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(prog=f"just {recipe}", description=explained, allow_abbrev=False, **more)

    # As argparse has them, but for the names that nobody here gives.
    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """The arguments; ends the process where there is one that the recipe does not take."""
        words = sys.argv[1:] if args is None else [*args]
        # First: argparse itself would say that something else is missing.
        for word in self._own(words):
            name = word.partition("=")[0]
            if name.startswith("--") and name != "--" and name not in self._option_string_actions:
                self.error(f"{self.prog} has no option {name}.{meant(name, self._option_string_actions)}")
        found, unknown = self.parse_known_args(words, namespace)
        if unknown:
            self.error(f"{self.prog} takes no '{unknown[0]}'.")
        return found

    def _own(self, words: list[str]) -> list[str]:
        """Those of ``words`` that are this parser's, where the rest is somebody else's."""
        if all(action.nargs != argparse.REMAINDER for action in self._actions):
            return words
        return [*itertools.takewhile(lambda word: word.startswith("-"), words)]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and how it is right."""
        # What a type has to say is a sentence of its own.
        sentence = re.sub(r"^argument [^:]+: (?=there is no )", "", message)
        ended = sentence if sentence.endswith((".", "?")) else f"{sentence}."
        usage = " ".join(self.format_usage().split())
        self.exit(EXIT_USAGE, f"bulkhead: {ended}\nbulkhead: {usage}\n")


def one_of(what: str, words: Iterable[str]) -> Callable[[str], str]:
    """The type of an argument that is one of ``words``, each of which is a ``what``."""
    known = [*words]

    def checked(word: str) -> str:
        if word in known:
            return word
        raise argparse.ArgumentTypeError(no_such(what, word, known))

    return checked


def no_such(what: str, word: str, known: Sequence[str]) -> str:
    """The sentence on a word that is none of ``known``."""
    near = meant(word, known)
    return f"there is no {what} '{word}'." + (near or f" There are: {', '.join(known)}.")


def meant(word: str, known: Iterable[str]) -> str:
    """`` Did you mean trainer?``, or nothing where no word of ``known`` is like ``word``."""
    near = difflib.get_close_matches(word, [*known], n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def wrong(sentence: str, next_step: str) -> NoReturn:
    """End for a command line that is wrong."""
    sys.stderr.write(f"bulkhead: {sentence}\nbulkhead: {next_step}\n")
    sys.exit(EXIT_USAGE)
