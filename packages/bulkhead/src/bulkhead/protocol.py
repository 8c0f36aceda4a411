"""The version of what Airflow and the step images tell each other: the result file, and how a step is called.

The standard library is enough here: the scripts that start a step by hand have nothing else.
"""

PROTOCOL = 2
"""Raise it with a change that an older image could not read, or whose files it could not write."""
