"""Measure one peer in this process: `python -m benchmarks.peers.one NAME FOLDER`; `benchmarks.peers` calls it.

A process each, so that its memory is its own. The last line of the output is a JSON object, either of figures or of one
sentence that says why there are none.
"""

import argparse
import ctypes
import functools
import gc
import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.indexes import PEERS, Index, Peer
from benchmarks.peers.servers import SERVERS
from benchmarks.peers.vectors import MOST, QUERIES, TRUTH, VECTORS, Floats, Ids, recall

KS = (10, MOST)
BATCH = 32


class Stream:
    """Reads as many bytes as a query does from memory, and does little else: numpy's maximum of a matrix."""

    def __init__(self, count: int, threads: int) -> None:
        """Lay down ``count`` bytes, to be read in as many parts as there are threads."""
        self._parts = np.array_split(np.full(count, 1, np.int8), threads)  # written, since zeros would be no memory yet
        self._pool = ThreadPoolExecutor(threads)

    def read(self) -> float:
        """Read them once and return the seconds."""
        start = time.perf_counter()
        if len(self._parts) == 1:
            self._parts[0].max()
        else:
            list(self._pool.map(np.max, self._parts))
        return time.perf_counter() - start


def measure(peer: Peer, folder: Path, threads: Sequence[int], repeats: int) -> dict[str, Any]:
    """Return what a peer's index costs to build and to hold, and how it searches by threads, effort and k."""
    for module in peer.needs:
        importlib.import_module(module)
    _return_memory()
    before = resident("VmRSS")
    vectors: Floats = np.load(folder / VECTORS)
    start = time.perf_counter()
    index = peer.open(vectors, max(threads))
    seconds = time.perf_counter() - start
    del vectors
    _return_memory()
    held, peak = resident("VmRSS") - before, resident("VmHWM") - before
    queries, truth = np.load(folder / QUERIES), np.load(folder / TRUTH)
    searches = [row for count in threads for row in _searches(index, queries, truth, count, repeats)]
    sizes = {"resident_mb": held / 1e6, "peak_mb": peak / 1e6, "stored_mb": index.stored / 1e6}
    return {"build_seconds": seconds, "built_with": max(threads), "scanned": index.scanned, **sizes, "rows": searches}


def _searches(index: Index, queries: Floats, truth: Ids, threads: int, repeats: int) -> Iterator[dict[str, Any]]:
    stream = Stream(index.scanned, threads) if index.scanned else None
    for effort in index.efforts:
        index.use(threads, effort)
        for k in KS:
            found = np.concatenate([index.search(queries[row : row + 1], k) for row in range(len(queries))])
            yield {
                "threads": threads,
                "effort": effort,
                "k": k,
                "recall": recall(found, truth, k),
                **_alone(functools.partial(index.search, k=k), queries, repeats, stream),
                **_together(functools.partial(index.search, k=k), queries, repeats),
            }


def _alone(search: Callable[[Floats], Any], queries: Floats, repeats: int, stream: Stream | None) -> dict[str, Any]:
    """Time queries one by one, in turns with reading the same bytes; medians of what each repeat has."""
    medians, late, reads = [], [], []
    for _ in range(repeats):
        taken, read = [], []
        for row in range(len(queries)):
            start = time.perf_counter()
            search(queries[row : row + 1])
            taken.append(time.perf_counter() - start)
            if stream is not None:
                read.append(stream.read())
        medians.append(statistics.median(taken))
        late.append(float(np.percentile(taken, 95)))
        reads.append(statistics.median(read) if read else 0.0)
    found: dict[str, Any] = {"ms": _milli(medians), "p95_ms": _milli(late), "spread_ms": [1e3 * one for one in medians]}
    if stream is not None:
        ratios = [mine / other for mine, other in zip(medians, reads, strict=True)]
        found |= {"read_ms": _milli(reads), "over_read": statistics.median(ratios)}
    return found


def _together(search: Callable[[Floats], Any], queries: Floats, repeats: int) -> dict[str, float]:
    """Time batches: queries a second, and how many cores were at work, which tells whether threads were kept to."""
    rates, cores = [], []
    for _ in range(repeats):
        start, cpu = time.perf_counter(), time.process_time()
        for row in range(0, len(queries), BATCH):
            search(queries[row : row + BATCH])
        seconds = time.perf_counter() - start
        rates.append(len(queries) / seconds)
        cores.append((time.process_time() - cpu) / seconds)
    return {"batch_per_second": statistics.median(rates), "batch_cores": statistics.median(cores)}


def _milli(seconds: Sequence[float]) -> float:
    return 1e3 * statistics.median(seconds)


def resident(field: str) -> int:
    """Return this process's resident memory in bytes: ``VmRSS`` now, ``VmHWM`` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def _return_memory() -> None:
    """Give back what was freed, or a peer would be charged for what it only built with."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _figures(options: argparse.Namespace) -> dict[str, Any]:
    """Return a peer's figures, or why there are none: a peer that fails must not end the others' run."""
    try:
        if options.name in SERVERS:
            return SERVERS[options.name].measure(options.folder, options.repeats)
        return measure(PEERS[options.name], options.folder, options.threads, options.repeats)
    except ImportError as error:
        return {"missing": f"It is not installed: {error}."}
    except Exception as error:  # whatever a peer raises is its own
        said = (str(error).strip().splitlines() or [""])[0]
        return {"missing": f"It failed with {type(error).__name__}: {said}"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the peer that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.one", description=__doc__)
    parser.add_argument("name", choices=[*PEERS, *SERVERS])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=3)
    print(json.dumps(_figures(parser.parse_args(arguments))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
