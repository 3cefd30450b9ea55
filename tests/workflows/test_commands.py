"""The templates call the command lines as they are: a verb or an option that is renamed fails here, not at night."""

import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import yaml

from delivery.stages import PIPELINE
from tests.workflows.commands import ROOT, Command, commands, templates


@cache
def help_of(room: str, verb: str) -> str:
    done = subprocess.run([sys.executable, "-m", room, verb, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"python -m {room} {verb} --help: {done.stderr}"
    return done.stdout


def settings_of(verb: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((ROOT / "train" / "conf" / f"{verb}.yaml").read_text())
    return settings


def name(command: Command) -> str:
    return f"{command.template}:{command.verb}"


@pytest.mark.parametrize("command", commands(), ids=name)
def test_a_step_calls_a_verb_with_options_that_it_has(command: Command) -> None:
    """Held against the command's own --help."""
    known = help_of(command.room, command.verb)
    for option in command.options:
        assert f"{option} " in known or f"{option}\n" in known or f"{option}]" in known, option


@pytest.mark.parametrize("command", [one for one in commands() if one.room == "train"], ids=name)
def test_a_training_step_names_settings_that_the_stage_has(command: Command) -> None:
    """All that have no default are given, and none that the stage does not know."""
    settings = settings_of(command.verb)
    assert set(command.settings) <= set(settings)
    assert {setting for setting, value in settings.items() if value == "???"} <= set(command.settings)


def test_the_whole_way_is_walked() -> None:
    """Every stage of the local road has its step here, and is called in the same way."""
    stages = yaml.safe_load((PIPELINE / "dvc.yaml").read_text())["stages"]
    local = {tuple(stage["cmd"].split()[2:4]) for stage in stages.values()}
    here = {(command.room, command.verb) for command in commands() if command.template.startswith("train-model/")}
    assert local | {("delivery", "fetch"), ("delivery", "publish")} == here


def test_profiles_are_those_of_the_local_road() -> None:
    """What trains a laptop's sample well trains the cluster's."""
    (profiles,) = [
        one for one in templates()["train-model"]["spec"]["arguments"]["parameters"] if one["name"] == "profiles"
    ]
    assert yaml.safe_load(profiles["value"]) == yaml.safe_load((PIPELINE / "profiles.yaml").read_text())
