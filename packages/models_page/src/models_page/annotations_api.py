"""The JSON API's routes that write: notes and tags of models, in the name of who is logged in.

The API server cannot write the registry: the registrar does, asked on a socket that nobody else has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from bulkhead import environments
from bulkhead.queries import annotating
from bulkhead.queries.annotating import NotAnnotated
from bulkhead.registry import notes
from models_page import filters, responses
from models_page.query_parameters import NothingAsked  # noqa: TC001  # FastAPI reads the annotations
from models_page.registry_view import AmbiguousModel, NoSuchModel

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from models_page.readers import Readers
    from models_page.registry_view import ModelDetails, RegistryView

_LONGEST_BODY = 32 << 10
"""Bytes: of the longest note, every character escaped, twice over."""

Model = Annotated[
    str,
    Path(max_length=1000, description="Its short name (`churn #12`), 6 or more characters of its hash, or its file."),
]
Key = Annotated[str, Path(max_length=300, description=f"Letters, digits, `_.-`; at most {notes.LONGEST_KEY}.")]

WRONG_MODEL: dict[int | str, dict[str, Any]] = {
    404: {"model": responses.ProblemResponse, "description": "No such model"},
    409: {"model": responses.ProblemResponse, "description": "Several models could be meant"},
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    **WRONG_MODEL,
    **{
        code: {"model": responses.ProblemResponse, "description": words}
        for code, words in (
            (401, "Not logged in"),
            (403, "Not permitted"),
            (413, "Too large"),
            (422, "No note or tag that is kept"),
            (503, "The registry is still being read, or the registrar is away"),
        )
    },
}


class NoteBody(BaseModel):
    """What is to be noted."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(description=f"At most {notes.LONGEST_NOTE} characters.")


class TagBody(BaseModel):
    """What the tag's value is to be."""

    model_config = ConfigDict(extra="forbid")
    value: str = Field(description=f"At most {notes.LONGEST_VALUE} characters.")


class _BoundedRequest(Request):
    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            read = bytearray()
            async for piece in self.stream():
                read += piece
                if len(read) > _LONGEST_BODY:
                    raise HTTPException(413, f"The body is longer than {_LONGEST_BODY} bytes. Send less.")
            self._body = bytes(read)
        return self._body


class _BoundedRoute(APIRoute):
    """Reads no more of a body than a note can have."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            return await handler(_BoundedRequest(request.scope, request.receive))

        return bounded


def router(readers: Readers, registry_view: RegistryView) -> APIRouter:
    """The routes."""
    api = APIRouter(
        prefix="/api/v1/models/{model}",
        responses=_REFUSALS,
        dependencies=[Depends(readers.look)],
        route_class=_BoundedRoute,
    )

    @api.post("/notes", status_code=201, summary="Write a note about a model version; it stays")
    def post_note(request: Request, model: Model, body: NoteBody, _: NothingAsked) -> responses.NoteResponse:
        found = _writable(registry_view, model, request)
        try:
            made = annotating.note(found.record.model_filename, request.state.visitor.name, body.text)
        except NotAnnotated as error:
            raise _problem(error) from None
        return responses.NoteResponse.of(made)

    @api.put("/tags/{key}", summary="Give a model version a tag, or another value of it")
    def put_tag(request: Request, model: Model, key: Key, body: TagBody, _: NothingAsked) -> responses.TagResponse:
        found = _writable(registry_view, model, request)
        try:
            made = annotating.tag(found.record.model_filename, request.state.visitor.name, key, body.value)
        except NotAnnotated as error:
            raise _problem(error) from None
        return responses.TagResponse.of(made)

    @api.delete("/tags/{key}", status_code=204, summary="Take a tag away from a model version")
    def delete_tag(request: Request, model: Model, key: Key, _: NothingAsked) -> None:
        found = _writable(registry_view, model, request)
        try:
            annotating.tag(found.record.model_filename, request.state.visitor.name, key, None)
        except NotAnnotated as error:
            raise _problem(error) from None

    return api


def may_annotate(request: Request, found: ModelDetails) -> bool:
    """Whether the visitor may write notes and tags of this model: as who may train it where it was published."""
    record = found.record
    return bool(request.state.visitor.may_trigger(environments.dag_id(record.environment, "train_model", record.name)))


def model_or_problem(registry_view: RegistryView, name: str) -> ModelDetails:
    """The model that ``name`` means.

    Raises:
        HTTPException: there is none, or there are several.
    """
    try:
        return registry_view.model(name)
    except AmbiguousModel as error:
        raise HTTPException(409, str(responses.sound(str(error)))) from None
    except NoSuchModel as error:
        shown, why = filters.text(name, 200), filters.text(str(error), 1000)
        raise HTTPException(404, f"The Model with filename: `{shown}` was not found: {why}") from None


def _writable(registry_view: RegistryView, name: str, request: Request) -> ModelDetails:
    found = model_or_problem(registry_view, name)
    if not may_annotate(request, found):
        dag = environments.dag_id(found.record.environment, "train_model", found.record.name)
        raise HTTPException(
            403, f"Notes and tags of this model take the permission to trigger {filters.text(dag, 200)}. Ask for it."
        )
    return found


def _problem(error: NotAnnotated) -> HTTPException:
    status = error.status if error.status in _REFUSALS else 503
    return HTTPException(status, str(responses.sound(str(error))))
