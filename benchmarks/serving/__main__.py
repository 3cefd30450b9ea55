"""Measure the service: `python -m benchmarks.serving <what> --bundle DIR`.

    ranking   one query against a plain int8 scan of the same vectors, in turns
    load      latency under an open load, with its generator on the same cores
    overload  goodput and refusals at some times what it can do
    settings  throughput and latency by threads and concurrency
    memory    resident memory over many requests and swaps of the bundle
    start     seconds from start to ready, and how long a swap needs the memory of two bundles

Everything is printed as one JSON object and, where MLFLOW_TRACKING_URI is set, logged to MLflow by the bundle's digest.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.serving.load import bodies
from benchmarks.serving.service import measured
from delivery.load import drive, repeat
from evaluation.slices import read_slices
from inference.graph import WholeGraph
from inference.ranker import Ranker
from segue.bundle import CATALOGUE, Bundle
from segue.catalogue import Catalogue
from segue.files import write_whole
from segue.query import encode

_DIMENSION = 128


def ranking(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Time a whole query, its parts, and a scan of an int8 matrix of the catalogue's size, taking turns on one core.

    What a scan cannot be faster than is reading its bytes: numpy's maximum over a matrix of the same shape does little
    else. Times are of the wall; the tenth percentile is what the machine does when it is let. ``query`` is all of
    `Ranker.rank`, the title's words included; ``ranking`` what comes after them; ``whole graph`` the same by ONNX
    Runtime alone, as machines without the C library do it.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before the scan has helpers, which would take another
    ranker = Ranker.open(bundle, threads=1)
    whole = WholeGraph(ranker.bundle, threads=1)
    tracks = len(ranker.catalogue)
    draw = np.random.default_rng(0)
    layout = ranker.bundle.manifest.model.get("scan", {"vectors": {"shape": [tracks, _DIMENSION]}})
    matrix = draw.integers(-63, 64, (layout["vectors"]["shape"][1], tracks), dtype=np.int8)
    times: dict[str, list[float]] = {}
    for _ in range(options.count):
        query = ranker.query(draw.integers(0, tracks, 10).tolist(), "late night drive")
        inputs = encode([query], ranker.encoding, ranker._tokenise)
        for name, action in (
            ("query", lambda query=query: ranker.rank([query], 10)),
            ("ranking", lambda inputs=inputs: ranker._graph.run(inputs, 10)),
            ("whole graph", lambda inputs=inputs: whole.run(inputs, 10)),
            ("read", lambda: matrix.max()),
        ):
            start = time.perf_counter()
            action()
            times.setdefault(name, []).append(time.perf_counter() - start)
    return {
        "tracks": tracks,
        "n": options.count,
        "ranked_by": ranker.kind,
        **{name: _both(values, 1e3) for name, values in times.items()},
        **{f"{name}_over_read": _ratio(times[name], times["read"]) for name in ("query", "ranking", "whole graph")},
    }


def _both(values: Sequence[float], factor: float) -> dict[str, float]:
    """Return the median, and the tenth percentile, which neighbours on the machine disturb less; times ``factor``."""
    return {"median": factor * _percentile(values, 50), "p10": factor * _percentile(values, 10)}


def _ratio(part: Sequence[float], whole: Sequence[float]) -> dict[str, float]:
    return {f"p{p}": _percentile(part, p) / _percentile(whole, p) for p in (10, 50)}


def load(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Drive the service at a steady rate, open loop."""
    with _service(bundle) as service:
        requests = _requests(bundle, options)
        asyncio.run(drive(service.host, service.port, requests, options.rate / 2, 2, seed=1))  # warm
        before, own = service.cpu_seconds(), time.process_time()
        found = asyncio.run(drive(service.host, service.port, requests, options.rate, options.seconds))
        return {
            "settings": {
                "rate": options.rate,
                "seconds": options.seconds,
                "playlists": len(requests),
                "seed": 0,
                "diversity": options.diversity,
                "real": bool(options.playlists),
            },
            **found.figures(),
            "service_cores": (service.cpu_seconds() - before) / found.seconds,
            "generator_cores": (time.process_time() - own) / found.seconds,
            "resident_megabytes": service.megabytes(),
            "ready_seconds": service.ready_seconds,
        }


