"""Describes the machine that a run was made on, without its name or address."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

_PACKAGES = ("numpy", "implicit", "faiss-cpu", "hnswlib", "scann", "chromadb", "onnxruntime")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def describe(packages: Sequence[str] = _PACKAGES) -> dict[str, Any]:
    """Return the CPU, its caches, memory, system, the kernel that numpy's BLAS chose, and versions of packages."""
    blas = sorted({f"{one['internal_api']} {one.get('architecture', '')}".strip() for one in threadpool_info()})
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "blas": blas,
        "packages": {name: found for name in packages if (found := _version(name))},
    }


def _cpu() -> str:
    """Return the model and what of it counts for 8-bit products."""
    facts = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    flags = named.get("flags", "").split()
    wide = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if flag in flags]
    model = f"{named.get('model name', platform.machine())}, model {named.get('model', '?')}"
    return f"{model}, {', '.join(wide) or 'no avx2'}"


def _caches() -> dict[str, str]:
    """Return the size of each cache of the first core by level, instructions left out."""
    found = {}
    for place in sorted(_CACHES.glob("index*")):
        if (place / "type").read_text().strip() != "Instruction":
            found[f"L{(place / 'level').read_text().strip()}"] = (place / "size").read_text().strip()
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
