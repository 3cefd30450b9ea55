"""Measure samples and datasets at scale: `python -m benchmarks.data_processing <what> …`.

    sample   made-up slices: seconds, memory, megabytes
    readers  the slices of a folder read by `ingest`, by Polars and by DuckDB, in turns
    ingest   the slices of a folder to a validated dataset

Everything is printed as one JSON object, with the machine's load before and after: seconds of the wall mean something
only where nothing else ran, seconds of the CPU always.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.data_processing.readers import READERS
from benchmarks.measured import Measured, measure
from data_processing.processes import cores


def sample(options: argparse.Namespace) -> dict[str, Any]:
    """Make a sample in the folder."""
    sizes = ["--playlists", str(options.playlists), "--tracks", str(options.tracks)]
    took = _python("data_processing", "sample", "--output", str(options.folder), *sizes, *_processes(options))
    return {**_size(options.folder), **_speed(took, _size(options.folder)["raw_mb"])}


def readers(options: argparse.Namespace) -> dict[str, Any]:
    """Read the folder's slices by each way, `rounds` times, taking turns."""
    size = _size(options.folder)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
    for _ in range(options.rounds):
        for name, taken in rounds.items():
            took = _python("benchmarks.data_processing.readers", name, str(options.folder), *_processes(options))
            taken.append(_speed(took, size["raw_mb"]))
    return {**size, **rounds}


def ingest(options: argparse.Namespace) -> dict[str, Any]:
    """Make a dataset of the folder's slices, and throw it away."""
    size = _size(options.folder)
    with tempfile.TemporaryDirectory(dir=options.folder.absolute().parent) as place:
        output = Path(place) / "dataset"
        took = _python("data_processing", "ingest", str(options.folder), "--output", str(output), *_processes(options))
        manifest = json.loads((output / "manifest.json").read_bytes())
    written = sum(entry["bytes"] for entry in manifest["files"].values())
    return {**size, "counts": manifest["counts"], "written_mb": written / 1e6, **_speed(took, size["raw_mb"])}


def _processes(options: argparse.Namespace) -> list[str]:
    return ["--processes", str(options.processes)]


def _python(module: str, *arguments: str) -> Measured:
    took = measure([sys.executable, "-m", module, *arguments])
    if took.code:
        sys.exit(f"python -m {module} {' '.join(arguments)} ended with {took.code}.")
    return took


def _size(folder: Path) -> dict[str, float]:
    """Return how many slices there are and what they hold, in 10^6 bytes; gzip's last four bytes tell the size."""
    files = sorted(folder.glob("mpd.slice.*.json.gz"))
    raw = sum(int.from_bytes(path.read_bytes()[-4:], "little") for path in files)
    return {"slices": len(files), "gz_mb": sum(path.stat().st_size for path in files) / 1e6, "raw_mb": raw / 1e6}


def _speed(took: Measured, raw_mb: float) -> dict[str, float]:
    return {
        **took.to_json(),
        "mb_per_second": round(raw_mb / took.seconds, 1),
        "mb_per_cpu_second": round(raw_mb / took.cpu_seconds, 1),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data_processing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["sample", "readers", "ingest"])
    parser.add_argument("folder", type=Path, metavar="DIR", help="of the slices")
    parser.add_argument("--processes", type=int, default=cores())
    parser.add_argument("--playlists", type=int, default=1_000_000, help="of sample")
    parser.add_argument("--tracks", type=int, default=2_262_292, help="of sample")
    parser.add_argument("--rounds", type=int, default=3, help="of readers")
    options = parser.parse_args(arguments)
    before = os.getloadavg()
    figures = {"sample": sample, "readers": readers, "ingest": ingest}[options.what](options)
    load = {"before": before, "after": os.getloadavg()}
    print(json.dumps({"what": options.what, "processes": options.processes, "load": load, **figures}, indent=1))


if __name__ == "__main__":
    main()