def overload(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Find what the service can do with as many clients as find a place, then ask for some times that."""
    with _service(bundle) as service:
        requests = _requests(bundle, options)
        asyncio.run(repeat(service.host, service.port, requests, 50, 4))
        start = time.perf_counter()
        statuses = asyncio.run(repeat(service.host, service.port, requests, options.count, options.clients))
        most = statuses[200] / (time.perf_counter() - start)
        found = asyncio.run(drive(service.host, service.port, requests, options.times * most, options.seconds))
        goodput = found.statuses[200] / found.seconds
        refused = [1e3 * seconds for seconds in found.refused] or [float("nan")]
        return {
            "most_a_second": most,
            "asked_a_second": options.times * most,
            "goodput_a_second": goodput,
            "goodput_over_most": goodput / most,
            "refusal_milliseconds": {"p50": _percentile(refused, 50), "p95": _percentile(refused, 95)},
            **found.figures(),
        }


def settings(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Compare threads of a ranking and rankings at once, each in a fresh process, in turns."""
    choices = [(threads, at_once) for threads in (1, 2) for at_once in (2, 8, 32)]
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for threads, at_once in choices:
            given = {"SEGUE_THREADS": str(threads), "SEGUE_CONCURRENCY": str(at_once)}
            with _service(bundle, **given) as service:
                requests = _requests(bundle, options)
                asyncio.run(repeat(service.host, service.port, requests, 50, 4))
                start = time.perf_counter()
                statuses = asyncio.run(repeat(service.host, service.port, requests, options.count, 8))
                most = statuses[200] / (time.perf_counter() - start)
                steady = asyncio.run(drive(service.host, service.port, requests, options.rate, options.seconds))
                p95 = _percentile([1e3 * s for s in steady.latencies], 95)
                found.setdefault(f"{threads} threads, {at_once} at once", []).append({"most": most, "p95": p95})
    return {
        name: {key: statistics.median(one[key] for one in rounds) for key in ("most", "p95")} | {"n": len(rounds)}
        for name, rounds in found.items()
    }


def memory(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Follow the resident memory over many requests, and over swaps between two bundles under load."""
    other = Path(options.other) if options.other else bundle
    with tempfile.TemporaryDirectory() as folder:
        pointer = Path(folder) / "wanted.json"

        def point(number: int) -> str:
            return _point(pointer, Bundle.open(other if number % 2 else bundle), number)

        point(0)
        with _service(bundle, SEGUE_FOLLOW=str(pointer), SEGUE_FOLLOW_SECONDS="0.1", SEGUE_QUEUE="1000") as service:
            requests, marks, bad = _requests(bundle, options), [], 0
            for _ in range(20):
                statuses = asyncio.run(repeat(service.host, service.port, requests, options.count // 20, 4))
                bad += sum(statuses.values()) - statuses[200]
                marks.append(service.megabytes())
            swaps, settled = [], []
            for number in range(1, options.swaps + 1):
                version = point(number)
                while json.loads(service.get("/model"))["version"] != version:
                    statuses = asyncio.run(repeat(service.host, service.port, requests, 20, 4))
                    bad += sum(statuses.values()) - statuses[200]
                swaps.append(service.megabytes())
                time.sleep(1)  # who began with the model before is answered, and lets go of it
                settled.append(service.megabytes())
        return {
            "requests": options.count,
            "not_answered_200": bad,
            "resident_megabytes_by_twentieth": marks,
            "resident_megabytes_by_swap": swaps,
            "last_over_first_quarter": statistics.median(marks[-5:]) / statistics.median(marks[:5]),
            "resident_megabytes_a_second_later": settled,
            "last_over_first_swaps": statistics.median(settled[-5:]) / statistics.median(settled[:5]),
        }


def start(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Time starts of the service, and follow its resident memory, ten times a second, over a swap without load."""
    ready, resident, verifying = [], [], []
    for _ in range(options.rounds):
        begin = time.perf_counter()
        verified = Bundle.open(bundle)
        verifying.append(time.perf_counter() - begin)
        with _service(bundle) as service:
            ready.append(service.ready_seconds)
            resident.append(service.megabytes())
    with tempfile.TemporaryDirectory() as folder:
        pointer = Path(folder) / "wanted.json"
        _point(pointer, verified, 0)
        with _service(bundle, SEGUE_FOLLOW=str(pointer), SEGUE_FOLLOW_SECONDS="0.1") as service:
            before = service.megabytes()
            begin, marks, swapped = time.perf_counter(), [], None
            _point(pointer, Bundle.open(Path(options.other)) if options.other else verified, 1)
            while swapped is None or time.perf_counter() - begin < swapped + 3:
                marks.append(service.megabytes())
                if swapped is None and json.loads(service.get("/model"))["version"] == "1":
                    swapped = time.perf_counter() - begin
                time.sleep(0.1)
    each = (time.perf_counter() - begin) / len(marks)
    return {
        "n": options.rounds,
        "ready_seconds": _both(ready, 1),
        "verify_seconds": _both(verifying, 1),
        "resident_megabytes": _percentile(resident, 50),
        "swap": {
            "seconds": swapped,
            "resident_megabytes": {"before": before, "most": max(marks), "after": marks[-1]},
            "seconds_above_one_and_a_half": each * sum(mark > 1.5 * before for mark in marks),
        },
    }


def _point(pointer: Path, wanted: Bundle, number: int) -> str:
    """Let what is wanted be a bundle, as version ``number``, which is returned."""
    told = {"bundle": str(wanted.path), "digest": wanted.digest, "version": str(number)}
    write_whole(pointer, json.dumps(told).encode())
    return str(number)


def _service(bundle: Path, **settings: str) -> Any:
    folder = Path(tempfile.mkdtemp(prefix="segue-benchmark-"))
    return measured(folder / "log", SEGUE_BUNDLE=str(bundle), **settings)


def _requests(bundle: Path, options: argparse.Namespace) -> list[bytes]:
    if options.playlists:
        playlists, tracks, _ = read_slices(options.playlists)
        real = [(one.name, [tracks[number].uri for number in one.tracks]) for one in playlists]
        return bodies((), 500, seed=0, diversity=options.diversity, playlists=real)
    catalogue = Catalogue(bundle / CATALOGUE)
    uris = [track.uri for track in catalogue.tracks(range(min(5000, len(catalogue))))]
    return bodies(uris, 500, seed=0, diversity=options.diversity)


def _percentile(values: Sequence[float], place: int) -> float:
    return float(np.percentile(values, place))


def _log(what: str, bundle: Path, found: dict[str, Any]) -> None:
    """Log the figures to MLflow, tagged with the digest that the model's own run has."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    import mlflow

    asked = {"tracks": len(Catalogue(bundle / CATALOGUE)), **found.get("settings", {})}
    mlflow.set_experiment("segue-serving")
    with mlflow.start_run(run_name=f"benchmark {what}", tags={"digest": Bundle.open(bundle).digest}):
        mlflow.log_params(asked)
        mlflow.log_dict(found, f"{what}.json")
        mlflow.log_metrics(dict(_flat({name: value for name, value in found.items() if name != "settings"})))


def _flat(found: dict[str, Any], prefix: str = "") -> Any:
    for name, value in found.items():
        key = f"{prefix}{name}".replace(",", "").replace(" ", "_")
        if isinstance(value, dict):
            yield from _flat(value, f"{key}.")
        elif isinstance(value, int | float):
            yield key, float(value)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("what", choices=["ranking", "load", "overload", "settings", "memory", "start"])
    add(
        "--bundle",
        type=Path,
        required=True,
        metavar="DIR",
        help="what benchmarks.serving.big_bundle wrote, or a real one",
    )
    add("--other", metavar="DIR", help="another bundle to swap with (default: the same)")
    add("--rate", type=float, default=100.0, help="requests a second (default: 100)")
    add("--seconds", type=float, default=30.0, help="how long (default: 30)")
    add("--diversity", type=float, default=0.0, help="what each request of load asks for (default: 0)")
    add(
        "--playlists",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="MPD slices whose playlists are cut (default: made up)",
    )
    add("--count", type=int, default=400, help="requests or queries to time (default: 400)")
    add("--clients", type=int, default=16, help="clients of overload's first part, each asking again when answered")
    add("--times", type=float, default=3.0, help="how much more than it can do is asked of it (default: 3)")
    add("--rounds", type=int, default=3, help="how often each choice of settings is measured (default: 3)")
    add("--swaps", type=int, default=20, help="swaps of the bundle (default: 20)")
    options = parser.parse_args()
    quiet = psutil.getloadavg()[0]
    found = globals()[options.what](options.bundle, options)
    found["load_average"] = [round(quiet, 2), round(psutil.getloadavg()[0], 2)]
    _log(options.what, options.bundle, found)
    json.dump(found, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
