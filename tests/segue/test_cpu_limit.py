"""How many cores a process may use, by made-up control groups as Kubernetes and others lay them out."""

import os
from pathlib import Path

import pytest

from segue.cpu_limit import cpu_limit

_CORES = len(os.sched_getaffinity(0))
_V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
_V1 = "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"


def laid_out(tmp_path: Path, cgroup: str, mounts: str, files: dict[str, str]) -> float:
    """Return the limit of a process with these files under /proc and below the root."""
    proc, root = tmp_path / "proc", tmp_path / "root"
    proc.mkdir()
    (proc / "cgroup").write_text(cgroup)
    (proc / "mountinfo").write_text(mounts + "\n")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return cpu_limit(proc, root)


@pytest.mark.parametrize("quota,cores", [("50000", 0.5), ("25000", 0.25), ("100000", 1.0)])
def test_a_pod_of_cgroup_v2(tmp_path: Path, quota: str, cores: float) -> None:
    """Its own group is the root of what it sees, and cpu.max holds quota and period."""
    files = {"sys/fs/cgroup/cpu.max": f"{quota} 100000\n"}
    assert laid_out(tmp_path, "0::/\n", _V2, files) == cores


def test_a_group_above_counts_too(tmp_path: Path) -> None:
    """A service without a limit of its own is held by its slice's."""
    files = {
        "sys/fs/cgroup/system.slice/segue.service/cpu.max": "max 100000\n",
        "sys/fs/cgroup/system.slice/cpu.max": "75000 100000\n",
    }
    assert laid_out(tmp_path, "0::/system.slice/segue.service\n", _V2, files) == 0.75


def test_a_pod_of_cgroup_v1(tmp_path: Path) -> None:
    """The path in /proc is the host's; the mount begins at the container's own group."""
    mounts = "31 24 0:27 /kubepods/pod7/c1 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct"
    files = {
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "200000\n",
    }
    groups = "5:memory:/kubepods/pod7/c1\n4:cpu,cpuacct:/kubepods/pod7/c1\n"
    assert laid_out(tmp_path, groups, mounts, files) == 0.25


@pytest.mark.parametrize(
    "cgroup,mounts,files",
    [
        ("0::/\n", _V2, {"sys/fs/cgroup/cpu.max": "max 100000\n"}),
        ("4:cpu,cpuacct:/\n", _V1, {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n"}),
        ("0::/\n", _V2, {}),
        ("0::/\n", _V2, {"sys/fs/cgroup/cpu.max": "much\n"}),
        ("", "", {}),
    ],
    ids=["v2", "v1", "no file", "unreadable", "no groups"],
)
def test_without_a_limit_all_cores_are_ours(tmp_path: Path, cgroup: str, mounts: str, files: dict[str, str]) -> None:
    """Also where nothing can be told."""
    assert laid_out(tmp_path, cgroup, mounts, files) == _CORES


def test_no_limit_is_above_the_cores_of_the_machine(tmp_path: Path) -> None:
    """A limit of 64 cores does not make 64 cores."""
    assert laid_out(tmp_path, "0::/\n", _V2, {"sys/fs/cgroup/cpu.max": "6400000 100000\n"}) == _CORES


def test_this_very_process_has_a_limit() -> None:
    """Read from the real files."""
    assert 0 < cpu_limit() <= _CORES
