"""Machines made of namespaces, as a test sees them."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MACHINE = ROOT / "ansible/local/machine"
ADDRESSES = {"node1": "10.250.0.11", "node2": "10.250.0.12"}


@dataclass(frozen=True)
class Machines:
    """All machines of a trial.

    Attributes:
        rootfs: The file system that each gets a copy of.
    """

    rootfs: Path

    def up(self) -> None:
        """Make them."""
        for name, address in ADDRESSES.items():
            environment = {**os.environ, "ROOTFS": str(self.rootfs)}
            # no pipe: the machine's first process would keep it open
            subprocess.run([MACHINE, "up", name, address], check=True, env=environment, stdout=subprocess.DEVNULL)

    def down(self) -> None:
        """Take all of them away."""
        subprocess.run([MACHINE, "down"], check=True)

    def enter(self, name: str, *command: str, stdin: str = "") -> str:
        """Run a command in a machine, as root, and return its standard output.

        Raises:
            AssertionError: If the command fails; the message has what it wrote.
        """
        done = subprocess.run([MACHINE, "enter", name, *command], input=stdin, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)} on {name}: {done.stdout}{done.stderr}"
        return done.stdout

    def kubectl(self, *arguments: str) -> str:
        """Ask the cluster, on its control plane."""
        return self.enter("node1", "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", *arguments)

    def sent_to_gateway(self) -> int:
        """Return how many IPv4 packets the machines have sent to the gateway, behind which there is nothing."""
        return int(subprocess.run([MACHINE, "leaks"], check=True, stdout=subprocess.PIPE, text=True).stdout)

    def in_network_of(self, name: str) -> list[str]:
        """Return the command that runs a program of this host in a machine's network."""
        pid = (ROOT / "build/machines" / name / "pid").read_text().strip()
        return ["nsenter", "--target", pid, "--net"]
