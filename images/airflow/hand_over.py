#!/usr/bin/env python3
"""Give what the service that ran here before has left to the one that starts now: ``hand-over [scheduler|triggerer]``.

Airflow takes a scheduler for dead when its heartbeat is late by a threshold, and then gives its tasks to the next try.
Under load a heartbeat is late without anybody being dead, so the threshold is long; after a real crash nobody should
wait for it. Here a crash is known: there is one scheduler in a stack, in one container, and this runs before it starts.
So whatever scheduler the database calls running has gone, and with its container all processes that ran tasks for it.

That no work is lost is not decided here. Steps run in containers of their own, which nothing here touches: the next
try finds the container, running or finished, and goes on with it. A scheduler that is started a second time by hand,
beside the first, would take the first one's tasks in the same harmless way: two tries would follow one container, and
the registrar gives both the one outcome.

A triggerer's triggers go to another one half a minute after its last heartbeat. They decide nothing, and may run twice;
so those of the one that has gone are given to the one that starts now, too.
"""

from __future__ import annotations

import os
import sys

JOBS_THAT_HAVE_GONE = """
UPDATE job SET state = 'failed', end_date = CURRENT_TIMESTAMP
WHERE job_type = :kind AND state = 'running'
"""
"""As Airflow does it itself, later; what starts now gives their tasks to the next try, or takes their triggers."""
SERVICES = {
    "scheduler": ("SchedulerJob", "its tasks go to their next try"),
    "triggerer": ("TriggererJob", "its triggers are this one's"),
}
"""By service, Airflow's name for what it does, and what becomes of that."""


def main() -> int:
    """Mark them; returns an exit code."""
    service = sys.argv[1] if len(sys.argv) > 1 else "scheduler"
    if service not in SERVICES:
        print(f"hand-over: {service!r} is neither of {' and '.join(SERVICES)}", file=sys.stderr)
        return 2
    kind, becomes = SERVICES[service]
    # Without Airflow itself, whose import takes longer than all of this.
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    engine = create_engine(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    try:
        with engine.begin() as connection:
            count = connection.execute(text(JOBS_THAT_HAVE_GONE), {"kind": kind}).rowcount
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0]
        print(
            f"hand-over: Airflow's database: {reason}. Start Postgres ('just up'); this is tried again.",
            file=sys.stderr,
        )
        return 1
    if count:
        print(f"hand-over: the {service} before this one has ended; {becomes} ({count} marked)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
