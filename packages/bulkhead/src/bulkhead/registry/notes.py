"""What people write down about a model version: notes, which are added, and tags, which have one value at a time.

Both are records of ``log.txt``, as everything else is, and change nothing about what is served.
:mod:`bulkhead.registry.annotating` writes them, within the bounds that stand here.
"""

from __future__ import annotations

import re

from bulkhead.identity import Identity

LONGEST_NOTE = 2000
"""Characters."""
LONGEST_KEY = 60
LONGEST_VALUE = 200
LONGEST_AUTHOR = 200
MOST_NOTES = 500
"""Of one model version; whoever reads the registry holds all of them."""
MOST_TAGS = 50

KEY = re.compile(rf"(?!\.{{1,2}}$)[A-Za-z0-9_.-]{{1,{LONGEST_KEY}}}")
"""A tag's key; ``.`` and ``..`` are none, which every browser takes for steps of an address."""


class Note(Identity, frozen=True, kw_only=True):
    """What somebody has to say of a model version."""

    note_time: str
    model_filename: str
    by: str
    text: str


class Tag(Identity, frozen=True, kw_only=True):
    """A value that somebody has given a model version under a key; it takes the place of the one before."""

    tag_time: str
    model_filename: str
    by: str
    tag_key: str
    """Not ``key``: the last keys of a line are its place in the chain, and that is one of them."""
    value: str | None
    """None: the key is taken away."""

    @property
    def key(self) -> str:
        """Under which the value stands."""
        return self.tag_key
