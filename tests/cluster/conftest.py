"""A cluster is brought up only where it is asked for: `tests/cluster/run`, which `make test-cluster` calls."""

import os

import pytest

collect_ignore_glob = [] if os.environ.get("SEGUE_TEST_CLUSTER") else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark that these tests carry."""
    config.addinivalue_line(
        "markers", "cluster: brings a real Kubernetes up on this machine; needs root and the bundle"
    )
