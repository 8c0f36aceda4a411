"""The JSON API behind the pages: it reads, and changes nothing. What writes is :mod:`models_page.annotations_api`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Path, Response

from bulkhead import clock
from bulkhead.errors import Refused
from bulkhead.queries import hosts
from models_page import annotations_api, attempt_responses, query_parameters, responses
from models_page.attempts_view import NoSuchAttempt
from models_page.query_parameters import (  # noqa: TC001  # FastAPI reads the annotations
    AttemptsAskedOfApi,
    FailuresAskedOfApi,
    ModelsAskedOfApi,
    NothingAsked,
    PlacesAskedOfApi,
)
from models_page.registry_view import AmbiguousModel, NoSuchModel

if TYPE_CHECKING:
    from bulkhead.index.attempts import AttemptFilter
    from bulkhead.maintenance.background_verify import BackgroundVerify
    from bulkhead.paths import JournalName
    from models_page.attempts_view import Attempts, AttemptsView
    from models_page.query_parameters import FailuresQuery
    from models_page.readers import Readers
    from models_page.registry_view import RegistryView

BOTH: tuple[JournalName, ...] = ("training", "inference")

REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": responses.ProblemResponse, "description": words}
    for code, words in ((401, "Not logged in"), (403, "Not permitted"), (503, "The registry is still being read"))
}
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": responses.ProblemResponse, "description": "There is none"}}


def router(
    readers: Readers, registry_view: RegistryView, attempts_view: AttemptsView, background_verify: BackgroundVerify
) -> APIRouter:
    """The API's routes."""
    api = APIRouter(prefix="/api/v1", responses=REFUSALS, dependencies=[Depends(readers.look)])

    @api.get("/environments", summary="What each environment serves of each model")
    def get_environments(_: NothingAsked) -> responses.EnvironmentCollectionResponse:
        found = [responses.EnvironmentResponse.of(served) for served in registry_view.served()]
        return responses.EnvironmentCollectionResponse(
            environments=found, total_entries=len(found), unreadable_lines=readers.look().trainings.unreadable
        )

    @api.get("/models", summary="Published and promoted model versions, newest first")
    def get_models(asked: ModelsAskedOfApi) -> responses.ModelCollectionResponse:
        wanted = asked.selection
        if asked.data_sha256 is not None:
            wanted = msgspec.structs.replace(wanted, data=asked.data_sha256)
        try:
            found = registry_view.models(asked.limit, wanted, asked.begin)
        except Refused as error:
            raise HTTPException(422, str(error)) from None
        return responses.ModelCollectionResponse(
            models=[responses.ModelResponse.short(version) for version in found.listed],
            total_entries=found.total,
            files=found.files,
            unreadable_lines=readers.look().trainings.unreadable,
            next_cursor=None if found.cursor is None else str(found.cursor),
        )

    @api.get(
        "/models/{model:path}",
        summary="One model version: its states, notes, tags, decisions and records",
        responses=annotations_api.WRONG_MODEL,
    )
    def get_model(model: annotations_api.Model, _: NothingAsked) -> responses.ModelHistoryResponse:
        return responses.ModelHistoryResponse.of(annotations_api.model_or_problem(registry_view, model))

    @api.get(
        "/metrics",
        summary="Metrics of published model versions, oldest first",
        response_model=responses.PointCollectionResponse,
    )
    def get_metrics(asked: PlacesAskedOfApi) -> Response:
        found = registry_view.points(asked.environment, asked.name)
        names = registry_view.short_names(point.model_filename for point in found)
        points = [
            {
                "at": responses.moment(point.time),
                "environment": point.environment,
                "name": point.name,
                "model_filename": point.model_filename,
                "short_name": names.get(point.model_filename),
                "metrics": point.metrics,
                "r2": point.metrics.get("r2"),
                "rmse": point.metrics.get("rmse"),
            }
            for point in found
        ]
        # There may be ten thousand: encoded at once, and not validated once more.
        content = msgspec.json.encode({"points": points, "total_entries": len(points)})
        return Response(content, media_type="application/json")

    @api.get("/inferences", summary="Inferences, finished and failed, newest first")
    def get_inferences(asked: AttemptsAskedOfApi) -> attempt_responses.InferenceCollectionResponse:
        found = _attempts(("inference",), asked, named(asked.filter), asked.limit)
        return attempt_responses.InferenceCollectionResponse(
            inferences=[attempt_responses.AttemptResponse.of(*shown) for shown in found.shown],
            total_entries=found.total,
            next_cursor=query_parameters.cursor_of(found.cursor),
        )

    @api.get("/inferences/{offset}", summary="One finished inference, by the byte of its record", responses=_UNKNOWN)
    def get_inference(
        offset: Annotated[int, Path(ge=0, description="`offset` of an inference.")], _: NothingAsked
    ) -> attempt_responses.AttemptResponse:
        try:
            record = attempts_view.inference(offset)
        except NoSuchAttempt:
            detail = f"models/log_inference.txt has no inference at byte {offset}. Ask for one of /inferences."
            raise HTTPException(404, detail) from None
        return attempt_responses.AttemptResponse.of_inference(offset, attempts_view.time_of(record), record)

    @api.get("/failures", summary="Failed attempts of both pipelines, newest first")
    def get_failures(asked: FailuresAskedOfApi) -> attempt_responses.FailureCollectionResponse:
        found = _attempts(BOTH, asked, asked.filter, asked.limit)
        return attempt_responses.FailureCollectionResponse(
            failures=[attempt_responses.AttemptResponse.of(*shown) for shown in found.shown],
            total_entries=found.total,
            next_cursor=query_parameters.cursor_of(found.cursor),
        )

    def named(wanted: AttemptFilter) -> AttemptFilter:
        try:
            return with_model_file(registry_view, wanted)
        except AmbiguousModel as error:
            raise HTTPException(409, str(responses.sound(str(error)))) from None

    def _attempts(
        journals: tuple[JournalName, ...], asked: FailuresQuery, wanted: AttemptFilter, limit: int
    ) -> Attempts:
        return attempts_view.attempts(journals, wanted, limit, asked.begin, oldest_first=asked.oldest_first)

    @api.get("/verify", summary="Result of the last verify")
    def get_verify(_: NothingAsked) -> responses.VerifyResponse:
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
    def get_hosts(_: NothingAsked) -> responses.HostCollectionResponse:
        try:
            found = hosts.listing()
        except Refused as error:
            raise HTTPException(503, str(error)) from None
        return responses.HostCollectionResponse(hosts=[responses.HostResponse.of(one) for one in found])

    @api.get("/index", summary="How much of the two journals has been read")
    def get_index(_: NothingAsked) -> responses.IndexResponse:
        return responses.IndexResponse.of(readers.look(), readers.seen())

    return api


def with_model_file(registry_view: RegistryView, wanted: AttemptFilter) -> AttemptFilter:
    """``wanted`` with the file of the model that it names; a name that is no model's is left: it made nothing.

    Raises:
        AmbiguousModel: several could be meant.
    """
    if wanted.model is None:
        return wanted
    try:
        return msgspec.structs.replace(wanted, model=registry_view.called(wanted.model).filename)
    except AmbiguousModel:
        raise
    except NoSuchModel:
        return wanted
