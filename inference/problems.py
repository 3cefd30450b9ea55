"""Every answer that is no success is a problem document (RFC 9457): it names what is wrong, and nothing of our code."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from inference.feedback import FeedbackError
from inference.wire import Problem, ProblemError
from inference.work import Overloaded

MEDIA_TYPE = "application/problem+json"
_MOST_ERRORS = 10  # of a body with 500 wrong tracks the first ones tell enough
_LONGEST = 200  # the name of an unknown field is the client's own text, of any length


def problem(
    status: int, detail: str, errors: Sequence[ProblemError] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return a problem document as a response."""
    document = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors))
    return JSONResponse(
        document.model_dump(exclude_none=True, exclude={"errors"} if not errors else None),
        status,
        dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Make ``app`` answer errors with problem documents, and say so in its OpenAPI description."""
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(Overloaded, _overload_problem)
    app.add_exception_handler(FeedbackError, _feedback_problem)
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problem_media_type(describe())
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way to extend the description


@lru_cache(16)  # a refusal has to cost next to nothing
def too_much(retry_after: int) -> JSONResponse:
    """Return the answer to who asks while there is no place left, and may come again after so many seconds."""
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The service has as much to do as it can; come again after the seconds of Retry-After.",
        headers={"Retry-After": str(retry_after)},
    )


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that can end in these problems."""
    return {status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses}


def _with_problem_media_type(schema: dict[str, Any]) -> dict[str, Any]:
    """FastAPI describes every model as application/json; problems have a media type of their own."""
    for path in schema["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")):
                    response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
            if "security" in operation:  # FastAPI cannot say that it goes without, too
                operation["security"].append({})
    return schema


async def _http_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # what the handler is registered for
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = "There is nothing at this path; see /openapi.json for what there is."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"This path does not take {request.method[:20]}; see /openapi.json for what it takes."
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's "There was an error parsing the body"
        detail = "body: it cannot be read as JSON in UTF-8."
    return problem(error.status_code, detail, headers=error.headers)


async def _overload_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Overloaded)  # noqa: S101  # what the handler is registered for
    request.app.state.service.metrics.refusals.labels("overload").inc()
    return too_much(error.retry_after)


async def _feedback_problem(request: Request, error: Exception) -> JSONResponse:
    detail = "Feedback cannot be kept at the moment; send it again, under the same Idempotency-Key."
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "5"})


async def _validation_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # what the handler is registered for
    found = error.errors()
    errors = [_error(item) for item in found[:_MOST_ERRORS]]
    named = [f"{_field(item['loc'])}: {_message(item)}" for item in found[:_MOST_ERRORS]]
    more = f" (and {len(found) - _MOST_ERRORS} more)" if len(found) > _MOST_ERRORS else ""
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(named) + more, errors)


def _error(item: Mapping[str, Any]) -> ProblemError:
    where, *path = item["loc"]
    if where != "body":
        return ProblemError(pointer=None, parameter=_field(item["loc"]), detail=_message(item))
    if item["type"] == "json_invalid":
        path = []
    escaped = (_printable(part).replace("~", "~0").replace("/", "~1") for part in path)
    return ProblemError(pointer="#" + "".join(f"/{part}" for part in escaped), parameter=None, detail=_message(item))


def _message(item: Mapping[str, Any]) -> str:
    if item["type"] == "json_invalid":
        return f"not JSON at character {item['loc'][-1]}: {item['ctx']['error']}"
    return str(item["msg"]).removeprefix("Value error, ")


def _field(location: Iterable[int | str]) -> str:
    """Return ``tracks[0].track_name`` for ``("body", "tracks", 0, "track_name")``."""
    where, *path = location
    if where == "body" and len(path) == 1 and isinstance(path[0], int):  # a position in a text that is no JSON
        return "body"
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{_printable(part)}" for part in path)
    return name.removeprefix(".") or str(where)


def _printable(part: int | str) -> str:
    """Return a client's field name fit for a JSON answer: short, and without lone surrogates."""
    return str(part).encode("utf-8", "replace").decode()[:_LONGEST]
