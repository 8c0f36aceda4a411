"""Fill the index of a registry: ``python -m bulkhead.index MODELS FOLDER``. Servers start it where it is much work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bulkhead.index.store import Busy, Store


def main(models: str, folder: str) -> int:
    """Fill it, unless another process is doing so."""
    os.nice(10)  # whoever waits for a page goes first
    store = Store(Path(models), Path(folder))
    try:
        with store.writing(wait=False) as db:
            store.fill(db)
    except Busy:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
