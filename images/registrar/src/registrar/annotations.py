"""What the registrar answers on the page's socket: notes and tags, in the name of whom the API server has logged in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from bulkhead.errors import NoModel, Refused
from bulkhead.identity import Identity
from bulkhead.registrar_protocol import Annotated, AnnotateRequest
from bulkhead.registry import annotating
from bulkhead.registry.annotating import NoTag, Unfit
from bulkhead.registry.lock import LockHeld
from bulkhead.unix_http import Refusal, Request, Response
from registrar.database import Away
from registrar.service import read

if TYPE_CHECKING:
    from registrar.books import Books

logger = logging.getLogger(__name__)

_NOT_FOUND, _CONFLICT, _UNFIT, _AWAY = 404, 409, 422, 503


class PageRoutes:
    """``POST /annotate``, and nothing else: whoever has this socket can neither conclude nor fail a step."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def __call__(self, request: Request) -> Response:
        """The answer to ``request``.

        Raises:
            Refusal: why there is none.
        """
        if (request.method, request.path) != ("POST", "/annotate"):
            raise Refusal(_NOT_FOUND, f"{request.method} {request.path[:60]} is nothing that is done here.")
        asked = read(request, AnnotateRequest)
        try:
            return Response(200, msgspec.json.encode(self._annotated(asked)))
        except (Away, LockHeld) as error:
            raise Refusal(_AWAY, str(error)) from error
        except Unfit as error:
            raise Refusal(_UNFIT, str(error)) from error
        except (NoModel, NoTag) as error:
            raise Refusal(_NOT_FOUND, str(error)) from error
        except Refused as error:
            raise Refusal(_CONFLICT, str(error)) from error
        except OSError as error:
            logger.exception("%s is not annotated", asked.model_filename[:200])
            raise Refusal(_AWAY, f"the registry cannot be written: {error.strerror or error}") from error

    def _annotated(self, asked: AnnotateRequest) -> Annotated:
        registry, model, by = self._books.registry, asked.model_filename, asked.by
        with self._books.recording():
            if asked.kind == "note":
                answer = Annotated(note=annotating.note(registry, model, by, asked.text or "", Identity()))
            else:
                answer = Annotated(tag=annotating.tag(registry, model, by, asked.key or "", asked.value, Identity()))
        logger.info("%s: recorded a %s by %s", model, asked.kind, by[:60])
        return answer
