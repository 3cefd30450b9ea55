"""Peers on the same vectors: exact ones find what is right, who is missing is a sentence, and the page is the run's."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import __main__ as peers
from benchmarks.peers import one
from benchmarks.peers.report import write_report
from benchmarks.peers.vectors import (
    MOST,
    PLAYLISTS,
    QUERIES,
    SEEDS,
    TRUTH,
    VECTORS,
    asking,
    exact,
    lengthened,
    recall,
    without,
    write_vectors,
)
from inference.scan import library

SIZES = ["--tracks", "2000", "--dimension", "32", "--queries", "8", "--repeats", "1"]
built = pytest.mark.skipif(library() is None, reason="no C compiler was there when the package was installed")


def _run(folder: Path, *names: str, limit: int = 240) -> dict[str, Any]:
    output = folder / "peers.json"
    peers.main([*SIZES, "--limit", str(limit), "--output", str(output), "--peers", *names])
    run: dict[str, Any] = json.loads(output.read_bytes())
    return run


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    """And another seed others."""
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        write_vectors(tmp_path / name, 2000, 32, 4, seed)
    for name in (VECTORS, QUERIES, PLAYLISTS, TRUTH):
        one, same, other = ((tmp_path / made / name).read_bytes() for made in ("one", "same", "other"))
        assert one == same != other


def test_the_truth_is_what_a_full_sort_says(tmp_path: Path) -> None:
    """In 64 bits, best first, across the parts that it is worked out in."""
    draw = np.random.default_rng(0)
    vectors, queries = draw.standard_normal((70_000, 4), np.float32), draw.standard_normal((3, 4), np.float32)
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    assert exact(vectors, queries, 20).tolist() == np.argsort(-scores, axis=1, kind="stable")[:, :20].tolist()


def test_a_catalogue_that_is_too_small_is_refused(tmp_path: Path) -> None:
    """In a sentence, before anything is measured."""
    with pytest.raises(ValueError, match="1000 tracks are too few to look for the best 500; make at least 1020"):
        write_vectors(tmp_path, 1000, 8, 2)


def test_recall_counts_what_stands_among_the_first(tmp_path: Path) -> None:
    """The order within them does not matter, and a playlist's own tracks can be left out."""
    assert recall(np.array([[3, 1, 9]]), np.array([[1, 2, 3, 9]]), 3) == pytest.approx(2 / 3)
    assert without(np.array([[5, 1, 2, 3]]), np.array([[1, 7]]), 3).tolist() == [[5, 2, 3]]


def test_lengthened_vectors_are_near_where_products_are_great(tmp_path: Path) -> None:
    """The order by distance is the order by inner product."""
    draw = np.random.default_rng(0)
    vectors, query = draw.standard_normal((200, 8), np.float32), draw.standard_normal((1, 8), np.float32)
    distances = np.linalg.norm(lengthened(vectors) - asking(query), axis=1)
    assert np.argsort(distances).tolist() == exact(vectors, query, 200)[0].tolist()


@built
def test_exact_peers_find_all_that_is_right(tmp_path: Path) -> None:
    """numpy and implicit in 32 bits find every track; our 8 bits lose less than one in a hundred."""
    run = _run(tmp_path, "numpy", "segue", "implicit")
    for name in ("numpy", "implicit"):
        assert [row["recall"] for row in run["peers"][name]["rows"]] == [1.0] * len(run["peers"][name]["rows"])
    for row in run["peers"]["segue"]["rows"]:
        assert 0.99 < row["recall"] <= 1.0
        assert min(row["ms"], row["p95_ms"], row["read_ms"], row["over_read"], row["batch_per_second"]) > 0
    assert run["peers"]["segue"]["stored_mb"] < run["peers"]["numpy"]["stored_mb"] / 2
    assert run["machine"]["cores"] >= 1
    assert [row["k"] for row in run["peers"]["numpy"]["rows"][:2]] == [10, MOST]


@built
def test_the_service_ranks_the_same_vectors_over_http(tmp_path: Path) -> None:
    """It leaves the playlist's own tracks out, and finds nearly all others that are right."""
    server = _run(tmp_path, "segue over HTTP")["peers"]["segue over HTTP"]
    assert [row["k"] for row in server["rows"]] == [10, MOST]
    assert all(row["recall"] > 0.95 and row["per_second"] > 0 for row in server["rows"])


