"""The service's settings: from the environment, checked once at start, and handed on as one frozen value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from segue.errors import InputError

_PREFIX = "SEGUE_"
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class Settings(BaseSettings):
    """What can be set, by environment variables of these names with ``SEGUE_`` before them."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, populate_by_name=True)

    bundle: Path = Field(description="Folder of the bundle to serve.")
    bundle_digest: Digest | None = Field(None, description="Digest that the bundle must have; another is refused.")
    bundle_version: str | None = Field(None, description="The bundle's version in the registry; shown, not checked.")
    environment: str = Field("local", description="Name of the environment; shown.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    # PORT alone: Kubernetes sets SEGUE_PORT=tcp://… in every pod of a namespace with a service named segue.
    port: int = Field(8000, ge=0, le=65535, validation_alias=AliasChoices("PORT"), description="Port to listen on.")
    concurrency: int = Field(2, ge=1, le=64, description="Requests that are worked on at once; the others wait.")
    threads: int | None = Field(
        None, ge=1, le=256, description="CPU threads of one ranking; all cores unless set. Set a container's CPU limit."
    )
    drain_seconds: float = Field(
        1, ge=0, le=300, description="How long /ready says no before the port closes at a stop."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")


def variable(name: str) -> str:
    """Return the environment variable that sets the setting ``name``."""
    return "PORT" if name == "port" else f"{_PREFIX}{name.upper()}"


def read_settings(**given: Any) -> Settings:
    """Return the settings of the environment, those in ``given`` that are not None before it.

    Raises:
        InputError: A setting is missing or wrong; the sentence names its variable.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0])) from error


def _sentence(error: Mapping[str, Any]) -> str:
    name = variable(str(error["loc"][0]).lower())
    if error["type"] == "missing":
        return f"The setting {name} is missing: {Settings.model_fields[name.removeprefix(_PREFIX).lower()].description}"
    return f"The setting {name} is {error['input']!r}, which cannot be used: {error['msg']}."
