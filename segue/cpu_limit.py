"""How much CPU this process may use: the cores it may run on, and what its control group leaves of them.

A pod with a limit of one CPU sees all cores of its node, and as many threads as those would only be throttled in turns.
Kernel documentation: admin-guide/cgroup-v2 (cpu.max) and scheduler/sched-bwc (cpu.cfs_quota_us).
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_PROC = Path("/proc/self")


def cpu_limit(proc: Path = _PROC, system: Path = Path("/")) -> float:
    """Return the number of cores that this process may keep busy, above 0 and often no whole number.

    Args:
        proc: The process's folder under /proc.
        system: The root that mount points are below.
    """
    cores = float(len(os.sched_getaffinity(0)))
    return min([cores, *_quotas(proc, system)])


def _quotas(proc: Path, system: Path) -> Iterator[float]:
    """Yield the limit, in cores, of each control group that the process is in, from its own up to the highest."""
    try:
        groups = (proc / "cgroup").read_text().splitlines()
        mounts = (proc / "mountinfo").read_text().splitlines()
    except OSError:  # no Linux, or nothing to see
        return
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            for folder in _folders(path, controllers, mounts, system):
                quota = _unified(folder) if not controllers else _legacy(folder)
                if quota is not None:
                    yield quota


def _folders(path: str, controllers: str, mounts: list[str], system: Path) -> Iterator[Path]:
    """Yield the folders of a control group and of those above it, as far as they can be seen from here."""
    for line in mounts:
        fields, _, source = line.partition(" - ")
        root, point = fields.split()[3:5]
        kind, _, options = source.split()[:3]
        if kind != ("cgroup" if controllers else "cgroup2") or (controllers and "cpu" not in options.split(",")):
            continue
        group, above = PurePosixPath(path), PurePosixPath(root)
        # In a container the mount may begin at the container's own group, or the path may be the host's.
        inside = group.relative_to(above) if group.is_relative_to(above) else PurePosixPath()
        for part in (inside, *inside.parents):
            yield system / point.lstrip("/") / part


def _unified(folder: Path) -> float | None:
    """Return the limit that ``cpu.max`` sets: ``max 100000`` or ``150000 100000``, in microseconds."""
    quota, period = _numbers(folder / "cpu.max", "max 100000")
    return quota / period if quota and period else None


def _legacy(folder: Path) -> float | None:
    quota, _ = _numbers(folder / "cpu.cfs_quota_us", "-1")
    period, _ = _numbers(folder / "cpu.cfs_period_us", "100000")
    return quota / period if quota and period else None


def _numbers(file: Path, otherwise: str) -> tuple[int, int]:
    """Return the first two numbers of a file; what is no positive number counts as 0."""
    try:
        text = file.read_text()
    except OSError:
        text = otherwise
    first, second = (*text.split(), "0", "0")[:2]
    return (int(first) if first.isdigit() else 0), (int(second) if second.isdigit() else 0)
