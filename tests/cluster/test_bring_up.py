"""Bare machines become a Kubernetes that Git keeps true, keep to themselves, and are left as they were.

The tests tell one story, in the order of the file: each begins where the one before it ended.
"""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import snapshot
from tests.cluster.figures import Figures
from tests.cluster.machines import ADDRESSES, ROOT, Machines
from tests.cluster.playbooks import play

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

BUNDLE = ROOT / "build/airgap"
GIT = f"http://{ADDRESSES['node1']}:30080/segue.git"


@pytest.fixture(scope="module")
def figures() -> Figures:
    return Figures()


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Two bare machines; however the story ends, none of them is left, and the host is as it was."""
    if os.geteuid() != 0:
        pytest.skip("Machines are made of namespaces, and that needs root.")
    if shutil.which("ansible-playbook") is None:
        pytest.skip("ansible-playbook is missing; requirements/cluster.txt has it.")
    rootfs = next(BUNDLE.glob("cache/machine-*/rootfs"), None)
    if rootfs is None or not (BUNDLE / "bill.json").exists():
        pytest.skip("There is no bundle; python3 -m airgap build makes it.")
    machines = Machines(rootfs)
    before = snapshot.of_host()
    try:
        machines.up()
        yield machines
    finally:
        machines.down()
    assert snapshot.differences(before, snapshot.of_host()) == {}


@pytest.fixture(scope="module")
def bare(machines: Machines) -> dict[str, dict[str, list[str]]]:
    """What each machine was like before the first playbook."""
    return {name: snapshot.of_node(machines, name) for name in ADDRESSES}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Git repository whose platform is one application, `hello`, of one Deployment and one ConfigMap."""
    tree = tmp_path_factory.mktemp("repository")
    shutil.copytree(Path(__file__).parent / "hello", tree, dirs_exist_ok=True)
    _git(tree, "init", "--quiet", "--initial-branch=main")
    return tree


