"""The JSON API behind the pages: it reads, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Path, Response

from bulkhead import clock, formatting
from bulkhead.errors import Refused
from bulkhead.index.attempts import AttemptFilter
from bulkhead.queries import hosts
from models_page import filters, query_parameters, responses
from models_page.query_parameters import PAGE, Cursor, Data, Environment, Limit, Name
from models_page.registry_view import NoSuchModel

if TYPE_CHECKING:
    from bulkhead.maintenance.background_verify import BackgroundVerify
    from bulkhead.paths import JournalName
    from models_page.registry_view import RegistryView

BOTH: tuple[JournalName, ...] = ("training", "inference")

_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": responses.ProblemResponse, "description": words}
    for code, words in ((401, "Not logged in"), (403, "Not permitted"), (503, "The registry is still being read"))
}
Wants = Annotated[AttemptFilter, Depends(query_parameters.wanted)]


def router(registry_view: RegistryView, background_verify: BackgroundVerify) -> APIRouter:
    """The API's routes."""
    api = APIRouter(prefix="/api/v1", responses=_REFUSALS, dependencies=[Depends(registry_view.look)])

    @api.get("/environments", summary="What each environment serves of each model")
    def get_environments() -> responses.EnvironmentCollectionResponse:
        found = [
            responses.EnvironmentResponse(
                environment=served.environment,
                name=served.name,
                served=responses.ModelResponse.of(served.version) if served.version else None,
                rolls_back_to=served.previous,
                unreadable_at=served.unreadable,
            )
            for served in registry_view.served()
        ]
        return responses.EnvironmentCollectionResponse(
            environments=found, total_entries=len(found), unreadable_lines=registry_view.look().trainings.unreadable
        )

    @api.get("/models", summary="Published and promoted model versions, newest first")
    def get_models(
        environment: Environment = None,
        name: Name = None,
        data_sha256: Data = None,
        limit: Limit = PAGE,
        cursor: Cursor = None,
    ) -> responses.ModelCollectionResponse:
        found = registry_view.models(
            limit, environment=environment, name=name, data=data_sha256, cursor=query_parameters.number(cursor)
        )
        return responses.ModelCollectionResponse(
            models=[responses.ModelResponse.of(version) for version in found.listed],
            total_entries=found.total,
            unreadable_lines=registry_view.look().trainings.unreadable,
            next_cursor=None if found.cursor is None else str(found.cursor),
        )

    @api.get(
        "/models/{filename:path}",
        summary="One model version: its states, decisions and records",
        responses={404: {"model": responses.ProblemResponse, "description": "No such model"}},
    )
    def get_model(filename: Annotated[str, Path(max_length=1000)]) -> responses.ModelHistoryResponse:
        try:
            found = registry_view.model(filename)
        except NoSuchModel:
            detail = f"The Model with filename: `{filters.text(filename, 200)}` was not found"
            raise HTTPException(404, detail) from None
        return responses.ModelHistoryResponse(
            model_filename=responses.sound(found.record.model_filename),
            placings=[responses.ModelResponse.of(version) for version in found.versions],
            decisions=[responses.plain(decision) for decision in found.decisions],
            inferences=found.uses,
        )

    @api.get(
        "/metrics",
        summary="Metrics of published model versions, oldest first",
        response_model=responses.PointCollectionResponse,
    )
    def get_metrics(environment: Environment = None, name: Name = None) -> Response:
        points = [
            {
                "at": formatting.moment(point.time),
                "environment": point.environment,
                "name": point.name,
                "metrics": point.metrics,
                "r2": point.metrics.get("r2"),
                "rmse": point.metrics.get("rmse"),
            }
            for point in registry_view.points(environment, name)
        ]
        # There may be ten thousand: encoded at once, and not validated once more.
        content = msgspec.json.encode({"points": points, "total_entries": len(points)})
        return Response(content, media_type="application/json")

    @api.get("/inferences", summary="Inferences, finished and failed, newest first")
    def get_inferences(
        wanted: Wants, limit: Limit = PAGE, cursor: Cursor = None
    ) -> responses.InferenceCollectionResponse:
        found = registry_view.attempts(("inference",), wanted, limit, query_parameters.position(cursor))
        return responses.InferenceCollectionResponse(
            inferences=[responses.AttemptResponse.of(*shown) for shown in found.shown],
            total_entries=found.total,
            next_cursor=query_parameters.cursor_of(found.cursor),
        )

    @api.get("/failures", summary="Failed attempts of both pipelines, newest first")
    def get_failures(wanted: Wants, limit: Limit = PAGE, cursor: Cursor = None) -> responses.FailureCollectionResponse:
        failed = msgspec.structs.replace(wanted, outcome="failed")
        found = registry_view.attempts(BOTH, failed, limit, query_parameters.position(cursor))
        return responses.FailureCollectionResponse(
            failures=[responses.AttemptResponse.of(*shown) for shown in found.shown],
            total_entries=found.total,
            next_cursor=query_parameters.cursor_of(found.cursor),
        )

    @api.get("/verify", summary="Result of the last verify")
    def get_verify() -> responses.VerifyResponse:
        result = background_verify.latest()
        found = result.found if result else []
        return responses.VerifyResponse(
            running=background_verify.progress(),
            finished=None if result is None else clock.parse(result.finished),
            clean=None if result is None else result.is_clean,
            damage=result.damage if result else 0,
            notes=result.notes if result else 0,
            trouble=result.trouble if result else None,
            findings=[responses.FindingResponse.model_validate(responses.plain(one)) for one in found],
        )

    @api.get("/hosts", summary="The hosts on which steps run; none where there is but one")
    def get_hosts() -> responses.HostCollectionResponse:
        try:
            found = hosts.listing()
        except Refused as error:
            raise HTTPException(503, str(error)) from None
        return responses.HostCollectionResponse(hosts=[responses.HostResponse.of(one) for one in found])

    @api.get("/index", summary="How much of the two journals has been read")
    def get_index() -> responses.IndexResponse:
        return responses.IndexResponse.of(registry_view.look())

    return api
