"""Nodes that are pretended, for a playbook to work on: what it asks of Kubernetes is written down, in its order."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

ANSIBLE = Path(__file__).parents[2] / "ansible"
STAND_IN = Path(__file__).with_name("stand_in")
OLD, NEW = "1.36.3", "1.36.4"
SETTINGS = {
    "ansible_connection": "machine",
    "machine_command": str(STAND_IN / "machine"),
    "service_manager": "runit",
    "egress": "closed",
    "node_address": "192.0.2.1",
}


class Nodes:
    """Nodes whose file systems and whose cluster are folders (`stand_in/machine`), and two bundles to bring them.

    Attributes:
        cluster: Where the cluster is pretended; a test puts `NODE.broken` or `NODE.stuck` there.
    """

    def __init__(self, folder: Path, control_plane: list[str], workers: list[str]) -> None:
        self._folder = folder
        self.cluster = folder / "cluster"
        self.cluster.mkdir()
        for name in (*control_plane, *workers):
            self._make(name)
        for version in (OLD, NEW):
            self._bundle(version)
        members = {"control_plane": control_plane, "workers": workers}
        groups = {name: {"hosts": {host: dict[str, str]() for host in hosts}} for name, hosts in members.items()}
        (folder / "hosts.json").write_text(json.dumps({"cluster": {"children": groups}}))
        (folder / "group_vars").mkdir()  # what stands in hosts.json itself yields to the playbooks' group_vars/all.yml
        (folder / "group_vars/cluster.json").write_text(json.dumps(SETTINGS))

    def play(self, playbook: str, bundle: str = NEW, **variables: str) -> tuple[int, str]:
        """Run a playbook with the bundle of a version.

        Returns:
            How many tasks changed something, or -1 where one failed; and what Ansible said.
        """
        chosen = {"airgap_bundle": str(self._folder / bundle), **variables}
        extra = [word for name, value in chosen.items() for word in ("--extra-vars", f"{name}={value}")]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        command = ["ansible-playbook", "--inventory", str(self._folder / "hosts.json"), playbook, *extra]
        done = subprocess.run(
            command,
            cwd=ANSIBLE,
            env={**environment, "NODES": str(self._folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return -1 if done.returncode else sum(map(int, re.findall(r"changed=(\d+)", done.stdout))), done.stdout

    def asked(self) -> list[str]:
        """Return what was asked of the cluster's programs that changes something, and forget it."""
        log = self.cluster / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        said = (re.sub(r" --(kubeconfig|timeout) \S+| --(skip-phases|ignore|delete)\S+", "", line) for line in lines)
        return [
            line for line in said if not re.search(r"kubectl (get|wait|.*rollout status)|kubectl --namespace", line)
        ]

    def arguments(self, of: str) -> list[str]:
        """Return every line of the log that has `of` in it, whole."""
        return [line for line in (self.cluster / "log").read_text().splitlines() if of in line]

    def versions(self) -> dict[str, str]:
        """Return the version of every node's kubelet."""
        return {path.stem: path.read_text().strip() for path in sorted(self.cluster.glob("*.version"))}

    def cordoned(self) -> list[str]:
        """Return the names of the nodes that take no pods."""
        return sorted(path.stem for path in self.cluster.glob("*.cordoned"))

    def _make(self, name: str) -> None:
        root = self._folder / name
        for folder in ("usr", "proc", "dev", "cluster", "programs", "root", "tmp", "etc/segue", "var/lib/segue"):
            (root / folder).mkdir(parents=True)
        for link in ("bin", "sbin", "lib", "lib64"):
            (root / link).symlink_to(f"usr/{link}")
        for program in ("kubectl", "sv", "ctr"):
            shutil.copy(STAND_IN / program, root / "programs")
        (self.cluster / f"{name}.version").write_text(f"v{OLD}\n")

    def _bundle(self, version: str) -> None:
        folder = self._folder / version
        (folder / "bin").mkdir(parents=True)
        for program in ("kubeadm", "kubelet", "kubectl"):
            text = (STAND_IN / program).read_text().replace("VERSION", f"v{version}")
            (folder / "bin" / program).write_text(text)
        (folder / "images-cluster.tar").write_bytes(b"")
        module = {"kubernetes": f"k8s.io/kubernetes@v{version}"}
        bill = {"archives": {"cluster": {"digest": version}}, "modules": module}
        (folder / "bill.json").write_text(json.dumps(bill))
