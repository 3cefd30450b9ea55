"""Kubernetes goes to another version node by node, by `upgrade.yml`, on nodes that are pretended."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ansible.nodes import NEW, OLD, Nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        shutil.which("ansible-playbook") is None,
        reason="ansible-playbook is missing; requirements/cluster.txt has it.",
    ),
    pytest.mark.skipif(
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True).returncode != 0,
        reason="Nodes are pretended with user namespaces, and this host lets nobody make them.",
    ),
]


def _upgraded(node: str, command: str, *, drained: bool = False) -> list[str]:
    emptied = [f"node1: kubectl drain {node}"] if drained else []
    back = [f"node1: kubectl uncordon {node}"] if drained else []
    return [f"{node}: kubeadm v{NEW} upgrade {command}", *emptied, f"{node}: sv restart kubelet", *back]


def test_a_cluster_goes_over_node_by_node_and_once(tmp_path: Path) -> None:
    """The control plane goes first, pods that have nowhere to go stay, and a second run does nothing."""
    nodes = Nodes(tmp_path, ["node1"], ["node2"])
    changed, said = nodes.play("upgrade.yml", kubernetes_version=NEW)
    assert changed > 0, said
    loaded = [line for line in nodes.arguments("ctr") if "images import" in line]
    assert {line.split(":")[0] for line in loaded} == {"node1", "node2"}
    steps = [line for line in nodes.asked() if "ctr" not in line]
    assert steps == [*_upgraded("node1", f"apply --yes v{NEW}"), *_upgraded("node2", "node")]
    assert nodes.versions() == {"node1": f"v{NEW}", "node2": f"v{NEW}"}
    changed, said = nodes.play("upgrade.yml", kubernetes_version=NEW)
    assert changed == 0, said
    assert nodes.asked() == []


def test_what_was_broken_off_goes_on_where_it_was(tmp_path: Path) -> None:
    """A node that cannot be emptied ends the play; then only what was half done and what comes after it is done."""
    nodes = Nodes(tmp_path, ["node1"], ["node2", "node3"])
    (nodes.cluster / "node2.stuck").touch()
    changed, said = nodes.play("upgrade.yml", kubernetes_version=NEW)
    assert changed == -1
    assert "disruption budget" in said
    assert nodes.versions() == {"node1": f"v{NEW}", "node2": f"v{OLD}", "node3": f"v{OLD}"}
    assert nodes.cordoned() == ["node2"]
    nodes.asked()
    (nodes.cluster / "node2.stuck").unlink()
    (nodes.cluster / "node2.version").write_text(f"v{NEW}\n")  # it was restarted by hand, and is still cordoned
    changed, said = nodes.play("upgrade.yml", kubernetes_version=NEW)
    assert changed > 0, said
    workers = [_upgraded(name, "node", drained=True) for name in ("node2", "node3")]
    assert nodes.asked() == [*workers[0], *workers[1]]  # each takes pods again before the next stops taking them
    assert nodes.cordoned() == []


def test_only_a_bundle_of_the_new_version_and_only_forward(tmp_path: Path) -> None:
    """Both are refused with a sentence before any node is touched."""
    nodes = Nodes(tmp_path, ["node1"], ["node2"])
    changed, said = nodes.play("upgrade.yml", bundle=OLD, kubernetes_version=NEW)
    assert changed == -1
    assert f"has Kubernetes v{OLD} and kubernetes_version says v{NEW}" in " ".join(said.split())
    (nodes.cluster / "node2.version").write_text("v1.37.0\n")
    changed, said = nodes.play("upgrade.yml", kubernetes_version=NEW)
    assert changed == -1
    assert "node2 runs Kubernetes 1.37.0" in " ".join(said.split())
    assert [line for line in nodes.asked() if "ctr" not in line] == []
