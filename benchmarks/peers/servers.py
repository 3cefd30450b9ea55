"""Whole servers over HTTP, asked for the same playlists on the same vectors, with a client on the same cores.

Ours is the service as it is served, with a bundle whose query part is the mean of the seeds' vectors. Chroma, a vector
database, is told that mean, and the client drops the seeds from what it answers.
"""

import base64
import http.client
import importlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.peers.vectors import (
    MOST,
    PLAYLISTS,
    QUERIES,
    SEEDS,
    TRUTH,
    VECTORS,
    Ids,
    asking,
    lengthened,
    recall,
    without,
)

KS = (10, MOST)
CLIENTS = 4
_STARTS_WITHIN = 60.0  # seconds

Ask = Callable[[http.client.HTTPConnection, int, int], list[int]]
"""Ask for a playlist, by its number, and the best k; return their ids."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A server that holds the catalogue.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        process: Its process.
        ask: How it is asked.
        build_seconds: From the vectors to an answer.
    """

    port: int
    process: psutil.Process
    ask: Ask
    build_seconds: float


@dataclass(frozen=True, slots=True)
class Server:
    """One that is compared.

    Attributes:
        run: Yields it with the vectors of a folder.
        what: What it is, for the report.
    """

    run: Callable[[Path], Any]
    what: str

    def measure(self, folder: Path, repeats: int) -> dict[str, Any]:
        """Return how long its answers take one after another, and how many `CLIENTS` get in a second."""
        playlists, truth = np.load(folder / PLAYLISTS), np.load(folder / TRUTH)
        with self.run(folder) as asked:
            rows = [_row(asked, playlists, truth, k, repeats) for k in KS]
            held = asked.process.memory_info().rss
        return {"build_seconds": asked.build_seconds, "resident_mb": held / 1e6, "clients": CLIENTS, "rows": rows}


def _row(asked: Asked, playlists: Ids, truth: Ids, k: int, repeats: int) -> dict[str, Any]:
    count, connection = len(playlists), http.client.HTTPConnection("127.0.0.1", asked.port, timeout=60)
    found = [asked.ask(connection, row, k)[:k] for row in range(count)]
    wide = np.array([row + [-1] * (k - len(row)) for row in found], np.int64)
    medians, late, rates = [], [], []
    for _ in range(repeats):
        taken = []
        for row in range(count):
            start = time.perf_counter()
            asked.ask(connection, row, k)
            taken.append(time.perf_counter() - start)
        medians.append(1e3 * statistics.median(taken))
        late.append(1e3 * float(np.percentile(taken, 95)))
        rates.append(_rate(asked, count, k))
    connection.close()
    return {
        "k": k,
        "recall": recall(wide, without(truth, playlists, k), k),
        "ms": statistics.median(medians),
        "p95_ms": statistics.median(late),
        "spread_ms": medians,
        "per_second": statistics.median(rates),
    }


def _rate(asked: Asked, count: int, k: int) -> float:
    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", asked.port, timeout=60)
        for row in range(number, count, CLIENTS):
            asked.ask(connection, row, k)
        connection.close()

    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    return count / (time.perf_counter() - start)


def _send(connection: http.client.HTTPConnection, path: str, body: Any) -> Any:
    connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{path} answered {answer.status}: {content[:200].decode(errors='replace')}")
    return json.loads(content)


@contextmanager
def _segue(folder: Path) -> Iterator[Asked]:
    from benchmarks.peers.bundle import uri, write_mean_bundle
    from benchmarks.serving.service import measured

    playlists = np.load(folder / PLAYLISTS)

    def ask(connection: http.client.HTTPConnection, row: int, k: int) -> list[int]:
        body = {"tracks": [{"track_uri": uri(track)} for track in playlists[row].tolist()], "k": k}
        answer = _send(connection, "/predict", body)
        return [int(track["track_uri"].rsplit(":", 1)[1]) for track in answer["recommended_tracks"]]

    with tempfile.TemporaryDirectory(dir=folder) as work:
        start = time.perf_counter()
        bundle = write_mean_bundle(Path(work) / "bundle", np.load(folder / VECTORS, mmap_mode="r"))
        with measured(Path(work) / "log", SEGUE_BUNDLE=str(bundle.path)) as service:
            yield Asked(service.port, service.process, ask, time.perf_counter() - start)


_CHROMA = "import sys, chromadb_rust_bindings as chroma; chroma.cli(sys.argv)"
_COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"
_ADDED_AT_ONCE = 2000  # vectors; the server takes 5,461
_EFFORT = 1024


@contextmanager
def _chroma(folder: Path) -> Iterator[Asked]:
    importlib.import_module("chromadb_rust_bindings")  # or it says that it is not installed

    playlists, queries = np.load(folder / PLAYLISTS), np.load(folder / QUERIES)
    start = time.perf_counter()
    vectors, asked = lengthened(np.load(folder / VECTORS)), asking(queries)
    with tempfile.TemporaryDirectory(dir=folder) as work, _chroma_process(Path(work)) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        graph = {"space": "l2", "ef_construction": 100, "max_neighbors": 16, "ef_search": _EFFORT}
        made = _send(connection, _COLLECTIONS, {"name": "tracks", "configuration": {"hnsw": graph}})
        place = f"{_COLLECTIONS}/{made['id']}"
        for first in range(0, len(vectors), _ADDED_AT_ONCE):
            part = vectors[first : first + _ADDED_AT_ONCE]
            ids = [str(first + row) for row in range(len(part))]
            written = [base64.b64encode(row.tobytes()).decode() for row in part]
            _send(connection, f"{place}/add", {"ids": ids, "embeddings": written})

        def ask(connection: http.client.HTTPConnection, row: int, k: int) -> list[int]:
            body = {"query_embeddings": [asked[row].tolist()], "n_results": k + SEEDS, "include": ["distances"]}
            own = set(playlists[row].tolist())
            ids = [int(name) for name in _send(connection, f"{place}/query", body)["ids"][0]]
            return [track for track in ids if track not in own]

        ask(connection, 0, MOST)  # what was added last is put into its graph when it is asked for
        yield Asked(port, process, ask, time.perf_counter() - start)


@contextmanager
def _chroma_process(work: Path) -> Iterator[tuple[psutil.Process, int]]:
    port = _free_port()
    command = [sys.executable, "-c", _CHROMA, "run", "--path", str(work / "data"), "--host", "127.0.0.1"]
    environment = {**os.environ, "ANONYMIZED_TELEMETRY": "False"}
    with (work / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--port", str(port)], env=environment, stdout=log, stderr=log)  # noqa: S603
    try:
        _wait(process, port)
        yield psutil.Process(process.pid), port
    finally:
        process.kill()  # it has nothing to keep
        process.wait(60)


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


SERVERS: dict[str, Server] = {
    "segue over HTTP": Server(
        _segue,
        "our service, told ten URIs, which it matches and leaves out; it answers names, artists, URIs and scores",
    ),
    "Chroma over HTTP": Server(
        _chroma,
        f"a vector database, told the vector, over distances; M = 16, ef_construction = 100, ef_search = {_EFFORT}",
    ),
}
NOT_TRIED: Sequence[tuple[str, str]] = (
    (
        "gorse",
        "Its Go module github.com/gorse-io/gorse could not be had where this was written: the proxy of modules "
        "answered 403, this module version is not available. It learns vectors of its own, and ranks no given ones.",
    ),
)
"""Peers that were looked for in vain, and what came of it."""
