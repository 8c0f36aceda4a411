"""What the pages and the API tell of models, out of the state in memory and the journal. Knows nothing of HTTP."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import NoModel, Refused
from bulkhead.index import attempts, record_reader
from bulkhead.index.state_reader import ModelSummary
from bulkhead.queries import references
from bulkhead.queries.lineage import is_by_hand
from bulkhead.queries.status import version_statuses
from bulkhead.registry.notes import Note, Tag
from bulkhead.registry.records import Decision, ModelRecord
from models_page import selection
from models_page.plots import over_time
from models_page.readers import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bulkhead.index.state_reader import LoadedState
    from models_page.plots.figure import Figure
    from models_page.readers import Readers
    from models_page.selection import ModelSelection

_CHARTS = 8


class NoSuchModel(Exception):  # a state, not an error
    """The registry has no such model; the text says what there is."""


class AmbiguousModel(NoSuchModel):
    """Several models could be meant; the text is the sentence that lists them."""


class ListedVersion(msgspec.Struct, frozen=True):
    """A publication or promotion with its record."""

    summary: ModelSummary
    record: ModelRecord
    states: list[str]
    """Those of :func:`~bulkhead.queries.status.version_statuses`."""
    uses: int
    """How many inferences of this environment used it."""
    by_hand: bool
    """Its record was made without the registrar, and is not signed."""
    short_name: str
    tags: dict[str, Tag]
    notes: int


class ServedVersion(msgspec.Struct, frozen=True):
    """What an environment serves of one model."""

    environment: str
    name: str
    """Of which model."""
    version: ListedVersion | None
    """None: every version was revoked, rolled back or published without being served."""
    since: str | None
    """Since when, as recorded."""
    previous: Called | None
    """What a rollback would serve."""
    unreadable: int | None
    """Byte of the newest line below the served model's record that cannot be read: it may be of a newer model."""


class Called(msgspec.Struct, frozen=True):
    """A model file, and what people call it."""

    filename: str
    short_name: str


class Models(msgspec.Struct, frozen=True):
    """A page of models."""

    listed: list[ListedVersion]
    total: int
    """Publications and promotions."""
    files: int
    """Model files among them."""
    cursor: int | None
    """Where the next page begins; None: this is the last."""


class ModelDetails(msgspec.Struct, frozen=True):
    """Everything about one model file."""

    called: Called
    is_alone: bool
    """Whether no other file has the same short name."""
    versions: list[ListedVersion]
    """Its publication, then its promotions."""
    decisions: list[Decision]
    notes: list[Note]
    tags: dict[str, Tag]
    out_of_service: str | None
    """Why nobody may use it any more; None: it may be used."""
    revoked_twin: Called | None
    """A revoked version of which this one is the same fitted model."""
    served: dict[str, Called]
    """What its environments serve of its name."""
    names: dict[str, str]
    """By model file that its records name, what people call it."""
    uses: int

    @property
    def record(self) -> ModelRecord:
        """The first: of its publication."""
        return self.versions[0].record


