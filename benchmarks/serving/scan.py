"""The scan of the catalogue alone: one query against reading the same bytes, and many that share a pass.

Made-up vectors, no neighbours, no service. Queries at once come from as many threads, each of which asks again when it
is answered. Everything is printed as one JSON object; times are in milliseconds.

    python -m benchmarks.serving.scan --tracks 2262292 --length 128
"""

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil

from inference.scan import Scan, Table
from inference.tiles import Tiles

_NOBODY = np.array([-1])
_SILENCE, _WEIGHTS = np.zeros((3, 1), np.float32), np.ones(5, np.float32)


def made_up(tracks: int, length: int) -> Table:
    """Return vectors of normal numbers in 8 bits, the popular tracks first."""
    draw = np.random.default_rng(0)
    vectors = np.empty((tracks, length), np.uint8)
    for start in range(0, tracks, 100_000):
        part = draw.standard_normal((min(100_000, tracks - start), length), np.float32)
        vectors[start : start + len(part)] = np.rint(127 * part / np.abs(part).max(1, keepdims=True)) + 128
    prior = -np.sort(-draw.random((2, tracks), np.float32)) * np.float32(0.1)
    return Table(Tiles.of(vectors), draw.random(tracks, np.float32) * np.float32(0.01), prior, None)


def alone(table: Table, scan: Scan, queries: Any) -> dict[str, float]:
    """Time single queries and numpy's maximum over the same vectors, in turns."""
    asked, read = [], []
    for query in queries:
        read.append(_seconds(table.vectors.tiles.max))
        asked.append(_seconds(lambda query=query: scan.best(query, _WEIGHTS, _NOBODY, _SILENCE, _NOBODY, 500)))
    found = {"read": 1e3 * float(np.median(read)), "query": 1e3 * float(np.median(asked))}
    return found | {"query_over_read": found["query"] / found["read"]}


def at_once(scan: Scan, queries: Any, threads: int, seconds: float) -> dict[str, float]:
    """Ask from ``threads`` threads for a while."""
    stop = time.perf_counter() + seconds

    def ask(first: int) -> list[float]:
        took, number = [], first
        while time.perf_counter() < stop:
            query = queries[number % len(queries)]
            took.append(_seconds(lambda: scan.best(query, _WEIGHTS, _NOBODY, _SILENCE, _NOBODY, 500)))  # noqa: B023 - called at once
            number += threads
        return took

    start, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        took = [one for part in pool.map(ask, range(threads)) for one in part]
    return {
        "a_second": len(took) / (time.perf_counter() - start),
        "cpu_a_query": 1e3 * (time.process_time() - cpu) / len(took),
        "p50": 1e3 * float(np.percentile(took, 50)),
        "p95": 1e3 * float(np.percentile(took, 95)),
    }


def _seconds(action: Any) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.scan", description="Time the scan of a catalogue of made-up vectors."
    )
    parser.add_argument("--tracks", type=int, default=2_262_292, help="default: the Million Playlist Dataset's")
    parser.add_argument("--length", type=int, default=128, help="numbers of a vector (default: 128)")
    parser.add_argument("--threads", type=int, help="that go through it (default: by the CPU limit)")
    parser.add_argument("--way", type=int, help="of multiplying: 0 plain C, 1 AVX2, 2 VNNI (default: the CPU's best)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each number of queries at once (default: 3)")
    options = parser.parse_args()
    table = made_up(options.tracks, options.length)
    scan = table.scan(options.threads, options.way)
    queries = np.random.default_rng(1).standard_normal((40, options.length), np.float32)
    found: dict[str, Any] = {"tracks": options.tracks, "length": options.length, "way": options.way}
    found["alone"] = alone(table, scan, queries)
    found["at_once"] = {n: at_once(scan, queries, n, options.seconds) for n in (1, 2, 4, 8, 16)}
    found["load_average"] = psutil.getloadavg()[0]
    json.dump(found, sys.stdout, indent=1)
    print()  # noqa: T201


if __name__ == "__main__":
    main()
