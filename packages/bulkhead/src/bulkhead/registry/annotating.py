"""Notes and tags on their way into ``log.txt``: bounded, of a model version that there is, each said once.

Whoever asks may ask again: what the newest record says already is not recorded once more.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import msgspec

from bulkhead import clock
from bulkhead.errors import NoModel, Refused, one_line, short
from bulkhead.registry import journal, notes, record_lines
from bulkhead.registry.notes import Note, Tag
from bulkhead.registry.records import ModelRecord
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhead.identity import Identity
    from bulkhead.registry.records import Record
    from bulkhead.registry.serving import ModelVersion
    from bulkhead.registry.store import Registry


class Unfit(Refused):
    """A note or a tag that no record may hold."""


class NoTag(Refused):
    """The model has no such tag."""


def note(registry: Registry, filename: str, by: str, text: str, identity: Identity) -> Note:
    """Record what ``by`` has to say of the model file ``filename``.

    Returns:
        The record; where the model's newest note is this very one, that.

    Raises:
        Unfit: the text is empty or too long, or is no text, or nobody says it.
        NoModel: there is no such model.
        Refused: it has as many notes as a model may have.
        OSError: the journal cannot be written; it is as it was.
    """
    made = Note(
        **msgspec.structs.asdict(identity),
        note_time="",
        model_filename=filename,
        by=_author(by),
        text=_fit("the note", text, notes.LONGEST_NOTE, lines=True),
    )
    with registry.locked("training") as trainings:
        known = _known(registry, filename)
        newest = known.notes[-1] if known.notes else None
        if newest is not None and (newest.by, newest.text) == (made.by, made.text):
            return newest
        if len(known.notes) >= notes.MOST_NOTES:
            raise Refused(f"{filename} has {notes.MOST_NOTES} notes, and a model has no more. Give it a tag.")
        made = msgspec.structs.replace(made, note_time=clock.in_record(clock.now()))
        trainings.append(made)
    return made


def tag(registry: Registry, filename: str, by: str, key: str, value: str | None, identity: Identity) -> Tag:
    """Record the value that ``by`` gives the model file ``filename`` under ``key``; None: the key is taken away.

    Returns:
        The record; where the model has this very value, that which says so.

    Raises:
        Unfit: key or value is too long or none, or nobody says it.
        NoModel: there is no such model.
        NoTag: there is no such tag to take away.
        Refused: it has as many tags as a model may have.
        OSError: the journal cannot be written; it is as it was.
    """
    if not notes.KEY.fullmatch(key):
        raise Unfit(
            f"{short(key)} is no key of a tag. Use letters, digits, '_', '.' and '-', at most {notes.LONGEST_KEY}."
        )
    if value is not None:
        value = _fit("the tag's value", value, notes.LONGEST_VALUE, lines=False)
    made = Tag(
        **msgspec.structs.asdict(identity),
        tag_time="",
        model_filename=filename,
        by=_author(by),
        tag_key=key,
        value=value,
    )
    with registry.locked("training") as trainings:
        known = _known(registry, filename)
        present = known.tags.get(key)
        if present is None and value is None:
            raise NoTag(f"{filename} has no tag {key}. {_those_of(known)}")
        if present is not None and present.value == value:
            return present
        if present is None and len(known.tags) >= notes.MOST_TAGS:
            raise Refused(f"{filename} has {notes.MOST_TAGS} tags, and a model has no more. Remove one.")
        made = msgspec.structs.replace(made, tag_time=clock.in_record(clock.now()))
        trainings.append(made)
    return made


def _those_of(known: ModelVersion) -> str:
    return f"Name one of: {', '.join(known.tags)}." if known.tags else "Name another model: this one has none."


def _known(registry: Registry, filename: str) -> ModelVersion:
    """What the journal says of one model file, read from its end up to the publication."""
    found: list[Record] = []
    for record in _about(registry, filename):
        found.append(record)
        if isinstance(record, ModelRecord) and record.promotion is None:
            break
    model = RegistryState(reversed(found)).models.get(filename)
    if model is None:
        raise NoModel(f"models/log.txt: no record of a model file {short(filename, 100)}. 'just models' lists them.")
    return model


def _about(registry: Registry, filename: str) -> Iterator[Record]:
    needle = msgspec.json.encode(filename)
    for offset, line in journal.lines_newest_first(registry.training_journal):
        if needle not in line:  # of ten thousand models, the others are not decoded
            continue
        record = record_lines.decode(line, offset)
        if isinstance(record, ModelRecord | Note | Tag) and record.model_filename == filename:
            yield record


def _author(by: str) -> str:
    if not by.strip():
        raise Unfit("who says it is empty; the record keeps it. Name it.")
    return one_line(by.strip(), notes.LONGEST_AUTHOR)


def _fit(what: str, text: str, longest: int, *, lines: bool) -> str:
    """``text`` without blanks around it, and with one kind of line break."""
    kept = text.replace("\r\n", "\n").strip()
    if not kept:
        raise Unfit(f"{what} is empty. Write something.")
    if len(kept) > longest:
        raise Unfit(f"{what} has {len(kept)} characters, and {longest} are kept. Write fewer.")
    for character in kept:
        if unicodedata.category(character) in ("Cc", "Cs") and not (lines and character in "\n\t"):
            raise Unfit(f"{what} has the character U+{ord(character):04X}, which is none of a text. Leave it out.")
    return kept
