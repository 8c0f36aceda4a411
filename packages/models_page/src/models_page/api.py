"""The JSON API behind the pages: it reads, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Path, Response

from bulkhead import clock
from bulkhead.index.attempts import AttemptFilter
from models_page import filters, query_parameters, responses
from models_page.query_parameters import PAGE, Cursor, Data, Environment, Limit
from models_page.registry_view import Unknown

if TYPE_CHECKING:
    from bulkhead.maintenance.background_verify import BackgroundVerify
    from bulkhead.registry.records import JournalName
    from models_page.registry_view import RegistryView

BOTH: tuple[JournalName, ...] = ("training", "inference")

_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": responses.ProblemResponse, "description": words}
    for code, words in ((401, "Not logged in"), (403, "Not permitted"), (503, "The index is being made"))
}
Wants = Annotated[AttemptFilter, Depends(query_parameters.wanted)]


def router(registry_view: RegistryView, background_verify: BackgroundVerify) -> APIRouter:
    """The API's routes."""
    api = APIRouter(prefix="/api/v1", responses=_REFUSALS, dependencies=[Depends(registry_view.look)])

    @api.get("/environments", summary="What each environment serves")
    def get_environments() -> responses.EnvironmentCollectionResponse:
        served = registry_view.served()
        found = [
            responses.EnvironmentResponse(
                environment=name,
                served=responses.ModelResponse.of(served[name]) if name in served else None,
                rolls_back_to=registry_view.rolls_back_to(name),
            )
            for name in registry_view.environments()
        ]
        return responses.EnvironmentCollectionResponse(environments=found, total_entries=len(found))

    @api.get("/models", summary="Published and promoted models, newest first")
    def get_models(
        environment: Environment = None, data_sha256: Data = None, limit: Limit = PAGE, cursor: Cursor = None
    ) -> responses.ModelCollectionResponse:
        found = registry_view.models(
            limit, environment=environment, data=data_sha256, cursor=query_parameters.number(cursor)
        )
        return responses.ModelCollectionResponse(
            models=[responses.ModelResponse.of(shown) for shown in found.shown],
            total_entries=found.total,
            next_cursor=None if found.cursor is None else str(found.cursor),
        )

    @api.get(
        "/models/{filename:path}",
        summary="Everything about one model file",
        responses={404: {"model": responses.ProblemResponse, "description": "No such model"}},
    )
    def get_model(filename: Annotated[str, Path(max_length=1000)]) -> responses.ModelHistoryResponse:
        try:
            found = registry_view.model(filename)
        except Unknown:
            detail = f"The Model with filename: `{filters.text(filename, 200)}` was not found"
            raise HTTPException(404, detail) from None
        return responses.ModelHistoryResponse(
            model_filename=responses.sound(found.record.model_filename),
            placings=[responses.ModelResponse.of(shown) for shown in found.placings],
            decisions=[responses.plain(decision) for decision in found.decisions],
            inferences=found.uses,
        )

    @api.get(
        "/metrics",
        summary="Metrics of published models, oldest first",
        response_model=responses.PointCollectionResponse,
    )
    def get_metrics(environment: Environment = None) -> Response:
        points = [
            {"at": filters.moment(point.time), "environment": point.environment, "r2": point.r2, "rmse": point.rmse}
            for point in registry_view.points(environment)
        ]
        # Ten thousand of them: made as they are described, and not looked through once more.
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

    @api.get("/failures", summary="Failures of both pipelines, newest first")
    def get_failures(wanted: Wants, limit: Limit = PAGE, cursor: Cursor = None) -> responses.FailureCollectionResponse:
        failed = msgspec.structs.replace(wanted, outcome="failed")
        found = registry_view.attempts(BOTH, failed, limit, query_parameters.position(cursor))
        return responses.FailureCollectionResponse(
            failures=[responses.AttemptResponse.of(*shown) for shown in found.shown],
            total_entries=found.total,
            next_cursor=query_parameters.cursor_of(found.cursor),
        )

    @api.get("/verify", summary="The result of the last verify")
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

    @api.get("/index", summary="How far the index is that answers all of this")
    def get_index() -> responses.IndexResponse:
        return responses.IndexResponse.of(registry_view.look())

    return api