def _git(tree: Path, *arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> None:
    author = {"GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@example.invalid"}
    committer = {"GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@example.invalid"}
    command = [*prefix, "git", "-C", str(tree), *arguments]
    subprocess.run(command, check=True, env={**os.environ, **author, **committer, **environment})


def _push(machines: Machines, tree: Path, message: str) -> None:
    _git(tree, "add", "--all")
    _git(tree, "commit", "--quiet", "--message", message)
    secret = json.loads(machines.kubectl("get", "secret", "git-push", "-n", "git", "-o", "json"))["data"]
    user, password = (base64.b64decode(secret[key]).decode() for key in ("user", "password"))
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    header = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader"}
    prefix = tuple(machines.in_network_of("node1"))
    proxies = {"http_proxy": "", "HTTP_PROXY": "", "no_proxy": "*"}
    _git(
        tree,
        "push",
        "--quiet",
        GIT,
        "main",
        prefix=prefix,
        **header,
        GIT_CONFIG_VALUE_0=f"Authorization: Basic {token}",
        **proxies,
    )


def _items(machines: Machines, *arguments: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(machines.kubectl("get", *arguments, "-o", "json"))["items"]
    return items


def _conditions(item: dict[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in item["status"].get("conditions", [])}


def _wait(until: Callable[[], bool], seconds: float) -> float:
    began = time.monotonic()
    while not until():
        assert time.monotonic() - began < seconds, f"This did not come about within {seconds:.0f} seconds."
        time.sleep(0.5)
    return time.monotonic() - began


def test_bare_machines_become_a_cluster(machines: Machines, bare: dict[str, Any], figures: Figures) -> None:
    """One playbook leads from bare machines to Argo CD; every node and every pod is ready."""
    began = time.monotonic()
    assert play("site.yml") > 0
    nodes = _items(machines, "nodes")
    assert {node["metadata"]["name"] for node in nodes} == set(bare)
    assert all(_conditions(node)["Ready"] == "True" for node in nodes)
    _wait(lambda: all(_conditions(pod).get("Ready") == "True" for pod in _items(machines, "pods", "-A")), 180)
    figures.keep("seconds from bare machines to everything ready", time.monotonic() - began)
    figures.keep("pods", len(_items(machines, "pods", "-A")))


def test_a_second_run_changes_nothing(machines: Machines, figures: Figures) -> None:
    """The playbook describes a state, and the cluster is in it."""
    began = time.monotonic()
    assert play("site.yml") == 0
    figures.keep("seconds of a run that changes nothing", time.monotonic() - began)


def test_pods_reach_each_other_across_nodes(machines: Machines) -> None:
    """A pod on the second node finds a service on the first by its name."""
    run = (
        "run",
        "probe",
        "--image=docker.io/library/debian:bookworm-slim",
        "--restart=Never",
        "--image-pull-policy=IfNotPresent",
    )
    on_node2 = '--overrides={"spec":{"nodeName":"node2"}}'
    read = "import urllib.request as u; print(u.urlopen('http://git.git.svc.cluster.local/healthz', timeout=5).read())"
    machines.kubectl(*run, on_node2, "--", "python3", "-c", read)
    machines.kubectl("wait", "pod/probe", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert machines.kubectl("logs", "probe").strip() == r"b'ok\n'"
    machines.kubectl("delete", "pod", "probe")


def test_secrets_are_made_once(machines: Machines) -> None:
    """Each has a value that nobody chose, and namespaces that share one have the same."""
    writers = [
        secret["data"]["secret-key"]
        for secret in _items(machines, "secrets", "-A", "--field-selector=metadata.name=segue-store-writer")
    ]
    assert len(writers) > 1
    assert len(set(writers)) == 1
    assert len(base64.b64decode(writers[0])) >= 32


def test_only_who_has_the_password_may_push(machines: Machines, repository: Path) -> None:
    """Git decides what runs, so a pod that can reach the server may read and not write."""
    refs = [
        *machines.in_network_of("node1"),
        "curl",
        "--silent",
        "--noproxy",
        "*",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    ]
    asked = subprocess.run([*refs, f"{GIT}/info/refs?service=git-receive-pack"], stdout=subprocess.PIPE, text=True)
    assert asked.stdout == "401"


def test_argo_cd_keeps_what_git_says(machines: Machines, repository: Path, figures: Figures) -> None:
    """The root application and the one that it makes are Synced and Healthy."""
    _push(machines, repository, "Begin")
    assert play("platform.yml") > 0
    _wait(lambda: all(map(_is_true_to_git, _items(machines, "applications", "-n", "argocd"))), 180)
    names = {application["metadata"]["name"] for application in _items(machines, "applications", "-n", "argocd")}
    assert names == {"platform", "hello"}
    assert play("platform.yml") == 0


def _is_true_to_git(application: dict[str, Any]) -> bool:
    status = application.get("status", {})
    return (status.get("sync", {}).get("status"), status.get("health", {}).get("status")) == ("Synced", "Healthy")


def test_a_commit_comes_to_the_cluster(machines: Machines, repository: Path, figures: Figures) -> None:
    """What is pushed is there within a minute."""
    settings = repository / "hello/settings.yaml"
    settings.write_text(settings.read_text().replace("word: hello", "word: changed"))
    _push(machines, repository, "Change the word")
    machines.kubectl("annotate", "application", "hello", "-n", "argocd", "argocd.argoproj.io/refresh=normal")
    read = ("get", "configmap", "settings", "-n", "hello", "-o", "jsonpath={.data.word}")
    seconds = _wait(lambda: machines.kubectl(*read) == "changed", 60)
    figures.keep("seconds from push to cluster", seconds)


def test_what_is_deleted_comes_back(machines: Machines, figures: Figures) -> None:
    """Argo CD heals what a person breaks by hand."""
    machines.kubectl("delete", "deployment", "hello", "-n", "hello")
    exists = ("get", "deployment", "hello", "-n", "hello", "--ignore-not-found", "-o", "name")
    figures.keep("seconds until a deleted Deployment is back", _wait(lambda: bool(machines.kubectl(*exists)), 60))


def test_nothing_tried_to_leave(machines: Machines, figures: Figures) -> None:
    """No node and no pod has sent a packet to anywhere outside of the cluster."""
    refused = sum(_refused(machines, name) for name in ADDRESSES)
    figures.keep("packets refused by the nodes", refused)
    figures.keep("packets that reached the gateway", machines.sent_to_gateway())
    assert refused == 0
    assert machines.sent_to_gateway() == 0


def test_what_tries_to_leave_is_counted(machines: Machines) -> None:
    """The guard is no decoration: one packet to an address outside is refused and counted."""
    before = _refused(machines, "node2")
    send = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))"
    machines.enter("node2", "python3", "-c", f"import contextlib, socket\nwith contextlib.suppress(OSError): {send}")
    assert _refused(machines, "node2") == before + 1
    assert machines.sent_to_gateway() == 0


def _refused(machines: Machines, name: str) -> int:
    listed = json.loads(machines.enter(name, "nft", "--json", "list", "counter", "inet", "segue_egress", "refused"))
    return sum(entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry)


def test_the_idle_cluster_is_weighed(machines: Machines, figures: Figures) -> None:
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
