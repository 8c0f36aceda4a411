"""Airflow's own login and permissions, for the Models page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from starlette.exceptions import HTTPException

from models_page.login import NotLoggedIn, Visitor

if TYPE_CHECKING:
    from starlette.requests import Request


class AirflowAccess:
    """Who Airflow says is asking: by the UI's cookie, or by a token in the Authorization header."""

    async def visitor(self, request: Request) -> Visitor:
        """The user of ``request``.

        Raises:
            NotLoggedIn: there is no token, or not a valid one.
        """
        try:
            user = await get_user(request, None, await bearer_scheme(request))
        except HTTPException as error:
            raise NotLoggedIn(str(error.detail)) from None
        return Visitor(
            name=str(user.get_name()),
            may_read=lambda dag_id: _may(user, "GET", dag_id),
            may_trigger=lambda dag_id: _may(user, "POST", dag_id),
        )


def _may(user: Any, method: Literal["GET", "POST"], dag_id: str) -> bool:
    """Whether ``user`` may read (or, by POST, trigger) the runs of the DAG ``dag_id``; it need not exist."""
    return bool(
        get_auth_manager().is_authorized_dag(
            method=method, access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user
        )
    )
