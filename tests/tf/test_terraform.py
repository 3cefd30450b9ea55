"""tf/ in Terraform's own words: formatted, valid, tested against the real providers, and read by Ansible."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ground.locks import ROOT
from tests.tf.terraform import MIRROR, copy_tf, messages, needs_providers, needs_terraform, refusals, terraform

pytestmark = needs_terraform

MODULES = ["nodes", "inventory"]
ROOTS = ["kvm", "libvirt"]
NODES = {
    "cluster_name": "tiny",
    "control_plane_count": 1,
    "worker_count": 1,
    "ssh_user": "segue",
    "ssh_public_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyThatOpensNothing admin@example"],
    "network_cidr": "10.20.0.0/24",
    "pod_cidr": "10.244.0.0/16",
}


@pytest.fixture(scope="module")
def tf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of tf/ in which every module is initialised, and every root too where the providers are built."""
    copy = copy_tf(tmp_path_factory.mktemp("terraform"))
    folders = [f"modules/{name}" for name in MODULES] + (ROOTS if MIRROR.exists() else [])
    for folder in folders:
        done = terraform(copy / folder, "init", "-backend=false", "-input=false")
        assert done.returncode == 0, done.stderr
    return copy


def _plan(folder: Path, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    given = folder / "given.auto.tfvars.json"
    given.write_text(json.dumps(values))
    try:
        return terraform(folder, "plan", "-json", "-input=false", "-refresh=false", "-lock=false")
    finally:
        given.unlink()


def _tested(folder: Path) -> list[dict[str, Any]]:
    """Run Terraform's tests of `folder`, all of which have to pass, and give the messages."""
    done = terraform(folder, "test", "-json", "-verbose")
    said = list(messages(done))
    summary = next(message["test_summary"] for message in said if message["type"] == "test_summary")
    assert done.returncode == 0, refusals(done)
    assert summary["passed"] > 0
    assert (summary["failed"], summary["errored"], summary["skipped"]) == (0, 0, 0)
    return said


def test_every_file_is_formatted() -> None:
    """`terraform fmt` has nothing to change."""
    done = terraform(ROOT / "tf", "fmt", "-check", "-diff", "-recursive")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", MODULES)
def test_a_shared_module_passes_its_tests_without_any_provider(tf: Path, module: str) -> None:
    """What all clouds share is valid and behaves, on a machine that has Terraform alone."""
    assert terraform(tf / "modules" / module, "validate").returncode == 0
    _tested(tf / "modules" / module)


def test_good_nodes_are_planned(tf: Path) -> None:
    """The values that the refusals below change one by one are not refused."""
    done = _plan(tf / "modules" / "nodes", NODES)
    assert done.returncode == 0, refusals(done)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cluster_name": "Tiny"}, 'cluster_name is "Tiny"; it becomes part of host names'),
        ({"cluster_name": "tiny-"}, "no hyphen last"),
        ({"control_plane_count": 2}, "control_plane_count is 2; etcd needs a majority, so take 1, 3, 5 or 7"),
        ({"control_plane_count": 0}, "control_plane_count is 0"),
        ({"worker_count": -1}, "worker_count is -1; it needs a whole number from 0"),
        ({"worker_count": 1.5}, "worker_count is 1.5"),
        ({"worker_count": 151}, "worker_count is 151"),
        ({"ssh_user": "root"}, "a Linux user name other than root"),
        ({"ssh_public_keys": []}, "ssh_public_keys is empty; without a key nobody, Ansible included, can log in"),
        ({"network_cidr": "10.20.0.0/25"}, "an IPv4 network of at least 256 addresses"),
        ({"network_cidr": "10.20.0.9/24"}, "written by its first address"),
        ({"network_cidr": "fd00::/64"}, 'network_cidr is "fd00::/64"; it needs an IPv4 network'),
        ({"pod_cidr": "10.244.0.0"}, 'pod_cidr is "10.244.0.0"; it needs an IPv4 network'),
        ({"network_cidr": "10.244.7.0/24"}, "pod_cidr 10.244.0.0/16 and network_cidr 10.244.7.0/24 overlap"),
        ({"pod_cidr": "10.0.0.0/8"}, "pod_cidr 10.0.0.0/8 and network_cidr 10.20.0.0/24 overlap"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_nodes_that_cannot_work_are_refused_in_a_sentence(tf: Path, change: dict[str, Any], sentence: str) -> None:
    """The refusal names the variable, its value and what to give instead."""
    done = _plan(tf / "modules" / "nodes", NODES | change)
    assert done.returncode != 0
    assert sentence in refusals(done)


def test_a_private_key_given_by_mistake_is_refused_and_not_repeated(tf: Path) -> None:
    """Who pastes the wrong file learns it, and the key stands in no log."""
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0"
    done = _plan(tf / "modules" / "nodes", NODES | {"ssh_public_keys": [key]})
    assert done.returncode != 0
    assert "take the file that ends in .pub, never the private key" in refusals(done)
    assert "c2VjcmV0" not in refusals(done)


@needs_providers
@pytest.mark.parametrize("root", ROOTS)
def test_a_way_to_machines_is_valid_for_the_real_provider(tf: Path, root: str) -> None:
    """Every resource and argument stands in the schema of the provider at its exact version, and none is deprecated."""
    done = terraform(tf / root, "validate", "-json")
    answer = json.loads(done.stdout)
    assert answer["valid"], done.stdout
    assert answer["diagnostics"] == []


@needs_providers
@pytest.mark.parametrize("root", ROOTS)
def test_a_way_to_machines_passes_its_tests_and_ansible_reads_its_inventory(
    tf: Path, root: str, tmp_path: Path
) -> None:
    """Counts, rules and refusals hold with the cloud's calls mocked; the inventory gives Ansible groups and hosts."""
    said = _tested(tf / root)
    # With -verbose every run that applies gives its state.
    [state] = [
        message["test_state"]
        for message in said
        if message["type"] == "test_state" and message["@testrun"] == "the_inventory_is_what_ansible_reads"
    ]
    inventory = tmp_path / "tiny.yml"
    inventory.write_text(state["outputs"]["inventory"]["value"])
    groups = _groups(inventory)
    assert set(groups["cluster"]) == set(groups["control_plane"]) | set(groups["workers"])
    assert groups["control_plane"]
    assert all(name.startswith("tiny-control-plane-") for name in groups["control_plane"])
    for host in groups["cluster"].values():
        assert host["ansible_user"] == "segue"
        assert re.fullmatch(r"10\.[23]0\.0\.\d+", host["node_ip"])
        assert re.fullmatch(r"[\d.]+", host["ansible_host"])
        assert host["pod_network"] == "10.244.0.0/16"
    disks = [host["data_disk"] for host in groups["cluster"].values() if "data_disk" in host]
    assert len(disks) == 1
    assert disks[0].startswith("/dev/disk/by-id/")


def _groups(inventory: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Give group → host → variables, as Ansible sees them; without Ansible, as the file's YAML says."""
    beside = str(Path(sys.executable).parent)
    command = shutil.which("ansible-inventory", path=beside) or shutil.which("ansible-inventory")
    if command is None:
        cluster = yaml.safe_load(inventory.read_text())["cluster"]
        groups = {name: group["hosts"] for name, group in cluster["children"].items()}
        hosts = {name: cluster["vars"] | host for group in groups.values() for name, host in group.items()}
    else:
        done = subprocess.run(
            [command, "-i", str(inventory), "--list"], cwd=inventory.parent, capture_output=True, text=True, check=True
        )
        assert "WARNING" not in done.stderr
        listed = json.loads(done.stdout)
        hosts = listed["_meta"]["hostvars"]
        assert set(listed["cluster"]["children"]) <= {"control_plane", "workers"}
        groups = {name: dict.fromkeys(listed.get(name, {}).get("hosts", [])) for name in ("control_plane", "workers")}
    found = {group: {name: hosts[name] for name in names} for group, names in groups.items()}
    return found | {"cluster": hosts}
