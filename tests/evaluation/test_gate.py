"""The gate through its command, from bundles and datasets on disk to exit codes and reports."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation import examples, gate, report
from evaluation.__main__ import main
from evaluation.outcome import Trial
from segue.bundle import CATALOGUE, MODEL, TOKENIZER, Bundle, write_bundle
from segue.errors import InputError
from segue.track import Track
from tests.evaluation.tiny_dataset import genre_playlists, write_dataset
from tests.support.tiny_bundle import tiny_tracks, write_tiny_bundle

TRACKS = tiny_tracks(300)
METRICS = {
    "ndcg", "recall@10", "mrr@10", "precision@10", "r_precision", "clicks", "coverage@10", "coverage@500",
    "popularity_bias@10", "artist_diversity@10", "unseen_hit@500", "cold_hit@500",
}  # fmt: skip
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
    assert _gate(world, tmp_path, world.good, "--incumbent", str(world.bad)) == PASS
    report = _report(tmp_path)
    assert report["verdict"] == "pass"
    assert report["bundle"] == Bundle.open(world.good).digest
    assert report["incumbent"] == Bundle.open(world.bad).digest
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
            assert set(row) == {"n", *METRICS}
    for by_slice in report["intervals"].values():
        assert all(set(row) == METRICS for row in by_slice.values())
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


def test_intervals_hold_their_figures(world: World, tmp_path: Path) -> None:
    """What cannot be told is null in both; everything else lies within its interval."""
    _gate(world, tmp_path, world.good)
    report = _report(tmp_path)
    for model, by_slice in report["metrics"].items():
        for name, row in by_slice.items():
            for metric in METRICS:
                ends = report["intervals"][model][name][metric]
                assert (row[metric] is None) == (ends is None)
                assert ends is None or ends[0] <= row[metric] <= ends[1]


def test_a_bundle_that_is_only_as_good_as_what_runs_does_not_pass(world: World, tmp_path: Path) -> None:
    """A pass says better. Who wants to ship what is not worse asks for it by a margin, and the verdict says so."""
    incumbent = ("--incumbent", str(world.stranger))
    assert _gate(world, tmp_path, world.good, *incumbent) == INCONCLUSIVE
    assert "against incumbent on all queries" in _report(tmp_path)["reason"]
    assert _gate(world, tmp_path, world.good, *incumbent, "--margin", "0.01") == PASS
    assert "not worse than what runs today" in _report(tmp_path)["reason"]
    assert "allowed to lose 0.01" in _report(tmp_path)["reason"]


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
    assert page.count("<svg") == 6
    assert "Where it gains and loses most" in page
    assert '<span class="hit">' in page
    assert world.digest in page
    assert "Synthetic data" not in page
    assert "trained on other playlists" not in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|@import|url\(\s*[\"']?http", page)
    assert 'name="viewport"' in page


def test_the_examples_are_where_most_is_gained_and_lost(world: World) -> None:
    """Against what runs today, most first, a playlist once; the answers are shown with the very NDCG of the report."""
    outcome = gate.run(Trial(world.bad, world.dataset, world.good, playlists=40, foreign_dataset=True))
    lost = examples.losses(outcome)
    drops = [one.answers[1].ndcg - one.answers[0].ndcg for one in lost]
    assert [[answer.model for answer in one.answers] for one in lost] == [["candidate", "incumbent"]] * 3
    assert drops == sorted(drops, reverse=True)
    assert drops[0] == (outcome.ndcg["incumbent"] - outcome.ndcg["candidate"]).max()
    assert len({one.question.playlist for one in lost}) == 3
    for answer in lost[0].answers:
        marked = [track.uri in {outcome.tracks[i].uri for i in lost[0].question.relevant}
                  for track, _ in answer.continuation if track]  # fmt: skip
        assert [hit for _, hit in answer.continuation] == marked
    equal = gate.run(Trial(world.good, world.dataset, world.good, playlists=40))
    assert examples.gains(equal) == examples.losses(equal) == []
    assert {one.answers[0].model for one in examples.gains(gate.run(Trial(world.good, world.dataset)))} == {"candidate"}


def test_the_page_leads_to_where_things_come_from(world: World, tmp_path: Path) -> None:
    """Where an address is told and the thing has a name, which is escaped in it; an unknown commit leads nowhere."""
    links = [
        "dataset=../dataset/validation.html",
        "run=https://mlflow.example/#/runs/{}",
        "commit=https://git.example/{}",
    ]
    _gate(world, tmp_path, world.good, *(part for link in links for part in ("--link", link)))
    page = (tmp_path / "report.html").read_text()
    assert '<a href="../dataset/validation.html"><code>sha256:' in page
    assert '<a href="https://mlflow.example/#/runs/%3Cscript%3Ealert%281%29%3C/script%3E"><code>&lt;script' in page
    assert "git.example" not in page


@pytest.mark.parametrize("link", ["run=javascript:alert(1)", "elsewhere=https://example.org", "run=", "run"])
def test_a_link_that_is_none_is_refused(world: World, tmp_path: Path, link: str) -> None:
    """Nothing but an http address or a path gets into a page."""
    with pytest.raises(SystemExit) as stop:
        _gate(world, tmp_path, world.good, "--link", link)
    assert stop.value.code == COULD_NOT_MEASURE


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
    told = capsys.readouterr().err
    assert told.strip()
    assert "Traceback" not in told
    if case != "output":
        assert not list(output.iterdir())


def test_a_page_without_its_report_is_not_left(world: World, tmp_path: Path) -> None:
    """Where the second of the two cannot be written, neither is there."""
    (tmp_path / "report.json").mkdir()
    outcome = gate.run(Trial(world.good, world.dataset, playlists=20))
    with pytest.raises(InputError, match=r"The report cannot be written to .* \(Is a directory\); name another folder"):
        report.write(outcome, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_seed_below_zero_is_no_verdict(world: World, tmp_path: Path) -> None:
    """Nothing can be drawn with it."""
    with pytest.raises(SystemExit) as stop:
        _gate(world, tmp_path, world.good, "--seed", "-1", "--playlists", "5")
    assert stop.value.code == COULD_NOT_MEASURE


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evaluation", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("word, code", [("pass", PASS), ("fail", FAIL), ("inconclusive", INCONCLUSIVE)])
def test_the_command_ends_with_the_verdict(world: World, tmp_path: Path, word: str, code: int) -> None:
    """As a pipeline sees it: a process, its exit code, one line of verdict on standard output."""
    more = {
        "pass": ["--bundle", str(world.good)],
        "fail": ["--bundle", str(world.bad), "--incumbent", str(world.good)],
        "inconclusive": ["--bundle", str(world.good), "--playlists", "10"],
    }
    done = _run("gate", *more[word], "--dataset", str(world.dataset), "--output", str(tmp_path))
    assert (done.returncode, done.stdout.splitlines()[0].split(":")[0]) == (code, word)
    assert "ranking candidate" in done.stderr


def test_the_command_that_could_not_measure_ends_with_three(world: World, tmp_path: Path) -> None:
    """One sentence on standard error, nothing that a pipeline could take for a verdict."""
    done = _run("gate", "--bundle", str(tmp_path / "none"), "--dataset", str(world.dataset), "--output", str(tmp_path))
    assert (done.returncode, done.stdout) == (COULD_NOT_MEASURE, "")
    assert "Traceback" not in done.stderr


def test_an_error_that_nobody_thought_of_is_no_verdict(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python would end with 1, which says fail; here it is 3, and no report."""
    monkeypatch.setattr(gate, "score", lambda *_: 1 / 0)
    assert _gate(world, tmp_path, world.good) == COULD_NOT_MEASURE
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_reader_who_left_does_not_change_the_verdict(world: World, tmp_path: Path) -> None:
    """Standard output is closed by whoever read it; the exit code still is the report's verdict, never another one."""
    command = [sys.executable, "-m", "evaluation", "gate", "--bundle", str(world.good), "--dataset", str(world.dataset)]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run([*command, "--output", str(tmp_path)], stdout=closed, stderr=subprocess.PIPE, check=False)
    assert done.returncode == PASS
    assert _report(tmp_path)["verdict"] == "pass"


def test_wrong_usage_of_the_gate_does_not_read_as_a_verdict() -> None:
    """Argparse ends with 2, which would say inconclusive."""
    assert _run("gate", "--bundle", "x").returncode == COULD_NOT_MEASURE
    assert _run("measure").returncode == 2
    assert _run("gate", "--help").returncode == 0
