"""How much memory this machine has, or this container of it."""

import math
from pathlib import Path

from evaluation.baselines.ease import MOST

_SHARE = 4
"""EASE may have a quarter: the dataset and the other models are there as well, and other work."""
_BYTES = 8
"""Of an entry of EASE's matrix in single precision, with as much again while it is inverted."""


def ease_rows(root: Path = Path("/")) -> int:
    """Return how many rows EASE's matrix may have: as many as fit into a quarter of the memory.

    Of all memory and not of what is free, so that a machine judges the same bundle in the same way every time.

    Args:
        root: Of the file system that the kernel tells of memory in.
    """
    memory = _memory(root)
    return math.isqrt(memory // _SHARE // _BYTES) // 1000 * 1000 or 1000 if memory else MOST


def _memory(root: Path) -> int:
    """Return the bytes of the machine, or of the control group if that has a limit; 0 if the kernel does not say."""
    found = []
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    except OSError:  # not Linux
        pass
    try:
        limit = (root / "sys/fs/cgroup/memory.max").read_text().strip()
        found += [int(limit)] if limit.isdigit() else []
    except OSError:  # no container, or control groups of the first version
        pass
    return min(found, default=0)
