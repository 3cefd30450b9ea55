"""The playbooks are sound before any machine sees them."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ANSIBLE = Path(__file__).parents[2] / "ansible"
PLAYBOOKS = sorted(path.name for path in ANSIBLE.glob("*.yml"))

needs_ansible = pytest.mark.skipif(
    shutil.which("ansible-playbook") is None,
    reason="ansible-playbook is missing; requirements/cluster.txt has it.",
)


def _run(*command: str) -> str:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=ANSIBLE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_ansible
@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_reads(playbook: str) -> None:
    """Ansible finds every role, task file and module that a playbook names."""
    _run("ansible-playbook", "--syntax-check", "--inventory", "inventory/example", playbook)


@needs_ansible
@pytest.mark.parametrize("inventory", ["local", "example"])
def test_an_inventory_has_one_control_plane(inventory: str) -> None:
    """Both inventories name the groups that the playbooks work on."""
    listed: dict[str, Any] = json.loads(_run("ansible-inventory", "--inventory", f"inventory/{inventory}", "--list"))
    assert listed["control_plane"]["hosts"] == ["node1"]
    assert listed["workers"]["hosts"]


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("ansible-lint") is None, reason="ansible-lint is missing; requirements/cluster.txt has it."
)
def test_ansible_lint_has_nothing_to_say() -> None:
    """The strictest profile passes."""
    _run("ansible-lint", "--offline", "--profile", "production")


def test_no_secret_has_a_value_in_git() -> None:
    """Keys that hold a secret are made at random; what is written down is a user's or a database's name."""
    defaults = yaml.safe_load((ANSIBLE / "roles/secrets/defaults/main.yml").read_text())
    for secret in defaults["secrets_wanted"] + defaults["secrets_git"]:
        assert set(secret.get("fixed", {})) <= {"user", "access-key"}
        assert secret.get("random") or secret.get("signing_key") or secret.get("source")


def test_every_secret_that_a_pod_reads_is_made() -> None:
    """In its namespace and with its key; what a manifest calls optional is the installation's own."""
    defaults = yaml.safe_load((ANSIBLE / "roles/secrets/defaults/main.yml").read_text())
    made = {
        (namespace, secret["name"], key)
        for secret in defaults["secrets_wanted"] + defaults["secrets_git"]
        for namespace in secret["namespaces"]
        for key in [*secret.get("fixed", {}), *secret.get("random", []), *secret.get("formats", {}), *_signing(secret)]
    }
    mounted = {(namespace, name) for namespace, name, _ in made}
    for render in (ANSIBLE.parent / "tests/k8s/expected").glob("*.yaml"):
        for manifest in yaml.safe_load_all(render.read_text()):
            for reference in _references(manifest, "secretKeyRef"):
                assert (manifest["metadata"]["namespace"], reference["name"], reference["key"]) in made
            for volume in _references(manifest, "secret"):
                if not volume.get("optional"):
                    assert (manifest["metadata"]["namespace"], volume["secretName"]) in mounted


def test_every_volume_of_the_platform_has_its_folder() -> None:
    """Where no storage class makes them; SeaweedFS's is beside MinIO's, which keeps what it has."""
    defaults = yaml.safe_load((ANSIBLE / "roles/volumes/defaults/main.yml").read_text())
    made = {(one["namespace"], one["claim"]) for one in defaults["volumes_wanted"] + defaults["volumes_seaweedfs"]}
    claimed = {
        (one["metadata"]["namespace"], f"{claim['metadata']['name']}-{one['metadata']['name']}-0")
        for render in (ANSIBLE.parent / "tests/k8s/expected").glob("*.yaml")
        for one in yaml.safe_load_all(render.read_text())
        if one["kind"] == "StatefulSet"
        for claim in one["spec"].get("volumeClaimTemplates", [])
    }
    assert claimed == made - {("workflows", "checkpoints")}


def _signing(secret: dict[str, Any]) -> list[str]:
    return [secret["signing_key"], "public-key"] if "signing_key" in secret else []


def _references(node: Any, kind: str) -> Iterator[dict[str, str]]:
    if isinstance(node, dict):
        if kind in node:
            yield node[kind]
        node = list(node.values())
    for child in node if isinstance(node, list) else []:
        yield from _references(child, kind)
