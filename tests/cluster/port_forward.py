"""`kubectl port-forward`, as long as a test needs it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.machines import MACHINE, Machines


@contextmanager
def forward(machines: Machines, namespace: str, target: str, local: int, remote: int) -> Iterator[None]:
    """Let a port of the control plane's 127.0.0.1 lead to a service."""
    kubectl = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "-n", namespace]
    command = [str(MACHINE), "enter", "node1", *kubectl, "port-forward", target, f"{local}:{remote}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "Forwarding from" in line, f"kubectl port-forward {target} said: {line}"
        try:
            yield
        finally:
            machines.enter("node1", "pkill", "--full", f"port-forward {target} {local}:{remote}")