class RegistryView:
    """The models that ``readers`` has read."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._charts: dict[tuple[str | None, str | None, object], list[Figure]] = {}

    def served(self) -> list[ServedVersion]:
        """What each environment serves of each model."""
        with self._readers.state() as state:
            places = state.places
            served = [state.served(*place) for place in places]
            previous = [_called(state, state.previous(*place)) for place in places]
            since = [state.served_since(*place) for place in places]
            chosen = self._with_states(state, [record for record in served if record is not None])
            known = _said_of(state, chosen)
        listed = {
            (version.summary.environment, version.summary.name): version for version in self._listed(chosen, known)
        }
        last = self._last_unreadable()
        found = []
        for place, below, time in zip(places, previous, since, strict=True):
            version = listed.get(place)
            hidden = last is not None and (version is None or last > version.summary.offset)
            found.append(ServedVersion(*place, version, time, below, last if hidden else None))
        return found

    def models(self, limit: int, wanted: ModelSelection, cursor: int | None = None) -> Models:
        """A page of publications and promotions.

        Raises:
            Refused: what is wanted is none of what there is.
        """
        # Before the state is held still: who waits for the index meanwhile would wait for ever.
        counted = self._uses() if wanted.sort.removeprefix("-") == "inferences" else {}
        with self._readers.state() as state:

            def states_of(summaries: Sequence[ModelSummary]) -> list[list[str]]:
                return [states for _, states in self._with_states(state, summaries)]

            matching = selection.chosen(state, wanted, states_of, counted)
            begin = 0
            if cursor is not None:
                begin = next((at + 1 for at, one in enumerate(matching) if one.number == cursor), len(matching))
            page = self._with_states(state, matching[begin : begin + limit])
            known = _said_of(state, page)
        following = page[-1][0].number if begin + limit < len(matching) else None
        files = len({one.model_filename for one in matching})
        return Models(self._listed(page, known), len(matching), files, following)

    def names(self) -> list[str]:
        """Every name that ever had a version."""
        with self._readers.state() as state:
            return state.names

    def points(self, environment: str | None = None, name: str | None = None) -> list[ModelSummary]:
        """Every publication with its metrics, oldest first; a promotion is the same model once more, and left out."""
        with self._readers.state() as state:
            return _points(state, environment, name)

    def charts(self, environment: str | None, name: str | None = None) -> list[Figure]:
        """For each model the pictures of its first metrics; made again only when ``log.txt`` was written to."""
        with self._readers.state() as state:
            key = (environment, name, state.seen)
            if key in self._charts:
                return self._charts[key]
            environments, names, points = state.environments, state.names, _points(state, environment, name)
        charts = over_time.figures(points, [one for one in names if name in (None, one)], environments)
        # An old picture is of no use to anybody: those of this state alone are kept, and few of them.
        kept = {known: drawn for known, drawn in self._charts.items() if known[2] == key[2]}
        self._charts = dict([*kept.items()][-_CHARTS:]) | {key: charts}
        return charts

    def called(self, name: str) -> Called:
        """The model that ``name`` means: its short name, file, or the beginning of its hash.

        Raises:
            NoSuchModel: there is none.
            AmbiguousModel: there are several.
        """
        with self._readers.state() as state:
            try:
                known = references.resolve_model(state, name)
            except NoModel as error:
                raise NoSuchModel(str(error)) from None
            except Refused as error:
                raise AmbiguousModel(str(error)) from None
            return Called(known.record.model_filename, known.short_name)

    def model(self, name: str) -> ModelDetails:
        """Everything about one model.

        Raises:
            NoSuchModel: as :meth:`called`.
        """
        filename = self.called(name).filename
        with self._readers.state() as state:
            known = state.models[filename]
            chosen = self._with_states(state, known.publications)
            twin = state.revoked_twin(filename)
            named = {filename, *(one for decision in known.decisions for one in _files_of(decision))}
            details = ModelDetails(
                called=Called(filename, known.short_name),
                is_alone=_means_one(state, known.short_name),
                versions=[],
                decisions=[*known.decisions],
                notes=[*known.notes],
                tags={**known.tags},
                out_of_service=known.out_of_service,
                revoked_twin=_called(state, twin.record) if twin is not None else None,
                served={
                    environment: called
                    for environment in state.environments
                    if (called := _called(state, state.served(environment, known.name))) is not None
                },
                names={one: state.models[one].short_name for one in named if one in state.models},
                uses=0,
            )
            said = _said_of(state, chosen)
        uses = 0
        with suppress(NotReady), self._readers.reading(("inference",)) as db:
            uses = attempts.uses(db, filename)
        return msgspec.structs.replace(details, versions=self._listed(chosen, said), uses=uses)

    def record(self, filename: str, environment: str) -> ModelRecord | None:
        """The record of a model file in an environment; None: it has none there."""
        with self._readers.state() as state:
            known = state.models.get(filename)
            here = [one for one in known.publications if one.environment == environment] if known else []
            chosen = self._with_states(state, here[-1:])
            said = _said_of(state, chosen)
        listed = self._listed(chosen, said)
        return listed[0].record if listed else None

    def short_names(self, filenames: Iterable[str]) -> dict[str, str]:
        """What people call those of ``filenames`` that are models."""
        with self._readers.state() as state:
            return {name: state.models[name].short_name for name in filenames if name in state.models}

    def _last_unreadable(self) -> int | None:
        with self._readers.reading(()) as db:
            row = db.execute(
                "SELECT max(offset) FROM unreadable WHERE journal = 'training' AND (journal, offset) NOT IN"
                " (SELECT journal, offset FROM quarantined_line)"
            ).fetchone()
            return None if row[0] is None else int(row[0])

    def _uses(self) -> dict[tuple[str, str], int]:
        """By model file and environment, how many inferences used it; none while the index is being made."""
        with suppress(NotReady), self._readers.reading(("inference",)) as db:
            return attempts.all_uses(db)
        return {}

    def _with_states(self, state: LoadedState, records: Iterable[ModelRecord]) -> list[tuple[ModelSummary, list[str]]]:
        statuses = version_statuses(state, self._readers.models, records)
        return [(status.record, status.states) for status in statuses if isinstance(status.record, ModelSummary)]

    def _listed(self, chosen: Sequence[tuple[ModelSummary, list[str]]], said: dict[str, _Said]) -> list[ListedVersion]:
        """With their whole records, which are read from the journal, and their uses, where the index knows those."""
        with self._readers.outdated():
            offsets = [summary.offset for summary, _ in chosen]
            records = record_reader.read_lines(self._readers.models, "training", offsets, ModelRecord)
            for (summary, _), (record, _line) in zip(chosen, records, strict=True):
                if record.model_filename != summary.model_filename:
                    raise record_reader.IndexOutdated
        uses = [0] * len(chosen)
        with suppress(NotReady), self._readers.reading(("inference",)) as db:
            uses = [attempts.uses(db, summary.model_filename, summary.environment) for summary, _ in chosen]
        return [
            ListedVersion(summary, record, states, used, is_by_hand(line), *said[summary.model_filename])
            for (summary, states), (record, line), used in zip(chosen, records, uses, strict=True)
        ]


_Said = tuple[str, dict[str, Tag], int]
"""What people call a model version, its tags, and how many notes it has."""


def _said_of(state: LoadedState, chosen: Sequence[tuple[ModelSummary, list[str]]]) -> dict[str, _Said]:
    found = {summary.model_filename: state.models[summary.model_filename] for summary, _ in chosen}
    return {name: (known.short_name, {**known.tags}, len(known.notes)) for name, known in found.items()}


def _means_one(state: LoadedState, short_name: str) -> bool:
    try:
        references.resolve_model(state, short_name)
    except Refused:
        return False
    return True


def _called(state: LoadedState, record: ModelRecord | None) -> Called | None:
    if record is None:
        return None
    return Called(record.model_filename, state.models[record.model_filename].short_name)


def _files_of(decision: Decision) -> list[str]:
    one = getattr(decision, "model_filename", None)
    return [*([one] if one else []), *getattr(decision, "withdrawn", [])]


def _points(state: LoadedState, environment: str | None, name: str | None) -> list[ModelSummary]:
    return [
        summary
        for summary in state.summaries
        if summary.promotion is None and environment in (None, summary.environment) and name in (None, summary.name)
    ]
