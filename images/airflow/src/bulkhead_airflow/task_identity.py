"""Who a task is, in Airflow's context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead.identity import Identity

if TYPE_CHECKING:
    from airflow.sdk import Context


def identity_of(context: Context) -> Identity:
    """The try of the task that runs in ``context``."""
    ti = context["ti"]
    return Identity(
        dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, try_number=ti.try_number, map_index=ti.map_index
    )


def try_id_of(context: Context) -> str:
    """Airflow's id of this try: each has another, and its history keeps them."""
    return str(context["ti"].id)
