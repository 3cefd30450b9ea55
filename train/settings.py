"""Settings as typed, frozen dataclasses: plain values in, checked types out."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segue.errors import InputError

CONFIG = "config.json"
"""Where a stage keeps its settings with its output; they name the folders of its inputs for the stages after it."""
Settings = TypeVar("Settings")


def typed(kind: type[Settings], values: Mapping[str, Any] | DictConfig, owner: str) -> Settings:
    """Return ``values`` as the dataclass ``kind``.

    Args:
        kind: A frozen dataclass, whose fields may be frozen dataclasses.
        values: A value for every field.
        owner: Whose settings they are, for errors.

    Raises:
        InputError: A value is missing, unknown or of the wrong type.
    """
    try:
        merged = OmegaConf.merge(_schema(kind), values)
        if missing := sorted(OmegaConf.missing_keys(merged)):
            raise InputError(f"{owner} needs {missing[0]}: add {missing[0]}=… to the command.")
        return cast(Settings, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise InputError(f"The settings of {owner} are wrong: {str(error).strip().splitlines()[0]}.") from error


def _schema(kind: type) -> DictConfig:
    """Return the types of the settings; a frozen dataclass would refuse the values that are yet to come."""
    schema = OmegaConf.structured(kind)
    for node in (schema, *(schema._get_node(key) for key in schema)):
        if isinstance(node, DictConfig):
            OmegaConf.set_readonly(node, False)
    return cast(DictConfig, schema)
