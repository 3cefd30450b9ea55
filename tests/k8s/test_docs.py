"""docs/platform.md tells what is there: the secrets that an installation brings, the waves, the folders."""

import re
from typing import Any

from tests.k8s.pods import Renders
from tests.k8s.rendering import ROOT
from tests.workflows.commands import templates

PAGE = (ROOT / "docs" / "platform.md").read_text()


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table whose head begins with a word."""
    text = PAGE.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()[2:]]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def named(value: Any) -> set[str]:
    """Return every Secret that an object names."""
    if isinstance(value, list):
        return set().union(*map(named, value))
    if not isinstance(value, dict):
        return set()
    own = {value["secretName"]} if isinstance(value.get("secretName"), str) else set()
    own |= {value[key]["name"] for key in ("secretKeyRef", "accessKeySecret") if isinstance(value.get(key), dict)}
    return own.union(*map(named, value.values()))


def test_every_secret_of_an_installation_is_told(rendered: Renders) -> None:
    """With the namespaces in which it is read; one that nobody reads is not asked for."""
    told = {(secret, place) for cells in table("Secret") for secret in words(cells[0]) for place in words(cells[1])}
    read = {
        (secret, one["metadata"].get("namespace", ""))
        for found in rendered.values()
        for one in found
        for secret in named(one)
    }
    assert told == read


def test_the_waves_are_told(rendered: Renders) -> None:
    """Every application of the platform, in its wave."""
    told = {name: cells[1] for cells in table("application") for name in words(cells[0])}
    waves = {
        one["metadata"]["name"]: one["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
        for one in rendered["k8s/roots/platform"]
        if one["kind"] == "Application"
    }
    assert told == waves


def test_what_can_be_submitted_is_told() -> None:
    """Each template with its parameters, but for those that people leave alone."""
    told = {name: words(cells[1]) for cells in table("template") for name in words(cells[0])}
    for name, template in templates().items():
        parameters = {one["name"] for one in template["spec"]["arguments"]["parameters"]} - {"profiles", "code"}
        assert parameters <= told[name], name
