"""Whether two images would treat a table alike: the hash of a model's code in ``project/``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bulkhead import project_models
from modeling import source_files

if TYPE_CHECKING:
    from pathlib import Path

OLDER = "82850feed1ba0f19d0077754bbffdb5fe9c71ecde228fdfdb30908b0d97b2933"
"""Of the file that models of before ``project/`` were trained with; :mod:`modeling.older` has what it did."""


def fingerprint(name: str, folder: Path | None = None) -> str:
    """SHA-256, in hex, of the code of the model ``name``: any edit changes it, a comment's too.

    Args:
        name: the model.
        folder: another copy of the project; None: the one that is imported.
    """
    folder = folder or project_models.folder()
    digest = hashlib.sha256()
    for path in source_files.of_model(name, folder).files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
