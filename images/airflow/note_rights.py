#!/usr/bin/env python3
"""Let the registrar write the notes of runs: ``note-rights``, after ``airflow db migrate``.

The tables are Airflow's, so it is Airflow's role that gives the right: to see which run is which, and to write notes of
runs. The role has no other right (images/registrar, preparation.py, makes it).
"""

from __future__ import annotations

import os
import sys

from bulkhead.registrar_protocol import NOTES_ROLE

RIGHTS = (
    f'REVOKE ALL ON dag_run, dag_run_note FROM "{NOTES_ROLE}"',
    f'GRANT SELECT (id, dag_id, run_id) ON dag_run TO "{NOTES_ROLE}"',
    f'GRANT SELECT, INSERT, UPDATE ON dag_run_note TO "{NOTES_ROLE}"',
)


def main() -> int:
    """Give them; returns an exit code."""
    # Without Airflow itself, whose import takes longer than all of this.
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    engine = create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    try:
        with engine.begin() as connection:
            for right in RIGHTS:
                connection.execute(text(right))
    except SQLAlchemyError as error:
        print(f"note-rights: Airflow's database: {str(error).splitlines()[0]}. Run 'just up' again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
