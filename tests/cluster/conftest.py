"""A cluster is brought up only where it is asked for: `tests/cluster/run`, which `make test-cluster` calls.

The files tell one story in the order of their numbers: each begins where the one before it ended.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import snapshot
from tests.cluster.figures import Figures
from tests.cluster.gitops import Repository
from tests.cluster.machines import ADDRESSES, BUNDLE, Machines
from tests.cluster.promotions import Registry

collect_ignore_glob = [] if os.environ.get("SEGUE_TEST_CLUSTER") else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark that these tests carry."""
    config.addinivalue_line(
        "markers", "cluster: brings a real Kubernetes up on this machine; needs root and the bundle"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and give each half an hour."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def figures() -> Figures:
    return Figures()


@pytest.fixture(scope="session")
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
    keep = bool(os.environ.get("SEGUE_KEEP_CLUSTER"))  # to look at what a failure has left
    try:
        machines.up()
        yield machines
    finally:
        if not keep:
            machines.down()
    assert keep or snapshot.differences(before, snapshot.of_host()) == {}


@pytest.fixture(scope="session")
def bare(machines: Machines) -> dict[str, dict[str, list[str]]]:
    """What each machine was like before the first playbook."""
    return {name: snapshot.of_node(machines, name) for name in ADDRESSES}


@pytest.fixture(scope="session")
def repository(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """This project as it stands, as a repository of its own that pushes to the cluster's Git."""
    return Repository(machines, tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def registry(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The cluster's store and registry, as whoever publishes a bundle sees them."""
    return Registry(machines, tmp_path_factory.mktemp("registry"))
