"""How the two programs run: until somebody tells them to end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def until_told(work: Awaitable[None]) -> None:
    """Do ``work`` until SIGTERM or SIGINT, which cancels it.

    Raises:
        Exception: what ``work`` raises.
    """
    serving = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serving
