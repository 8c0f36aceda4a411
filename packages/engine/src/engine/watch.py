"""Watches a container through the engine, and through the engine's own outages."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from docker.errors import DockerException, NotFound
from requests.exceptions import ReadTimeout

from bulkhead.errors import one_line
from engine.line_splitter import lines
from engine.patience import ENGINE_SECONDS
from engine.state import ALIVE, age, memory_used

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

    from engine.disk import Watch
    from engine.output import Follower

_SLICE_SECONDS = 2
"""How long one wait lasts, before limits and kills are looked at again."""
_TAIL_LINES = 20
_STOP_SECONDS = 10
_LOST = (DockerException, OSError)


class EngineLostError(Exception):
    """The engine has not answered for longer than an outage may last."""


class Observation(msgspec.Struct):
    """What only following a container could tell; how it ended, ``docker inspect`` tells afterwards."""

    timed_out: bool = False
    excess: str | None = None
    """What it took of the disk, where that was too much."""
    peak_memory_bytes: int | None = None
    let_go: bool = False
    """Whether it runs on, and is waited for elsewhere."""


def inspect(client: APIClient, container: str) -> dict[str, Any] | None:
    """``docker inspect``, or None where there is no such container."""
    try:
        return dict(client.inspect_container(container))
    except NotFound:
        return None


@dataclass(frozen=True)
class Bounds:
    """When a container is not followed any more, though it runs on."""

    seconds: float
    """How long it may run, from its start."""
    disk: Watch
    """Says when it takes too much."""
    is_stopped: Callable[[], bool]
    """Whether nobody waits for it any more."""
    is_due: Callable[[float], bool] = lambda _: False
    """Whether a container of that age, in seconds, is to be waited for elsewhere."""


def follow(
    client: APIClient, container: str, follower: Follower, bounds: Bounds, peak_memory_bytes: int | None = None
) -> Observation:
    """Have ``follower`` follow the container's output until it ends, or must.

    Args:
        client: the engine.
        container: its id.
        follower: hands on its output.
        bounds: its limits.
        peak_memory_bytes: the most memory that it was seen to use before.

    Raises:
        EngineLostError: the engine did not come back.
    """
    observed = Observation(peak_memory_bytes=peak_memory_bytes)
    follower.start()
    try:
        _observe(client, container, follower, bounds, observed)
    except BaseException:  # Airflow's time limit too: of what runs on, the output has no end to wait for
        follower.leave()
        raise
    if not observed.let_go:
        follower.finish(lambda: bounds.is_stopped() or observed.timed_out or observed.excess is not None)
    return observed


def _observe(client: APIClient, container: str, follower: Follower, bounds: Bounds, observed: Observation) -> None:
    away_since: float | None = None
    while not bounds.is_stopped():
        try:
            _wait(client, container)
            found = inspect(client, container)
            away_since = None
        except _LOST as error:
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > ENGINE_SECONDS:
                raise EngineLostError(f"the engine has been away for {ENGINE_SECONDS:.0f} s: {error}.") from error
            time.sleep(1)
            continue
        # Not the answer to the wait: an engine slower than its slice never gives one.
        if found is None or found["State"]["Status"] not in ALIVE:
            return
        seconds_old = age(found["State"])
        if seconds_old > bounds.seconds:
            observed.timed_out = True
            return
        observed.excess = bounds.disk.excess(follower.kept_bytes)
        if observed.excess is not None:
            return
        _sample_memory(client, container, observed)
        if bounds.is_due(seconds_old):
            observed.let_go = True
            return


def stop(client: APIClient, container: str) -> None:
    """Stop a container that must not run on, however long the engine takes for it; one that has ended stays as it is.

    What goes wrong is seen when it is judged.
    """
    with suppress(*_LOST):
        found = inspect(client, container)
        if found is not None and found["State"]["Status"] in ALIVE:
            client.stop(container, timeout=_STOP_SECONDS)


def last_lines(client: APIClient, container: str, mask: Callable[[str], str]) -> list[str]:
    """The end of the container's stderr; of its stdout where stderr was silent. Masked before it is cut."""
    for stderr in (True, False):
        with suppress(*_LOST):
            if tail := client.logs(container, stdout=not stderr, stderr=stderr, tail=_TAIL_LINES):
                return [one_line(mask(line), 500) for line in lines([tail])]
    return []


def is_live_name(container: dict[str, Any], name: str) -> bool:
    """Whether ``container`` still has its logical task's name, so that nobody has judged it."""
    return str(container["Name"]).lstrip("/") == name


def set_aside(client: APIClient, container: str, name: str) -> None:
    """Rename a judged failure: kept as evidence, and no longer in the way of the next try.

    Two tries may judge one container; the second finds it renamed.
    """
    with suppress(*_LOST):
        found = inspect(client, container)
        if found is not None and is_live_name(found, name):
            client.rename(container, f"{name}.failed-{str(found['Id'])[:12]}")


def _wait(client: APIClient, container: str) -> None:
    """Return when the container has ended, or after one slice of time."""
    try:
        client.wait(container, timeout=_SLICE_SECONDS)
    except (ReadTimeout, NotFound):
        pass
    except OSError as error:
        # requests wraps the time-out of a connection's read in its own ConnectionError.
        if "timed out" not in str(error).lower():
            raise


def _sample_memory(client: APIClient, container: str, observed: Observation) -> None:
    with suppress(*_LOST, KeyError):
        used = memory_used(client.stats(container, stream=False, one_shot=True))
        observed.peak_memory_bytes = max(used, observed.peak_memory_bytes or 0)
