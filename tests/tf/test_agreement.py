"""Where two files of tf/ or its page have to say the same; read as text, so that no tool is needed."""

import re
from pathlib import Path

import pytest
import yaml

from tests.ground.locks import ROOT

TF = ROOT / "tf"
ROOTS = ["kvm", "libvirt"]


def _variables(folder: Path) -> set[str]:
    return set(re.findall(r'^variable "(\w+)"', (folder / "variables.tf").read_text(), re.MULTILINE))


@pytest.mark.parametrize("root", ROOTS)
def test_the_provider_that_is_built_is_the_one_that_is_asked_for(root: str) -> None:
    """versions.tf and the go.mod that builds its provider name one exact version."""
    [(source, version)] = re.findall(
        r'source\s+= "([\w-]+/[\w-]+)"\s+version = "([\d.]+)"', (TF / root / "versions.tf").read_text()
    )
    module = (TF / "providers" / source.split("/")[1] / "go.mod").read_text()
    [tool] = re.findall(r"^tool (\S+)$", module, re.MULTILINE)
    assert f"\t{tool} v{version} // indirect\n" in module


@pytest.mark.parametrize("root", ROOTS)
def test_every_way_to_machines_asks_the_same_of_the_nodes(root: str) -> None:
    """What modules/nodes takes is a variable of every root, so that one set of values fits all of them."""
    assert _variables(TF / "modules" / "nodes") <= _variables(TF / root)


def test_the_gateway_is_opened_where_it_listens() -> None:
    """The default of gateway_ports, on its page too, is the node port of Traefik's service."""
    services = yaml.safe_load_all((ROOT / "k8s" / "platform" / "traefik" / "traefik.yaml").read_text())
    listens = {port["nodePort"] for one in services if one["kind"] == "Service" for port in one["spec"]["ports"]}
    variables = (TF / "kvm" / "variables.tf").read_text()
    [opened] = re.findall(r'^variable "gateway_ports" \{[^}]*?default\s+= \[([\d, ]+)\]', variables, re.MULTILINE)
    page = (ROOT / "docs" / "machines.md").read_text()
    [said] = re.findall(r"^\| `gateway_ports` \| ([\d, ]+) \|", page, re.MULTILINE)
    assert listens == {int(port) for port in opened.split(",")} == {int(port) for port in said.split(",")}


@pytest.mark.parametrize("root", ROOTS)
def test_every_variable_is_explained(root: str) -> None:
    """docs/machines.md has a line for each variable."""
    explained = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "machines.md").read_text(), re.MULTILINE))
    assert _variables(TF / root) <= explained


@pytest.mark.parametrize("root", ROOTS)
def test_the_page_names_only_variables_that_exist(root: str) -> None:
    """The examples of values in docs/machines.md set nothing that Terraform would not know."""
    page = (ROOT / "docs" / "machines.md").read_text()
    [example] = re.findall(rf"^    # tf/{root}/segue\.tfvars\n((?:    .*\n)+)", page, re.MULTILINE)
    assert set(re.findall(r"^    (\w+) +=", example, re.MULTILINE)) <= _variables(TF / root)
