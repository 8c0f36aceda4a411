"""How much the Models page takes from a browser, as ``.env`` says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import values
from models_page.arrivals import LIMIT, SECONDS, Arrivals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def arrivals(folder: Path, variables: Mapping[str, str]) -> tuple[Arrivals | None, str]:
    """Where tables arrive; or None and a sentence: a value that is none keeps them out, and the page stays up."""
    variable = "BULKHEAD_UPLOAD_LIMIT"
    try:
        limit = values.in_bytes(variables.get(variable) or LIMIT)
        variable = "BULKHEAD_UPLOAD_SECONDS"
        seconds = values.seconds(variables.get(variable) or SECONDS)
    except ValueError as error:
        return None, f"No table can be sent: {variable} is {error}. Fix .env, then run 'just up'."
    return Arrivals(folder, limit, seconds), ""
