"""The service's settings: from the environment, checked once at start, and handed on as one frozen value."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from inference.following import Wanted, read_wanted
from segue.errors import InputError

_PREFIX = "SEGUE_"
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,63}$")]


def _networks(text: str) -> str:
    """Return ``text``, which has to hold addresses and networks: anything else would silently match nobody."""
    for one in text.split(","):
        if one.strip():
            ip_network(one.strip())
    return text


class Settings(BaseSettings):
    """What can be set, by environment variables of these names with ``SEGUE_`` before them."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, populate_by_name=True)

    bundle: Path | None = Field(None, description="Folder of the bundle to serve.")
    bundle_digest: Digest | None = Field(None, description="Digest that the bundle must have; another is refused.")
    bundle_version: str | None = Field(None, description="The bundle's version in the registry; shown, not checked.")
    trusted_keys: Path | None = Field(
        None, description="Folder of public keys, *.pem; one of them must have signed what is served."
    )
    follow: Path | None = Field(None, description="File that names the bundle to serve, read anew all the time.")
    follow_seconds: float = Field(1, gt=0, le=3600, description="How often to look for another bundle.")
    environment: Name = Field("local", description="Name of the environment; shown.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    # PORT alone: Kubernetes sets SEGUE_PORT=tcp://… in every pod of a namespace with a service named segue.
    port: int = Field(8000, ge=0, le=65535, validation_alias=AliasChoices("PORT"), description="Port to listen on.")
    concurrency: int | None = Field(
        None, ge=1, le=256, description="Requests that are worked on at once; two for each core unless set."
    )
    threads: int | None = Field(None, ge=1, le=256, description="CPU threads of one ranking; 1 unless set.")
    queue: int = Field(
        16, ge=0, le=10_000, description="Requests that may wait; further ones are answered 503 at once."
    )
    patience: float = Field(
        0.5, gt=0, le=60, description="Seconds that a request may wait for its turn before it is answered 503."
    )
    drain_seconds: float = Field(
        1, ge=0, le=300, description="How long /ready says no before the port closes at a stop."
    )
    database_url: str = Field("sqlite:///var/feedback.sqlite", description="Database that feedback is kept in.")
    api_keys: Path | None = Field(None, description="File of API keys: a name and a hash a line.")
    oidc_issuer: str = Field("", description="OpenID Connect provider whose bearer tokens are taken.")
    oidc_audience: str = Field("", description="Audience that such a token must be for.")
    access: Literal["open", "closed"] = Field(
        "open", description="closed: also who asks for a continuation or a search needs a key or a token."
    )
    rate_limit: float = Field(0, ge=0, description="Requests a second of one client; 0 limits nobody.")
    rate_burst: float = Field(20, ge=1, description="Requests that a client may send at once within its limit.")
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        "", description="Addresses or networks, by commas, whose X-Forwarded-For names the client."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")

    def source(self) -> Wanted:
        """Return what to serve now.

        Raises:
            InputError: The file to follow does not say.
        """
        if self.follow is not None:
            return read_wanted(self.follow)
        return Wanted(self.bundle or Path(), self.bundle_digest, self.bundle_version)


def variable(name: str) -> str:
    """Return the environment variable that sets the setting ``name``."""
    return "PORT" if name == "port" else f"{_PREFIX}{name.upper()}"


def read_settings(**given: Any) -> Settings:
    """Return the settings of the environment, those in ``given`` that are not None before it.

    Raises:
        InputError: A setting is missing or wrong; the sentence names its variable.
    """
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0])) from error
    if settings.bundle is None and settings.follow is None:
        raise InputError(f"The setting {variable('bundle')} is missing: {Settings.model_fields['bundle'].description}")
    return settings


def _sentence(error: Mapping[str, Any]) -> str:
    name = variable(str(error["loc"][0]).lower())
    return f"The setting {name} is {error['input']!r}, which cannot be used: {_reason(error)}."


def _reason(error: Mapping[str, Any]) -> str:
    return str(error["msg"]).removeprefix("Value error, ")


def unusable_address(host: str, port: int, error: OSError) -> InputError:
    """Return what to say where ``SEGUE_HOST`` and ``PORT`` are no address to listen on, or another process has it."""
    return InputError(
        f"Nothing can listen on {host} port {port} ({error.strerror or error}); "
        "choose another with PORT and SEGUE_HOST."
    )
