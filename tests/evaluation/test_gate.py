"""The gate through its command, from bundles and datasets on disk to exit codes and reports."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.__main__ import main
from segue.bundle import CATALOGUE, MODEL, TOKENIZER, Bundle, write_bundle
from segue.track import Track
from tests.evaluation.tiny_dataset import genre_playlists, write_dataset
from tests.support.tiny_bundle import tiny_tracks, write_tiny_bundle

TRACKS = tiny_tracks(300)
PASS, FAIL, INCONCLUSIVE, COULD_NOT_MEASURE = 0, 1, 2, 3


@dataclass(frozen=True)
class World:
    """One dataset and the bundles on trial.

    Attributes:
        dataset: Few training playlists and many held out: the tiny bundle knows genres, baselines hardly can.
        digest: The dataset's.
        good: A bundle that continues genres perfectly, sealed as trained on the dataset.
        bad: One whose catalogue is shuffled, so that it recommends at random.
        stranger: As good, but trained on something else.
    """

    dataset: Path
    digest: str
    good: Path
    bad: Path
    stranger: Path


def _seal(bundle: Bundle, path: Path, dataset: str) -> Path:
    files = {name: bundle.file(name) for name in (MODEL, CATALOGUE, TOKENIZER)}
    lineage = {"dataset": dataset, "commit": "", "run": "<script>alert(1)</script>", "seed": 0}
    return write_bundle(path, files, bundle.manifest.model, lineage, synthetic=False).path


def _bundle(folder: Path, name: str, tracks: Sequence[Track], dataset: str) -> Path:
    return _seal(write_tiny_bundle(folder / f"{name}-raw", folder / "work", tracks), folder / name, dataset)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    playlists = genre_playlists(120, len(TRACKS), length=32)
    splits = ["test"] * 100 + ["train"] * 10 + ["validation"] * 10
    digest = write_dataset(folder / "dataset", TRACKS, playlists, splits, synthetic=False)
    shuffled = [TRACKS[i] for i in np.random.default_rng(0).permutation(len(TRACKS))]
    good = _bundle(folder, "good", TRACKS, digest)
    bad = _bundle(folder, "bad", shuffled, digest)
    return World(folder / "dataset", digest, good, bad, _bundle(folder, "stranger", TRACKS, f"sha256:{'1' * 64}"))


def _gate(world: World, output: Path, bundle: Path, *more: str) -> int:
    return main(["gate", "--bundle", str(bundle), "--dataset", str(world.dataset), "--output", str(output), *more])


def _report(output: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((output / "report.json").read_text())
    return report


def test_a_better_bundle_passes_with_its_evidence(world: World, tmp_path: Path) -> None:
    """Exit code 0, and a report with every key of the contract."""
    assert _gate(world, tmp_path, world.good, "--incumbent", str(world.stranger)) == PASS
    report = _report(tmp_path)
    assert report["verdict"] == "pass"
    assert report["bundle"] == Bundle.open(world.good).digest
    assert report["incumbent"] == Bundle.open(world.stranger).digest
    assert report["dataset"] == world.digest
    assert (report["schema_version"], report["seed"], report["k"], report["playlists"]) == (1, 0, 500, 100)
    assert report["synthetic"] is False
    baselines = {"popularity", "title_knn", "item_knn", "playlist_knn", "ease", "ials"}
    assert set(report["baselines"]) == baselines
    assert set(report["baselines"]["ials"]) == {"alpha", "penalty"}
    assert set(report["metrics"]) == {"candidate", "incumbent"} | baselines
    for by_slice in report["metrics"].values():
        assert {name: row["n"] for name, row in by_slice.items()} == {
            "title": 100, "1": 100, "5": 100, "10": 100, "25": 100, "all": 500,
        }  # fmt: skip
        for row in by_slice.values():
            assert set(row) == {"n", "ndcg", "recall@10", "mrr@10", "precision@10", "r_precision", "clicks"}
    keys = {"against", "slice", "metric", "n", "effect", "low", "high", "verdict", "playlists_needed"}
    assert all(keys <= set(comparison) for comparison in report["comparisons"])


def test_effects_are_the_differences_of_the_metrics(world: World, tmp_path: Path) -> None:
    """The numbers of a report agree with each other."""
    _gate(world, tmp_path, world.good)
    report = _report(tmp_path)
    for one in report["comparisons"]:
        ours, theirs = (report["metrics"][model][one["slice"]]["ndcg"] for model in ("candidate", one["against"]))
        assert one["effect"] == pytest.approx(ours - theirs, abs=2e-6)
        assert one["low"] <= one["effect"] <= one["high"]


def test_a_bundle_worse_than_what_runs_fails(world: World, tmp_path: Path) -> None:
    """Exit code 1 and a reason that names what it lost to."""
    assert _gate(world, tmp_path, world.bad, "--incumbent", str(world.good)) == FAIL
    assert _report(tmp_path)["verdict"] == "fail"
    assert "proven worse" in _report(tmp_path)["reason"]
    assert "against incumbent on all queries" in _report(tmp_path)["reason"]


def test_too_few_playlists_are_inconclusive_and_say_how_many_it_takes(world: World, tmp_path: Path) -> None:
    """Exit code 2; good figures on ten playlists are no proof."""
    assert _gate(world, tmp_path, world.good, "--playlists", "10") == INCONCLUSIVE
    report = _report(tmp_path)
    assert report["verdict"] == "inconclusive"
    assert report["playlists"] == 10
    assert "held-out playlists would settle it" in report["reason"]


def test_the_same_trial_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    """Neither a clock nor the order of threads gets into a report; another seed draws other playlists."""
    for name, seed in (("one", "7"), ("two", "7"), ("three", "8")):
        _gate(world, tmp_path / name, world.good, "--seed", seed, "--playlists", "40")
    files = [[(tmp_path / name / f"report.{kind}").read_bytes() for kind in ("json", "html")]
             for name in ("one", "two", "three")]  # fmt: skip
    assert files[0] == files[1]
    assert files[0][0] != files[2][0]


def test_the_page_says_it_all_without_the_network(world: World, tmp_path: Path) -> None:
    """Verdict, models, plots, playlists with marked hits and lineage; nothing fetched, nothing run, names escaped."""
    _gate(world, tmp_path, world.good)
    page = (tmp_path / "report.html").read_text()
    assert "Pass: ship it" in page
    assert page.count("<svg") == 2
    assert '<span class="hit">' in page
    assert world.digest in page
    assert "Synthetic data" not in page
    assert "trained on other playlists" not in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|@import|url\(\s*[\"']?http", page)
    assert 'name="viewport"' in page


def test_a_synthetic_dataset_is_marked(world: World, tmp_path: Path) -> None:
    """What was generated is never mistaken for music that people put together."""
    playlists = genre_playlists(60, len(TRACKS), length=12)
    write_dataset(tmp_path / "dataset", TRACKS, playlists, ["test"] * 40 + ["train"] * 20, synthetic=True)
    command = ["gate", "--bundle", str(world.good), "--dataset", str(tmp_path / "dataset"), "--foreign-dataset"]
    main([*command, "--output", str(tmp_path / "out")])
    assert _report(tmp_path / "out")["synthetic"] is True
    assert "Synthetic data" in (tmp_path / "out" / "report.html").read_text()


def test_a_bundle_is_not_judged_on_playlists_it_may_have_learned(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another dataset's bundle, or the training split, is refused; the first can be allowed, the second cannot."""
    assert _gate(world, tmp_path, world.stranger) == COULD_NOT_MEASURE
    assert "--foreign-dataset" in capsys.readouterr().err
    assert _gate(world, tmp_path, world.stranger, "--foreign-dataset") == PASS
    assert _report(tmp_path)["foreign_dataset"] is True
    assert "trained on other playlists" in (tmp_path / "report.html").read_text()
    assert _gate(world, tmp_path, world.good, "--split", "train") == COULD_NOT_MEASURE
    assert "what the candidate learned from" in capsys.readouterr().err


