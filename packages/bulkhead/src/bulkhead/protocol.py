"""The version of what Airflow and the step images tell each other: the result file, and how a step is called.

The standard library is enough here: the scripts that start a step by hand have nothing else.
"""

PROTOCOL = 2
"""Raise it with a change that an older image could not read, or whose files it could not write."""

_LIKE = {2: {1}}
"""By version, those whose result a step reads as its own: a run that an earlier version began goes on."""


def is_read_by_steps(version: int) -> bool:
    """Whether a step takes the result that the step before it wrote in ``version``."""
    return version == PROTOCOL or version in _LIKE.get(PROTOCOL, ())