@pytest.mark.parametrize("name, module", [("ScaNN", "scann"), ("faiss IVF", "faiss"), ("hnswlib", "hnswlib")])
def test_a_peer_that_is_not_installed_is_a_sentence(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not an error: the others are measured all the same."""
    monkeypatch.setitem(sys.modules, module, None)
    one.main([name, str(tmp_path)])
    assert json.loads(capsys.readouterr().out)["missing"].startswith(f"It is not installed: import of {module}")


def test_a_peer_that_fails_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it raises."""
    one.main(["numpy", str(tmp_path)])
    assert json.loads(capsys.readouterr().out)["missing"].startswith("It failed with FileNotFoundError: ")


def test_a_peer_that_takes_too_long_is_a_sentence(tmp_path: Path) -> None:
    """It is ended, and the run goes on."""
    assert _run(tmp_path, "numpy", limit=0)["peers"]["numpy"] == {"missing": "It was not done within 0 seconds."}


def _row(threads: int, k: int, ms: float, effort: int = 0, **more: Any) -> dict[str, Any]:
    times = {"recall": 0.9987, "ms": ms, "p95_ms": 2 * ms, "spread_ms": [ms]}
    return {
        "threads": threads,
        "k": k,
        "effort": effort,
        **times,
        "batch_per_second": 4321.0,
        "batch_cores": 1.9,
        **more,
    }


def _made_up() -> dict[str, Any]:
    """Return a run as it would stand in a file, of round figures."""
    sizes = {"build_seconds": 2.0, "built_with": 2, "resident_mb": 57.0, "peak_mb": 300.0, "stored_mb": 56.7}
    reads: dict[str, Any] = {"read_ms": 2.0, "over_read": 1.3}
    each = [(threads, k) for threads in (1, 2) for k in (10, 500)]
    asked = {"recall": 0.99, "ms": 3.5, "p95_ms": 6.0, "spread_ms": [3.5], "per_second": 250.0}
    return {
        "schema": 1,
        "command": "python -m benchmarks.peers --tracks 211405",
        "options": {
            "tracks": 211405, "dimension": 256, "queries": 96, "repeats": 3, "threads": [1, 2], "seed": 0, "limit": 240,
        },
        "machine": {
            "cpu": "Made-up CPU, avx2", "cores": 2, "caches": {"L1": "32K", "L3": "32768K"}, "memory_gb": 24.0,
            "system": "Linux 6.1", "python": "3.11.7", "blas": ["openblas Haswell"], "packages": {"numpy": "2.4.6"},
        },
        "load_average": [0.1, 1.9],
        "seconds": 420,
        "peers": {
            "segue": {**sizes, "scanned": 56_656_540, "rows": [_row(*one, 2.6, **reads) for one in each]},
            "faiss HNSW": {
                **sizes, "scanned": 0, "rows": [_row(*one, 0.5, effort) for effort in (64, 1024) for one in each],
            },
            "ScaNN": {"missing": "It is not installed: No module named 'scann'."},
            "segue over HTTP": {
                "build_seconds": 9.0, "resident_mb": 240.0, "clients": 4,
                "rows": [{"k": k, **asked} for k in (10, 500)],
            },
        },
        "not_tried": {"gorse": "It could not be had."},
    }  # fmt: skip


def test_the_page_says_what_the_run_says(tmp_path: Path) -> None:
    """Tables, machine, roofline, memory, servers, and a sentence for each that is missing."""
    write_report([_made_up()], tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    for wanted in (
        "## 211,405 tracks of 256 numbers",
        "2 cores of Made-up CPU, avx2; L1 32K, L3 32768K; 24 GB",
        "| **segue** | 1 | 57 | 2.00 ms | 28.3 | 2.60 ms | **1.30** |",
        "| faiss HNSW, ef 1024 | 0.999 | 0.999 | 0.50, 1.00 | 0.50, 1.00 | 0.50, 1.00 | 0.50, 1.00 |",
        "| **segue** | 57 | 300 | 57 | 2.0 (2 threads) |",
        "| **segue over HTTP** | 500 | 0.990 | 3.50, 6.00 | 250 by 4 | 240 | 9.0 |",
        "- ScaNN: It is not installed: No module named 'scann'.",
        "- gorse: It could not be had.",
        "![Recall and speed, and the roofline](images/peers_211405.svg)",
    ):
        assert wanted in page


def test_the_plot_is_small_and_the_same_each_time(tmp_path: Path) -> None:
    """It is text, and names who was measured."""
    for name in ("one", "two"):
        write_report([_made_up()], tmp_path / name)
    drawn = (tmp_path / "one" / "images" / "peers_211405.svg").read_bytes()
    assert drawn == (tmp_path / "two" / "images" / "peers_211405.svg").read_bytes()
    assert len(drawn) < 60_000
    assert all(word in drawn.decode() for word in ("faiss HNSW", "segue: 1.30 times reading", "recall@10"))


def test_a_run_that_measured_nobody_still_has_a_page(tmp_path: Path) -> None:
    """Sentences, and no table's row."""
    run = copy.deepcopy(_made_up())
    run["peers"] = {"numpy": {"missing": "It was not done within 1 seconds."}}
    write_report([run], tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "- numpy: It was not done within 1 seconds." in page
    assert "None was measured in this run." in page


def test_two_runs_are_two_sections(tmp_path: Path) -> None:
    """As for catalogues of two sizes."""
    other = copy.deepcopy(_made_up())
    other["options"]["tracks"] = 2_262_292
    write_report([_made_up(), other], tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert page.count("### One query alone") == 2
    assert (tmp_path / "images" / "peers_2262292.svg").exists()


def test_a_playlist_has_as_many_tracks_as_are_said(tmp_path: Path) -> None:
    """And its vector is their mean."""
    write_vectors(tmp_path, 2000, 16, 5)
    vectors, playlists = np.load(tmp_path / VECTORS), np.load(tmp_path / PLAYLISTS)
    assert playlists.shape == (5, SEEDS)
    np.testing.assert_allclose(np.load(tmp_path / QUERIES), vectors[playlists].mean(1))
