"""Others who are at work while a test looks."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def at_work(*workers: Callable[[], object], pause: float = 0) -> Iterator[None]:
    """Each of ``workers`` is called again and again during the block, in a thread of its own; none of them may raise.

    Args:
        workers: what is called.
        pause: seconds between two calls of one.
    """
    stop, errors = threading.Event(), []

    def work(worker: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                worker()
            except Exception as error:  # noqa: BLE001  # raised below, in the test's own thread
                errors.append(error)
                return
            stop.wait(pause)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
