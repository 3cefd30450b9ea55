"""What a request has to pass before anything is done for it: who asks, how often, in which form, and of which model.

All are coroutines, though few wait for anything: FastAPI would call plain functions in threads, which costs more than
what they do.
"""

from email.message import Message
from typing import Annotated

from fastapi import Depends, Header, HTTPException, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from inference.access import Principal, Refused, UnverifiableError
from inference.model import Model
from inference.service import Service
from inference.work import Overloaded

_LATER = {"Retry-After": "1"}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="segue"'}
_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key of the service.")
_BEARER = HTTPBearer(auto_error=False, description="An API key, or a token of the OpenID Connect provider.")


def service_of(request: Request) -> Service:
    """Return the service that the application was made for.

    Called, and not depended on: FastAPI goes through a dependency anew wherever it stands.
    """
    service: Service = request.app.state.service
    return service


async def caller(
    request: Request,
    key: Annotated[str | None, Security(_KEY)] = None,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
) -> Principal | None:
    """Return who asks, None for anybody, after counting the request against their rate."""
    service = service_of(request)
    secret = key or (bearer.credentials if bearer else "")
    address = request.client.host if request.client else ""
    if not secret:
        _count(service, address)
        return None
    try:
        principal = await service.recognise(secret)
    except Refused:
        _count(service, address)  # keys are too long to be guessed: this is for the work
        service.metrics.refusals.labels("access").inc()
        raise HTTPException(401, "The key or token is not valid here.", _CHALLENGE) from None
    except Overloaded:
        _count(service, address)
        raise
    except UnverifiableError:
        _count(service, address)  # anybody can make what looks like a token
        raise HTTPException(503, "Tokens cannot be verified at the moment.", {"Retry-After": "30"}) from None
    _count(service, principal.name)
    return principal


Caller = Annotated[Principal | None, Depends(caller)]


def _count(service: Service, client: str) -> None:
    wait = service.rate.take(client)
    if wait > 0:
        service.metrics.refusals.labels("rate").inc()
        raise HTTPException(429, "You ask more often than you may.", {"Retry-After": str(int(wait) + 1)})


async def listener(request: Request, principal: Caller) -> Principal | None:
    """Let who asks for a continuation or a search in: anybody, unless access is closed."""
    service = service_of(request)
    if service.settings.access == "closed" and principal is None:
        raise unknown_caller(service)
    return principal


Listener = Depends(listener)


def unknown_caller(service: Service) -> HTTPException:
    """Return the refusal of who shows no key."""
    service.metrics.refusals.labels("access").inc()
    return HTTPException(401, "This needs an API key or a bearer token.", _CHALLENGE)


async def model_of(request: Request) -> Model:
    """Return the model that answers this request from its beginning to its end."""
    model = service_of(request).model
    if model is None:
        raise HTTPException(503, "The model is still being verified and loaded.", _LATER)
    return model


async def json_only(request: Request) -> None:
    """Refuse a body that does not say that it is JSON, before it is taken for a malformed one."""
    message = Message()
    message["content-type"] = request.headers.get("content-type", "")
    kind = message.get_content_type()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, "Content-Type: it has to be application/json.")


JsonOnly = Depends(json_only)
ModelDep = Annotated[Model, Depends(model_of)]

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="Your name for this request; sent again under the same one, it counts once.",
        examples=["2f1c9a34-0a55-4c7e-9d3f-d9b41f1f6a53"],
    ),
]
