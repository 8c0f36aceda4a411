"""The JSON API behind the pages: it reads, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Path, Response

from bulkhead import clock
from bulkhead.index.attempts import Wanted
from bulkhead_airflow.models_page import answers, asking, wording
from bulkhead_airflow.models_page.asking import PAGE, Cursor, Data, Environment, Limit
from bulkhead_airflow.models_page.catalogue import Unknown

if TYPE_CHECKING:
    from bulkhead.checkup import Checkup
    from bulkhead.records import Pipeline
    from bulkhead_airflow.models_page.catalogue import Catalogue

BOTH: tuple[Pipeline, ...] = ("training", "inference")

_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": answers.ProblemResponse, "description": words}
    for code, words in ((401, "Not logged in"), (403, "Not permitted"), (503, "The index is being made"))
}
Wants = Annotated[Wanted, Depends(asking.wanted)]


def router(catalogue: Catalogue, checkup: Checkup) -> APIRouter:
    """The API's routes."""
    api = APIRouter(prefix="/api/v1", responses=_REFUSALS, dependencies=[Depends(catalogue.look)])

    @api.get("/environments", summary="What each environment serves")
    def get_environments() -> answers.EnvironmentCollectionResponse:
        served = catalogue.served()
        found = [
            answers.EnvironmentResponse(
                environment=name,
                served=answers.ModelResponse.of(served[name]) if name in served else None,
                rolls_back_to=catalogue.rolls_back_to(name),
            )
            for name in catalogue.environments()
        ]
        return answers.EnvironmentCollectionResponse(environments=found, total_entries=len(found))

    @api.get("/models", summary="Published and promoted models, newest first")
    def get_models(
        environment: Environment = None, data_sha256: Data = None, limit: Limit = PAGE, cursor: Cursor = None
    ) -> answers.ModelCollectionResponse:
        found = catalogue.models(limit, environment=environment, data=data_sha256, cursor=asking.number(cursor))
        return answers.ModelCollectionResponse(
            models=[answers.ModelResponse.of(shown) for shown in found.shown],
            total_entries=found.total,
            next_cursor=None if found.cursor is None else str(found.cursor),
        )

    @api.get(
        "/models/{filename:path}",
        summary="Everything about one model file",
        responses={404: {"model": answers.ProblemResponse, "description": "No such model"}},
    )
    def get_model(filename: Annotated[str, Path(max_length=1000)]) -> answers.ModelHistoryResponse:
        try:
            found = catalogue.model(filename)
        except Unknown:
            detail = f"The Model with filename: `{wording.text(filename, 200)}` was not found"
            raise HTTPException(404, detail) from None
        return answers.ModelHistoryResponse(
            model_filename=answers.sound(found.record.model_filename),
            placings=[answers.ModelResponse.of(shown) for shown in found.placings],
            decisions=[answers.plain(decision) for decision in found.decisions],
            inferences=found.uses,
        )

    @api.get(
        "/metrics", summary="Metrics of published models, oldest first", response_model=answers.PointCollectionResponse
    )
    def get_metrics(environment: Environment = None) -> Response:
        points = [
            {"at": wording.moment(point.time), "environment": point.environment, "r2": point.r2, "rmse": point.rmse}
            for point in catalogue.points(environment)
        ]
        # Ten thousand of them: made as they are described, and not looked through once more.
        content = msgspec.json.encode({"points": points, "total_entries": len(points)})
        return Response(content, media_type="application/json")

    @api.get("/inferences", summary="Inferences, finished and failed, newest first")
    def get_inferences(
        wanted: Wants, limit: Limit = PAGE, cursor: Cursor = None
    ) -> answers.InferenceCollectionResponse:
        found = catalogue.attempts(("inference",), wanted, limit, asking.position(cursor))
        return answers.InferenceCollectionResponse(
            inferences=[answers.AttemptResponse.of(*shown) for shown in found.shown],
            total_entries=found.total,
            next_cursor=asking.cursor_of(found.cursor),
        )

    @api.get("/failures", summary="Failures of both pipelines, newest first")
    def get_failures(wanted: Wants, limit: Limit = PAGE, cursor: Cursor = None) -> answers.FailureCollectionResponse:
        failed = msgspec.structs.replace(wanted, outcome="failed")
        found = catalogue.attempts(BOTH, failed, limit, asking.position(cursor))
        return answers.FailureCollectionResponse(
            failures=[answers.AttemptResponse.of(*shown) for shown in found.shown],
            total_entries=found.total,
            next_cursor=asking.cursor_of(found.cursor),
        )

    @api.get("/verify", summary="The result of the last verify")
    def get_verify() -> answers.VerifyResponse:
        result = checkup.latest()
        found = result.found if result else []
        return answers.VerifyResponse(
            running=checkup.progress(),
            finished=None if result is None else clock.parse(result.finished),
            clean=None if result is None else result.is_clean,
            damage=result.damage if result else 0,
            notes=result.notes if result else 0,
            trouble=result.trouble if result else None,
            findings=[answers.FindingResponse.model_validate(answers.plain(one)) for one in found],
        )

    @api.get("/index", summary="How far the index is that answers all of this")
    def get_index() -> answers.IndexResponse:
        return answers.IndexResponse.of(catalogue.look())

    return api