def _damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"X")


@pytest.mark.parametrize("case", ["bundle", "dataset", "split", "incumbent", "output"])
def test_what_could_not_be_measured_is_no_verdict(
    world: World, tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, one sentence, and no report left behind: not even the pass of an earlier trial."""
    output = tmp_path / "report"
    assert _gate(world, output, world.good) == PASS
    capsys.readouterr()
    digest = write_dataset(tmp_path / "dataset", TRACKS, genre_playlists(20, 300), ["test"] * 10 + ["train"] * 10)
    bundle = _bundle(tmp_path, "bundle", TRACKS, digest)
    command = ["gate", "--bundle", str(bundle), "--dataset", str(tmp_path / "dataset"), "--output", str(output)]
    if case == "bundle":
        _damage(bundle / MODEL)
    elif case == "dataset":
        _damage(tmp_path / "dataset" / "entries.parquet")
    elif case == "split":
        command += ["--split", "validation"]
    elif case == "incumbent":
        command += ["--incumbent", str(tmp_path / "nowhere")]
    else:
        (tmp_path / "file").write_text("")
        command[-1] = str(tmp_path / "file")
    assert main(command) == COULD_NOT_MEASURE
    assert capsys.readouterr().err.strip()
    if case != "output":
        assert not list(output.iterdir())


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evaluation", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_command_ends_with_the_verdict(world: World, tmp_path: Path) -> None:
    """As a pipeline sees it: a process, its exit code, one line of verdict on standard output."""
    common = ["--dataset", str(world.dataset), "--output", str(tmp_path)]
    done = _run("gate", "--bundle", str(world.good), *common)
    assert (done.returncode, done.stdout.splitlines()[0].split(":")[0]) == (PASS, "pass")
    assert "ranking candidate" in done.stderr
    done = _run("gate", "--bundle", str(tmp_path / "none"), *common)
    assert (done.returncode, done.stdout) == (COULD_NOT_MEASURE, "")
    assert "Traceback" not in done.stderr


def test_wrong_usage_of_the_gate_does_not_read_as_a_verdict() -> None:
    """Argparse ends with 2, which would say inconclusive."""
    assert _run("gate", "--bundle", "x").returncode == COULD_NOT_MEASURE
    assert _run("measure").returncode == 2
    assert _run("gate", "--help").returncode == 0
