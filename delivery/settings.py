"""The settings of delivery: from flags and the environment, checked once, and handed on as one frozen value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from segue.errors import InputError

_PREFIX = "SEGUE_"


class Settings(BaseSettings):
    """What can be set, by environment variables of these names with ``SEGUE_`` before them."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, populate_by_name=True)

    workspace: Path = Field(Path("var"), description="Folder of everything that a run makes.")
    store: str = Field("", description="Object store: a folder, or s3://bucket/prefix (default: WORKSPACE/store).")
    s3_endpoint: str = Field("", description="Address of an S3 service that is not Amazon's own.")
    signing_key: Path | None = Field(
        None, description="PEM file of the private key that signs what is published; without it nothing is signed."
    )
    gitops: Path | None = Field(None, description="Git repository of the pins (default: WORKSPACE/gitops).")
    gitops_remote: str = Field("", description="Remote of that repository to pull from and push to; none by default.")
    git_name: str = Field("", description="Author of the commits (default: Git's user.name, else Segue).")
    git_email: str = Field("", description="Their address (default: Git's user.email, else segue@localhost).")
    services: str = Field(
        "http://segue.segue-{environment}.svc", description="Address of an environment's service, by its name."
    )
    prometheus: str = Field("", description="Address of Prometheus; without it no canary passes.")
    database_url: str = Field("", description="Database of feedback, read for the online verdict.")
    asked_by: str = Field("", description="Who or what asks for a promotion; kept in its commits.")
    # MLflow's own variable, so that its other tools and the training stages look at the same place.
    tracking_uri: str = Field(
        "",
        validation_alias=AliasChoices("MLFLOW_TRACKING_URI"),
        description="MLflow server (default: files under WORKSPACE).",
    )

    @field_validator("services")
    @classmethod
    def _an_address(cls, services: str) -> str:
        try:
            told = urlsplit(services.format(environment="staging"))
        except (LookupError, ValueError) as error:
            raise ValueError("the only placeholder is {environment}") from error
        if told.scheme not in ("http", "https") or not told.hostname:
            raise ValueError("it is no http:// or https:// address")
        return services

    @property
    def store_address(self) -> str:
        """Where bundles are kept."""
        return self.store or str(self.home / "store")

    @property
    def home(self) -> Path:
        """The workspace as an absolute path."""
        return self.workspace.absolute()

    @property
    def repository(self) -> Path:
        """The Git repository of the pins."""
        return (self.gitops or self.home / "gitops").absolute()

    @property
    def cache(self) -> Path:
        """Where bundles that were fetched from the store stand on this machine, one folder a digest."""
        return self.home / "bundles"

    @property
    def tracking(self) -> str:
        """The address of MLflow's tracking store and registry."""
        return self.tracking_uri or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def artifacts(self) -> str:
        """Where MLflow keeps the files of runs; "" leaves it to the server of `tracking`."""
        return "" if self.tracking_uri else str(self.home / "mlartifacts")


def variable(name: str) -> str:
    """Return the environment variable that sets the setting ``name``."""
    return "MLFLOW_TRACKING_URI" if name == "tracking_uri" else f"{_PREFIX}{name.upper()}"


def read_settings(**given: Any) -> Settings:
    """Return the settings of the environment, those in ``given`` that are not None before it.

    Raises:
        InputError: A setting is wrong; the sentence names its variable.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0])) from error


def _sentence(error: Mapping[str, Any]) -> str:
    name = variable(str(error["loc"][0]).lower())
    return f"The setting {name} is {error['input']!r}, which cannot be used: {error['msg']}."
