"""The chain: what makes an edit of a journal visible.

The last four keys of each line are ``seq`` (its number), ``prev`` (the SHA-256 of the line before, whatever that is),
``key`` (which key signed it) and ``hmac`` (HMAC-SHA256, by that key, of all bytes of the line before it). A line that
was written by hand is part of the chain and has neither key nor signature. Lines of before the chain are anchored by
the first line that is part of it: an :class:`~bulkhead.registry.records.Anchor`.

An edit of line n shows at n, whose signature is wrong, and at n + 1, whose ``prev`` is. A missing line shows as a gap
in ``seq``, an inserted one as a line that is not part of the chain or takes a number twice. What nothing in the file
shows is that its end is missing, or that the whole file was set back: for that there is the head, kept elsewhere. The
check of a whole journal is in ``maintenance/verify/chain.py``.
"""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self

from bulkhead.errors import Refused
from bulkhead.files import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhead.paths import JournalName

ZEROS = "0" * 64
"""``prev`` of a journal's very first line."""
SHORTEST_KEY = 16
"""Characters of a key."""
_END = re.compile(
    rb',"seq":(\d{1,18}),"prev":"([0-9a-f]{64})","key":(null|"([0-9a-f]{8})"),"hmac":(null|"([0-9a-f]{64})")\}'
)
LONGEST_END = 256
"""Bytes that say a line's place in the chain are fewer."""


@dataclass(frozen=True)
class Head:
    """The last line of a journal."""

    journal: JournalName
    seq: int
    hash: str
    """SHA-256 of the line, without its end."""


@dataclass(frozen=True)
class Key:
    """A key that signs."""

    secret: bytes = field(repr=False)

    @cached_property
    def id(self) -> str:
        """What a line says of the key that signed it."""
        return sha256(self.secret)[:8]

    def sign(self, content: bytes) -> str:
        """The signature of ``content``, in hex."""
        return hmac.digest(self.secret, content, "sha256").hex()


@dataclass(frozen=True)
class KeyRing:
    """The key that signs now, and those that signed before."""

    current: Key | None = None
    old: tuple[Key, ...] = ()

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] | None = None) -> Self | None:
        """The keys in ``BULKHEAD_REGISTRY_KEY`` and ``BULKHEAD_REGISTRY_OLD_KEYS`` (with commas); None: there is none.

        Raises:
            Refused: a key is too short to be one.
        """
        given = os.environ if variables is None else variables
        text = given.get("BULKHEAD_REGISTRY_KEY", "").strip()
        if not text:
            return None
        old = [word.strip() for word in given.get("BULKHEAD_REGISTRY_OLD_KEYS", "").split(",") if word.strip()]
        for word in (text, *old):
            if len(word) < SHORTEST_KEY:
                raise Refused(
                    f"BULKHEAD_REGISTRY_KEY has {len(word)} characters, and {SHORTEST_KEY} are the least."
                    " Run 'just rotate-key', it makes one."
                )
        return cls(Key(text.encode()), tuple(Key(word.encode()) for word in old))

    def find(self, key_id: str) -> Key | None:
        """The key that a line names."""
        keys = (*((self.current,) if self.current else ()), *self.old)
        return next((key for key in keys if key.id == key_id), None)


@dataclass(frozen=True)
class Link:
    """What a line says of its place in the chain."""

    seq: int
    prev: str
    key: str | None
    hmac: str | None

    @property
    def is_signed(self) -> bool:
        """Whether it carries a signature, right or wrong."""
        return self.key is not None and self.hmac is not None


def link(content: bytes, seq: int, prev: str, key: Key | None) -> bytes:
    """``content``, a JSON object, as the line number ``seq`` of a chain; without the line's end."""
    signer = f'"{key.id}"' if key else "null"
    body = content[:-1] + f',"seq":{seq},"prev":"{prev}","key":{signer}'.encode()
    return body + (b',"hmac":"%s"}' % key.sign(body).encode() if key else b',"hmac":null}')


def parse(line: bytes) -> Link | None:
    """The place that ``line`` says it has; None: it is not part of a chain."""
    found = _END.search(line, max(0, len(line) - LONGEST_END))
    if found is None or found.end() != len(line):
        return None
    return Link(int(found[1]), found[2].decode(), _text(found[4]), _text(found[6]))


def is_signed(line: bytes, ring: KeyRing) -> bool | None:
    """Whether ``line`` is signed by a key of ``ring``; None: it is not signed, or by a key that is not there."""
    found = parse(line)
    return None if found is None else is_genuine(line, found, ring)


def is_genuine(line: bytes, found: Link, ring: KeyRing) -> bool | None:
    """Whether the signature of ``line`` is right; None: it has none, or nobody here has its key."""
    if found.key is None or found.hmac is None:
        return None
    key = ring.find(found.key)
    if key is None:
        return None
    body = line[: line.rindex(b',"hmac":')]
    return hmac.compare_digest(key.sign(body), found.hmac)


def _text(found: bytes | None) -> str | None:
    return None if found is None else found.decode()
