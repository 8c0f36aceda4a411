"""The sealed container that reads a table from its beginning to its end, so that no service of ours has to."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead import paths
from bulkhead.errors import EXIT_REFUSED, EXIT_USAGE, Refused, one_line, short
from bulkhead.unix_http import Refusal
from bulkhead.uploads import CPUS, LONGEST_ANSWER, MEMORY, SECONDS, TASK, UPLOADS, CheckAnswer
from engine import seal
from engine.seal import CHECK_LABEL, Mount
from engine.settings import Limits, Settings
from launcher import looks
from launcher.upstream import message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.upstream import Engine

IMAGE = "trainer"
_WRITES = "1m"
"""Nothing, that is; and what the engine keeps of its output is bounded too."""
_OUTPUT = "4m"
_UNUSABLE, _AWAY, _ERROR = 422, 503, 400
_KILLED = 137
_SHORTEST_LOOK, _LONGEST_LOOK = 0.05, 0.5


class CheckContainer:
    """Reads one table after another, each in a container of its own.

    Args:
        engine: the real one.
        variables: how steps run on this host; this process's, if not given.
        log: takes a line for each container that is made or removed.
    """

    def __init__(self, engine: Engine, variables: Mapping[str, str] | None, log: Callable[[str], None]) -> None:
        self._engine = engine
        self._variables = variables
        self._log = log

    def answer(self, upload: str, name: str, is_over: Callable[[], bool]) -> CheckAnswer:
        """What is in the table.

        Args:
            upload: the file's name in ``shared/inputs/.uploads``.
            name: what people call it.
            is_over: whether nobody waits for the answer any more.

        Raises:
            Refusal: the table cannot be read within the limits (422), or nobody can look at it now (503).
        """
        settings = self._settings()
        try:
            self.remove_all(settings.project)
            container = self._created(settings, upload, name)
        except Refusal as refusal:
            raise _away(refusal.message) from refusal
        try:
            return self._ended(container, settings, name, is_over)
        except Refusal as refusal:
            raise refusal if refusal.status in {_UNUSABLE, _AWAY} else _away(refusal.message) from refusal
        finally:
            looks.remove(self._engine, container)

    def remove_all(self, project: str) -> None:
        """Remove the containers that an earlier launcher has left.

        Raises:
            Refusal: the engine does not answer.
        """
        for one in looks.left(self._engine, project, CHECK_LABEL):
            self._log(f"removing {one[:12]}, a check that was left")
            looks.remove(self._engine, one)

    def _settings(self) -> Settings:
        own = Limits(seconds=SECONDS, cpus=CPUS, memory=MEMORY, disk=_WRITES)
        try:
            return replace(Settings.from_environment(TASK, own, self._variables), output_size=_OUTPUT)
        except Refused as error:
            raise _away(str(error)) from None

    def _created(self, settings: Settings, upload: str, name: str) -> str:
        table = Mount(source=f"{settings.host_folder}/{UPLOADS}/{upload}", target=f"{paths.INPUTS}/{name}")
        command = [TASK, "--json", "--source", name]
        container = looks.create(self._engine, settings, IMAGE, seal.of_check(settings, table), command)
        self._log(f"created {container[:12]} to check {name!r}")
        return container

    def _ended(self, container: str, settings: Settings, name: str, is_over: Callable[[], bool]) -> CheckAnswer:
        status, content = self._engine.ask("POST", f"/containers/{container}/start")
        if status >= _ERROR:
            raise _away(message_of(content))
        state = self._wait(container, settings, name, is_over)
        code = int(state.get("ExitCode") or 0)
        if state.get("OOMKilled") or code == looks.KILLED:
            raise Refusal(
                _UNUSABLE,
                f"{short(name, 80)}: to read it takes more than {settings.memory} of memory. Split it, or raise"
                f" BULKHEAD_STEP_MEMORY_{TASK.upper()} in .env and run 'just up'.",
            )
        if code == EXIT_USAGE:
            raise _away(f"the image {settings.tag_of(IMAGE)} is of another version. Run 'just build-images', 'just up'")
        if code in {0, EXIT_REFUSED}:
            with suppress(msgspec.DecodeError):
                return msgspec.json.decode(self._output(container, "stdout")[:LONGEST_ANSWER], type=CheckAnswer)
        last = self._output(container, "stderr").decode(errors="replace").strip().rpartition("\n")[2]
        raise Refusal(
            _UNUSABLE,
            f"{short(name, 80)}: cannot be read: what reads it ended with exit code {code}"
            f" ({one_line(last, 300) or 'and said nothing'}). Fix the file.",
        )

    def _wait(self, container: str, settings: Settings, name: str, is_over: Callable[[], bool]) -> dict[str, Any]:
        deadline, pause = time.monotonic() + settings.seconds, _SHORTEST_LOOK
        while True:
            state: dict[str, Any] = self._engine.get(f"/containers/{container}/json")["State"]
            if state["Status"] in {"exited", "dead"}:
                return state
            if is_over():
                raise _away("nobody waits for the answer any more, or the launcher ends")
            if time.monotonic() > deadline:
                raise Refusal(
                    _UNUSABLE,
                    f"{short(name, 80)}: to read it takes longer than {settings.seconds:g} s. Split it, or raise"
                    f" BULKHEAD_STEP_SECONDS_{TASK.upper()} in .env and run 'just up'.",
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)

    def _output(self, container: str, stream: str) -> bytes:
        status, content = self._engine.ask("GET", f"/containers/{container}/logs", {stream: "1"})
        if status >= _ERROR:
            raise _away(message_of(content))
        return b"".join(piece for _, piece in looks.output([content]))


def _away(why: str) -> Refusal:
    return Refusal(_AWAY, f"the table was not checked: {why.rstrip('.')}. Send it again later.")
