"""Measure peers on the same vectors: `python -m benchmarks.peers --output FILE`, then `report FILE…`.

    python -m benchmarks.peers --tracks 211405 --dimension 256 --output build/bench/peers.json
    python -m benchmarks.peers report build/bench/peers.json

The first makes vectors, finds what is right, and lets each peer search them in a process of its own. The second writes
docs/benchmarks.md and its plots from what the first has written.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers.indexes import PEERS
from benchmarks.peers.machine import describe
from benchmarks.peers.report import write_report
from benchmarks.peers.servers import NOT_TRIED, SERVERS
from benchmarks.peers.vectors import write_vectors
from segue.files import write_whole

_ROOT = Path(__file__).parents[2]
_NAMES = (*PEERS, *SERVERS)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make vectors, measure each peer, and return all figures with the machine that they are of."""
    start, before = time.perf_counter(), psutil.getloadavg()[0]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent) as work:
        folder = Path(work).absolute()
        _say(f"{options.tracks:,} tracks of {options.dimension} numbers, {options.queries} playlists")
        write_vectors(folder, options.tracks, options.dimension, options.queries, options.seed)
        peers = {name: _measured(name, folder, options) for name in options.peers}
    asked = ("tracks", "dimension", "queries", "repeats", "threads", "seed", "limit")
    return {
        "schema": 1,
        "command": _command(options),
        "options": {name: getattr(options, name) for name in asked},
        "machine": describe(),
        "load_average": [round(before, 2), round(psutil.getloadavg()[0], 2)],
        "seconds": round(time.perf_counter() - start),
        "peers": peers,
        "not_tried": dict(NOT_TRIED),
    }


def _measured(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return a peer's figures, or ``missing`` with a sentence; what it started ends with it."""
    command = [sys.executable, "-m", "benchmarks.peers.one", name, str(folder), "--repeats", str(options.repeats)]
    command += ["--threads", *map(str, options.threads)]
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:  # noqa: S603
        try:
            output, _ = process.communicate(timeout=options.limit)
        except subprocess.TimeoutExpired:
            found: dict[str, Any] = {"missing": f"It was not done within {options.limit} seconds."}
        else:
            found = _read(output, process.returncode)
        finally:
            _end(process)
    said = found.get("missing") or f"built in {found['build_seconds']:.1f} s, {found['resident_mb']:.0f} MB"
    _say(f"{name}: {said} ({time.perf_counter() - start:.0f} s)")
    return found


def _read(output: str, code: int) -> dict[str, Any]:
    if code:
        return {"missing": f"Its process ended with {signal.Signals(-code).name if code < 0 else code}."}
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def _end(process: "subprocess.Popen[str]") -> None:
    """End a peer's process and the server that it may have left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _command(options: argparse.Namespace) -> str:
    names = ("tracks", "dimension", "queries", "repeats")
    return " ".join(["python -m benchmarks.peers", *(f"--{name} {getattr(options, name)}" for name in names)])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--tracks", type=int, default=211_405, help="default: the tracks of 8,057 real playlists")
    add("--dimension", type=int, default=256, help="numbers of a vector (default: 256)")
    add("--queries", type=int, default=64, help="playlists that are asked for (default: 64)")
    add("--repeats", type=int, default=3, help="how often each is timed; medians are of those (default: 3)")
    cores = len(os.sched_getaffinity(0))
    add(
        "--threads",
        type=int,
        nargs="+",
        default=sorted({1, min(2, cores)}),
        help="default: 1, and 2 where there are two",
    )
    add("--limit", type=int, default=240, help="seconds that a peer may take (default: 240)")
    add("--seed", type=int, default=0)
    add("--peers", nargs="+", choices=_NAMES, default=list(_NAMES), metavar="NAME", help=f"of {', '.join(_NAMES)}")
    add("--output", type=Path, required=True, metavar="FILE", help="where the figures go, as JSON")
    return parser


def _report_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers report", description=write_report.__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="FILE", help="what runs have written")
    parser.add_argument("--docs", type=Path, default=_ROOT / "docs", metavar="DIR", help="default: docs/")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or report what was measured."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["report"]:
        options = _report_parser().parse_args(given[1:])
        write_report([json.loads(file.read_bytes()) for file in options.runs], options.docs)
        return
    options = _run_parser().parse_args(given)
    write_whole(options.output, json.dumps(run(options), indent=1).encode())


if __name__ == "__main__":
    main()
