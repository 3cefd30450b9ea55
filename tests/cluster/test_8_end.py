"""At the end: what it all weighs, whether anything tried to leave, and whether anything is left."""

import json
import time
from pathlib import Path

from tests.cluster import snapshot
from tests.cluster.figures import Figures
from tests.cluster.machines import ADDRESSES, Machines
from tests.cluster.playbooks import play

GUARD = ("inet", "segue_egress")  # of ansible/roles/machine


def test_nothing_tried_to_leave(machines: Machines, figures: Figures) -> None:
    """No node and no pod has sent a packet to anywhere outside of the cluster."""
    refused = sum(_refused(machines, name) for name in ADDRESSES)
    figures.keep("packets refused by the nodes", refused)
    figures.keep("packets that reached the gateway", machines.sent_to_gateway())
    assert refused == 0, {name: machines.enter(name, "nft", "list", "set", *GUARD, "tried") for name in ADDRESSES}
    assert machines.sent_to_gateway() == 0


def test_what_tries_to_leave_is_counted(machines: Machines) -> None:
    """The guard is no decoration: one packet to an address outside is refused and counted."""
    before = _refused(machines, "node2")
    send = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))"
    machines.enter("node2", "python3", "-c", f"import contextlib, socket\nwith contextlib.suppress(OSError): {send}")
    assert _refused(machines, "node2") == before + 1
    assert machines.sent_to_gateway() == 0


def _refused(machines: Machines, name: str) -> int:
    listed = json.loads(machines.enter(name, "nft", "--json", "list", "counter", *GUARD, "refused"))
    return sum(entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry)


def test_the_idle_cluster_is_weighed(figures: Figures) -> None:
    """Memory and processor time of both nodes, with nothing to do."""
    began, used = time.monotonic(), _cpu_seconds()
    time.sleep(20)
    figures.keep("percent of one core while idle", 100 * (_cpu_seconds() - used) / (time.monotonic() - began))
    figures.keep("MiB resident while idle", _resident_bytes() / 2**20)


def _cpu_seconds() -> float:
    return sum(int(Path(f"/sys/fs/cgroup/cpuacct/segue-{name}/cpuacct.usage").read_text()) for name in ADDRESSES) / 1e9


def _resident_bytes() -> int:
    lines = [
        line.split()
        for name in ADDRESSES
        for line in Path(f"/sys/fs/cgroup/memory/segue-{name}/memory.stat").read_text().splitlines()
    ]
    return sum(int(value) for key, value in lines if key == "total_rss")


def test_a_reset_leaves_the_machines_as_they_were(
    machines: Machines, bare: dict[str, dict[str, list[str]]], figures: Figures
) -> None:
    """Files, mounts, interfaces, routes, kernel settings and packages are those of before the first playbook."""
    began = time.monotonic()
    play("reset.yml")
    figures.keep("seconds of a reset", time.monotonic() - began)
    for name, before in bare.items():
        assert snapshot.differences(before, snapshot.of_node(machines, name)) == {}, name
