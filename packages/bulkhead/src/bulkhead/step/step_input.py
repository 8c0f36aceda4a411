"""What a step reads of the one before it: its facts and its outputs, from one look at its result file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from bulkhead import files, protocol, untrusted
from bulkhead.errors import Refused
from bulkhead.step import result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

    from bulkhead.identity import Identity
    from bulkhead.step.result import Output, StepResult

Facts = TypeVar("Facts")


class Opened(NamedTuple):
    """An output of an earlier step, open for reading."""

    file: BufferedReader
    output: Output
    task_id: str
    """The step that wrote it."""

    @property
    def changed(self) -> Refused:
        """What to raise where it is not what the step wrote."""
        return Refused(f"{self.output.path} has changed since {self.task_id} wrote it. Run {self.task_id} again.")


class StepInput(Generic[Facts]):
    """What an earlier step of this run folder left."""

    def __init__(self, folder: Path, task_id: str, facts: Facts, outputs: dict[str, Output]) -> None:
        self.facts = facts
        self.outputs = outputs
        self._folder = folder
        self._task_id = task_id

    @contextmanager
    def opened(self, name: str) -> Iterator[Opened]:
        """The output ``name``, open for reading; who reads it proves by its hash that it is what the step wrote.

        Raises:
            Refused: it wrote no such output, or the file is missing.
        """
        task_id = self._task_id
        output = self.outputs.get(name)
        if output is None:
            raise Refused(
                f"{task_id}.json names no output {name!r}, so {task_id} did not write it. Run {task_id} again."
            )
        try:
            file = untrusted.open_file(self._folder, output.path)
        except FileNotFoundError:
            raise Refused(f"{output.path} is missing from the run folder. Run {task_id} again.") from None
        except untrusted.Untrusted as error:
            raise Refused(f"{error} Run {task_id} again.") from None
        with file:
            yield Opened(file, output, task_id)

    def content(self, name: str, limit: int) -> bytes | None:
        """All of the output ``name``, which is small; None: the step wrote none, as one of before does not.

        Raises:
            Refused: it is not what the step wrote, or larger than ``limit`` bytes.
        """
        if name not in self.outputs:
            return None
        with self.opened(name) as opened:
            found = opened.file.read(limit + 1)
            if len(found) > limit or files.sha256(found) != opened.output.sha256:
                raise opened.changed
            return found


def read(  # what it is, and who asks
    folder: Path, task_id: str, facts: type[Facts], reader: Identity, environment: str, model_name: str
) -> StepInput[Facts]:
    """What ``task_id`` left in the run folder ``folder``.

    Args:
        folder: the run folder.
        task_id: an earlier step.
        facts: what its facts are: a msgspec struct, or ``dict``.
        reader: the step that asks.
        environment: that step's.
        model_name: for which model it runs.

    Raises:
        Refused: it left no result, it ran for another environment or model, its result is of another version, or
            its facts are not such.
    """
    where = f"{reader.run_path}/{task_id}.json"
    before = result.read(folder, task_id)
    if before is None or before.is_failure:
        raise Refused(f"{where} is missing or not a result file. Run {task_id} first, with the same run folder.")
    _check_protocol(before, where, task_id, reader)
    if before.environment != environment:
        raise Refused(
            f"{task_id} ran in this run folder for {before.environment}, and this step runs for {environment}."
            f" Run {task_id} for {environment} first, or use another run folder."
        )
    if before.model_name != model_name:
        raise Refused(
            f"{task_id} ran in this run folder for the model {before.model_name}, and this step runs for {model_name}."
            f" Run {task_id} for {model_name} first, or use another run folder."
        )
    try:
        typed = msgspec.convert(before.facts, facts)
    except msgspec.ValidationError as error:
        raise Refused(f"{where} is not what {task_id} writes: {error}. Run {task_id} again.") from None
    return StepInput(folder, task_id, typed, before.outputs)


def _check_protocol(before: StepResult, where: str, task_id: str, reader: Identity) -> None:
    if protocol.is_read_by_steps(before.protocol):
        return
    older, again = (before.identity, task_id) if before.protocol < protocol.PROTOCOL else (reader, "this step")
    writer = f", written by {before.identity.image.partition('@')[0]}" if before.identity.image else ""
    raise Refused(
        f"{where} is of version {before.protocol}{writer}, and this step reads version {protocol.PROTOCOL}."
        f" Run {result.rebuild(older.image)}, then {again} again."
    )
