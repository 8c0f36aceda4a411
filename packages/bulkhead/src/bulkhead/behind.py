"""Work that a thread does behind its giver."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


class Behind:
    """Does one thing after another, each while its giver goes on; what is given holds no more than two in memory.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._last: Future[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def do(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Begin ``work``, once what was given before is done.

        Raises:
            Exception: what that has raised.
        """
        self.wait()
        self._last = self._thread.submit(work, *arguments)

    def wait(self) -> None:
        """Until all is done.

        Raises:
            Exception: what the last has raised.
        """
        if self._last is not None:
            self._last.result()

    def stop(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        self._thread.shutdown(cancel_futures=True)
        self._last = None  # its error knows who called, and they this: a circle would keep all of them, and threads
