"""Measure one layer of LightGCN's propagation beside other ways: `python -m benchmarks.lightgcn …`."""

import argparse
import json
import os
import resource
import statistics
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import torch

from benchmarks.lightgcn.graphs import made_up, tracks_of
from benchmarks.lightgcn.ways import WAYS
from train.interactions import Interactions


def measured(graph: Interactions, names: Sequence[str], dimension: int, rounds: int) -> dict[str, Any]:
    """Return what each way takes on a graph.

    Args:
        graph: The graph.
        names: Of the ways, `scipy` among them.
        dimension: Numbers of a vector.
        rounds: How often each is called, in turns; a first round warms up and does not count.
    """
    vectors = torch.randn(graph.n_users + graph.n_items, dimension, generator=torch.Generator().manual_seed(0))
    built, ready = {}, {}
    for name in names:
        began = perf_counter()
        built[name] = WAYS[name](graph)
        ready[name] = perf_counter() - began
    seconds: dict[str, list[float]] = {name: [] for name in names}
    expected = built["scipy"](vectors)
    differences = {}
    for turn in range(rounds + 1):
        for name in names:
            began = perf_counter()
            result = built[name](vectors)
            if turn:
                seconds[name].append(perf_counter() - began)
            else:
                differences[name] = float((result - expected).abs().max())
            del result
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return {
        name: {
            "seconds_to_get_ready": round(ready[name], 3),
            "seconds": [round(one, 4) for one in seconds[name]],
            "median": round(medians[name], 4),
            "ratio_to_scipy": round(medians[name] / medians["scipy"], 3),
            "largest_difference": differences[name],
        }
        for name in names
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lightgcn", description=__doc__)
    parser.add_argument("--playlists", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most-gb", type=float, default=8.0, help="of messages, above which `pyg` is left out")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help="scipy is always there")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    found = []
    with torch.no_grad():
        for playlists in options.playlists:
            print(f"{playlists:,} playlists …", file=sys.stderr)
            graph = made_up(playlists, tracks_of(playlists), options.seed)
            gigabytes = 2 * len(graph) * options.dimension * 4 / 1e9
            names = [n for n in WAYS if n in {"scipy", *options.ways} and (n != "pyg" or gigabytes <= options.most_gb)]
            figures = measured(graph, names, options.dimension, options.rounds)
            sizes = {"playlists": playlists, "tracks": graph.n_items, "edges": len(graph)}
            # Of the process so far: sizes grow, so it is this one's, but for the ways that stand beside each other.
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            found.append({**sizes, "peak_gb": round(peak, 2), "ways": figures})
    about = {"threads": torch.get_num_threads(), "load": os.getloadavg(), "dimension": options.dimension}
    print(json.dumps({**about, "graphs": found}, indent=1))


if __name__ == "__main__":
    main()
