"""The API server asks for the predictions in a file: a sealed container reads it, and its output is the answer."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec

from bulkhead import untrusted
from bulkhead.errors import Refused, short
from bulkhead.prediction_files import (
    CPUS,
    MEMORY,
    ROUTE,
    SECONDS,
    TASK,
    PredictionsRequest,
    no_file_of_a_run,
    place_of,
)
from bulkhead.unix_http import Refusal, Response
from engine import seal
from engine.seal import SHOW_LABEL
from engine.settings import Limits, Settings
from launcher import looks
from launcher.predictions_reading import PredictionsReading, away

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bulkhead.unix_http import Request
    from launcher.upstream import Engine

IMAGE = "inference"
_WRITES = "1m"
"""Nothing, that is."""
_MOST_WHOLE, _MOST_ROWS = 2, 2
"""So many at once; whoever wants the first rows does not wait for a slow line that takes all of another file."""
_QUEUE_SECONDS = 20.0
_STOP_SECONDS = 5.0
_BAD, _GONE, _UNUSABLE, _ENGINE_AWAY, _AWAY = 400, 410, 422, 502, 503
_CONTENT = "application/x-bulkhead-predictions"


class PredictionsRoutes:
    """Answers the API server.

    Args:
        engine: the real one.
        folder: the project's, as this process sees it.
        log: takes a line for each container, and for what ends it before its end.
        variables: how steps run on this host; this process's, if not given.
    """

    def __init__(
        self, engine: Engine, folder: Path, log: Callable[[str], None], variables: Mapping[str, str] | None = None
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._log = log
        self._variables = variables
        self._whole = threading.BoundedSemaphore(_MOST_WHOLE)
        self._rows = threading.BoundedSemaphore(_MOST_ROWS)
        self._making = threading.Lock()
        """A container that is made is nobody's until it is in the list."""
        self._readings: dict[str, PredictionsReading] = {}
        self._is_ending = False

    def begin(self) -> None:
        """Remove what an earlier launcher has left, in a thread: the engine may take its time."""
        threading.Thread(target=self._sweep, name="sweeps predictions", daemon=True).start()

    def stop(self) -> None:
        """End what is read now, the containers too."""
        with self._making:
            self._is_ending = True
            readings = list(self._readings.values())
        for reading in readings:
            reading.end(away("the launcher ends"))
        deadline = time.monotonic() + _STOP_SECONDS
        while self._readings and time.monotonic() < deadline:
            time.sleep(0.05)

    def is_asked(self, request: Request) -> bool:
        """Whether ``request`` is one for predictions."""
        return (request.method, request.path) == ("POST", ROUTE)

    def answer(self, request: Request) -> Response:
        """The predictions, as they come.

        Raises:
            Refusal: there are none, and why.
        """
        try:
            asked = msgspec.json.decode(request.body, type=PredictionsRequest)
        except msgspec.DecodeError as error:
            raise Refusal(_BAD, str(error)) from None
        run_folder = self._looked_at(asked.path)
        slots = self._whole if asked.limit is None else self._rows
        if not slots.acquire(timeout=_QUEUE_SECONDS):
            raise Refusal(_AWAY, "others are reading predictions, as many at once as may. Try again in a minute.")
        try:
            reading = self._made(asked, run_folder, slots.release)
        except BaseException:
            slots.release()
            raise
        try:
            reading.begin(request.on_gone)
            if asked.limit is not None:
                return Response(200, reading.whole(), _CONTENT)
        except Refusal as refusal:
            reading.close()
            raise refusal if refusal.status != _ENGINE_AWAY else away(refusal.message) from refusal
        except BaseException:
            reading.close()
            raise
        return Response(200, reading, _CONTENT)

    def _looked_at(self, path: str) -> str:
        """The run folder of a file that is there, and a plain one.

        Raises:
            Refusal: it is not.
        """
        place = place_of(path)
        try:
            if place is None:
                raise no_file_of_a_run(path)
            untrusted.open_file(self._folder, path, called=path).close()
        except FileNotFoundError:
            raise Refusal(
                _GONE, f"{short(path, 200)} is gone. Restore it from a backup, or run the inference again."
            ) from None
        except Refused as error:
            raise Refusal(_UNUSABLE, str(error)) from None
        except OSError as error:
            raise away(f"{short(path, 200)}: {error.strerror}") from error
        return place[0]

    def _made(self, asked: PredictionsRequest, run_folder: str, on_end: Callable[[], None]) -> PredictionsReading:
        settings = self._settings()
        command = [TASK, f"--path={asked.path}", f"--sha256={asked.sha256}"]
        command += [] if asked.limit is None else [f"--limit={asked.limit}"]

        def ended(why: str) -> None:
            self._readings.pop(container, None)
            self._log(f"removed {container[:12]}{f', before its end: {why}' if why else ''}")
            on_end()

        with self._making:
            if self._is_ending:
                raise away("the launcher ends")
            try:
                self._remove_left(settings.project)
                container = looks.create(
                    self._engine, settings, IMAGE, seal.of_predictions(settings, run_folder), command
                )
            except Refusal as refusal:
                raise away(refusal.message) from refusal
            self._log(f"created {container[:12]} to read {asked.path!r}")
            reading = PredictionsReading(self._engine, settings, asked, container, ended)
            self._readings[container] = reading
        return reading

    def _settings(self) -> Settings:
        own = Limits(seconds=SECONDS, cpus=CPUS, memory=MEMORY, disk=_WRITES)
        try:
            return Settings.from_environment(TASK, own, self._variables)
        except Refused as error:
            raise away(str(error)) from None

    def _sweep(self) -> None:
        with self._making:
            try:
                self._remove_left(self._settings().project)
            except Refusal as refusal:
                self._log(f"what readings were left is looked for later: {refusal.message}")

    def _remove_left(self, project: str) -> None:
        for container in looks.left(self._engine, project, SHOW_LABEL):
            if container not in self._readings:
                self._log(f"removing {container[:12]}, a reading that was left")
                looks.remove(self._engine, container)
