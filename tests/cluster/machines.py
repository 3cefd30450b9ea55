"""Machines made of namespaces, and the cluster that they become, as a test sees them."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "build/airgap"
MACHINE = ROOT / "ansible/local/machine"
_CGROUPS = Path("/sys/fs/cgroup/memory")
STORE = os.environ.get("SEGUE_TEST_STORE", "minio")
"""The object store that the story is told on: minio, or seaweedfs."""
PLATFORM = {"platform_with": ["ray", "seaweedfs"]} if STORE == "seaweedfs" else {}
"""What Ansible is told of it, beside what the inventory says."""
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
            environment = {**os.environ, "ROOTFS": str(self.rootfs), "BUNDLE": str(BUNDLE)}
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

    def argo(self, *arguments: str) -> str:
        """Call Argo Workflows' command, as a person on the control plane."""
        environment = ("env", "KUBECONFIG=/etc/kubernetes/admin.conf", "ARGO_NAMESPACE=workflows")
        return self.enter("node1", *environment, "/bundle/tools/argo", *arguments)

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects that `kubectl get` lists."""
        listed: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return listed

    def secret(self, namespace: str, name: str, *keys: str) -> list[str]:
        """Return values of a Secret."""
        data = json.loads(self.kubectl("get", "secret", name, "-n", namespace, "-o", "json"))["data"]
        return [base64.b64decode(data[key]).decode() for key in keys]

    def curl(self, *arguments: str, node: str = "node1") -> str:
        """Ask an address of the cluster's, as a program on a node, and return the body.

        Raises:
            AssertionError: If the answer is not a success.
        """
        command = [*self.in_network_of(node), "curl", "--silent", "--show-error", "--fail-with-body", "--noproxy", "*"]
        command = [*command, "--max-time", "60", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def put_object(self, key: str, content: str) -> None:
        """Put an object into the bucket `segue`, as whoever brings playlists does."""
        self._s3("s3.put_object(Bucket='segue', Key=sys.argv[2], Body=sys.argv[3])", key, content)

    def get_object(self, key: str) -> str:
        """Return an object of the bucket `segue`."""
        return self._s3("print(s3.get_object(Bucket='segue', Key=sys.argv[2])['Body'].read().decode(), end='')", key)

    def delete_object(self, key: str) -> None:
        """Take an object out of the bucket `segue`."""
        self._s3("s3.delete_object(Bucket='segue', Key=sys.argv[2])", key)

    def flip_object(self, key: str) -> None:
        """Turn one bit in the middle of an object of the bucket `segue`; turned twice, it is as it was."""
        self._s3(
            "data = bytearray(s3.get_object(Bucket='segue', Key=sys.argv[2])['Body'].read()); "
            "data[len(data) // 2] ^= 1; s3.put_object(Bucket='segue', Key=sys.argv[2], Body=bytes(data))",
            key,
        )

    def kill_pod(self, uid: str) -> None:
        """Kill what a pod's containers run, without a warning, as a node does that has no memory left."""
        held = [file for name in ADDRESSES for file in _CGROUPS.glob(f"segue-{name}/**/pod{uid}/*/cgroup.procs")]
        processes = [int(process) for file in held for process in file.read_text().split()]
        killed = [one for one in processes if Path(f"/proc/{one}/comm").read_text().strip() != "pause"]
        assert killed, f"The pod {uid} runs nothing."
        for process in killed:
            os.kill(process, signal.SIGKILL)

    def _s3(self, statements: str, *arguments: str) -> str:
        address = self.kubectl("get", "service", "s3", "-n", "objects", "-o", "jsonpath={.spec.clusterIP}")
        access, secret = self.secret("objects", "segue-store-writer", "access-key", "secret-key")
        keys = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1"}
        script = f"import boto3, sys; s3 = boto3.client('s3', endpoint_url=sys.argv[1]); {statements}"
        command = [*self.in_network_of("node1"), sys.executable, "-c", script, f"http://{address}:9000", *arguments]
        environment = {**os.environ, **keys, "no_proxy": "*"}
        return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout

    def postgres(self, database: str, statement: str) -> str:
        """Run a statement in a database, as its administrator."""
        psql = ("psql", "--host=/tmp", "--username=postgres", f"--dbname={database}", "--command", statement)
        return self.kubectl("exec", "-n", "postgres", "postgres-0", "--", *psql)

    def sent_to_gateway(self) -> int:
        """Return how many IPv4 packets the machines have sent to the gateway, behind which there is nothing."""
        return int(subprocess.run([MACHINE, "leaks"], check=True, stdout=subprocess.PIPE, text=True).stdout)

    def in_network_of(self, name: str) -> list[str]:
        """Return the command that runs a program of this host in a machine's network."""
        pid = (ROOT / "build/machines" / name / "pid").read_text().strip()
        return ["nsenter", "--target", pid, "--net"]


def conditions(item: dict[str, Any]) -> dict[str, str]:
    """Return the status of every condition of an object."""
    return {condition["type"]: condition["status"] for condition in item["status"].get("conditions", [])}


def wait(until: Callable[[], object], seconds: float, every: float = 0.5) -> float:
    """Wait until something is true and return after how many seconds it was.

    Args:
        until: What is asked. Asking costs a process, or several: on a machine with two cores, what takes minutes is the
            sooner there, and the more evenly served meanwhile, the less often it is asked for.
        seconds: How long to wait at most.
        every: Seconds from one answer to the next question.

    Raises:
        AssertionError: If it is not within `seconds`.
    """
    began = time.monotonic()
    while not until():
        assert time.monotonic() - began < seconds, f"This did not come about within {seconds:.0f} seconds."
        time.sleep(every)
    return time.monotonic() - began
