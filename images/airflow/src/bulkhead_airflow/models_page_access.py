"""Airflow's own login and permissions, for the Models page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from models_page.login import NotLoggedIn, Visitor

if TYPE_CHECKING:
    from starlette.requests import Request

PIPELINES = tuple(
    f"{environment}_{pipeline}_dag" for environment in ("dev", "prd") for pipeline in ("train_model", "inference_pipe")
)
"""The DAGs whose runs the records tell of."""


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
            may_read=await run_in_threadpool(_may_read, user),
            may_trigger=lambda dag_id: _may_trigger(user, dag_id),
        )


def _may_read(user: Any) -> bool:
    manager = get_auth_manager()
    return all(
        manager.is_authorized_dag(
            method="GET", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user
        )
        for dag_id in PIPELINES
    )


def _may_trigger(user: Any, dag_id: str) -> bool:
    return bool(
        get_auth_manager().is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user
        )
    )
