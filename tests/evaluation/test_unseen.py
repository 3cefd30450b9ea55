"""Measuring how often a bundle finds tracks that no training playlist holds."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.__main__ import main
from evaluation.breadth import Facts
from evaluation.unseen import FEW, MANY, UNHEARD, UNSEEN, kinds
from tests.evaluation.tiny_dataset import write_dataset
from tests.support.tiny_bundle import GENRES, tiny_tracks, write_tiny_bundle

SEEN = 900
TRACKS = [
    replace(track, artist="Nobody") if number >= 1197 else track for number, track in enumerate(tiny_tracks(1200))
]
"""1,200 tracks: of each genre 300 in training playlists, 99 of artists known by others, one of an artist of its own."""


@dataclass(frozen=True)
class World:
    dataset: Path
    bundle: Path
    stranger: Path


def _playlists() -> tuple[list[tuple[str, list[int]]], list[str]]:
    """Return playlists to learn from, which hold each seen track once and two of rock ten times, and eight held out."""
    taught = [
        (GENRES[genre], list(range(start, start + 90, len(GENRES))))
        for genre in range(len(GENRES)) for start in range(genre, SEEN, 90)
    ]  # fmt: skip
    often = [(GENRES[0], [0, 3])] * 9
    asked = [
        (GENRES[number % 3], [30 + number % 3 + 3 * i for i in range(6)] + [900 + number % 3, 1196, 1197 + number % 3])
        for number in (0, 1, 3, 4, 6, 7, 9, 10)
    ]  # rock and jazz, each with an unseen track of its own genre, one of techno's and one of an artist nobody heard
    return [*taught, *often, *asked], ["train"] * (len(taught) + len(often)) + ["test"] * len(asked)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    digest = write_dataset(folder / "dataset", TRACKS, *_playlists())
    bundle = write_tiny_bundle(folder / "bundle", folder / "work", TRACKS, dataset=digest)
    stranger = write_tiny_bundle(folder / "stranger", folder / "work", TRACKS)
    return World(folder / "dataset", bundle.path, stranger.path)


def test_a_known_answer_for_each_kind_of_track(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The bundle continues a genre to its end and then by popularity: it finds what is of the playlist's genre.

    That is the track of an unheard artist, and of two unseen ones of known artists the one that is no techno.
    """
    asked = ["measure", "--bundle", str(world.bundle), "--dataset", str(world.dataset), "--format", "json"]
    assert main([*asked, "--categories", "title", "title+1", "title+25"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["playlists"], result["split"], result["k"]) == (8, "test", 500)
    rows = result["categories"]
    assert rows["title+25"] == {}
    for category, seeds in (("title", 0), ("title+1", 1)):
        assert {kind: row["n"] for kind, row in rows[category].items()} == {
            UNSEEN: 16,
            UNHEARD: 8,
            FEW: 8 * (6 - seeds),
        }
        found = {kind: row["hit@500"]["bundle"] for kind, row in rows[category].items()}
        assert found[UNSEEN] == {"mean": 0.5, "low": 0.5, "high": 0.5}
        assert found[UNHEARD]["mean"] == found[FEW]["mean"] == 1.0
        rivals = rows[category][UNHEARD]["hit@500"]
        assert rivals["title_knn_by_artist"]["mean"] == rivals["item_knn_by_artist"]["mean"] == 0.0
    assert set(result["baselines"]["item_knn_by_artist"]) == {"fame", "length"}


def test_the_command_prints_a_table(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Without categories, the numbers of seeds that an unseen track is told by."""
    assert main(["measure", "--bundle", str(world.bundle), "--dataset", str(world.dataset), "--sample", "4"]) == 0
    head, *rows, foot = capsys.readouterr().out.splitlines()
    assert head.split() == ["hit@500", "tracks", "n", "bundle", "title_knn_by_artist", "item_knn_by_artist"]
    assert [row.split()[0] for row in rows] == ["title"] * 3 + ["title+1"] * 3
    assert "unseen, artist known" in rows[0]
    assert "0.500 (0.500 to 0.500)" in rows[0]
    assert foot.startswith("4 playlists of the side test")


@pytest.mark.parametrize(
    ("bundle", "options", "sentence"),
    [
        ("stranger", [], "which cannot tell what its training never saw"),
        ("bundle", ["--lacking", "0.1"], "--lacking takes tracks out"),
        ("bundle", ["--typos", "0.1"], "--typos gives titles a typo"),
        ("bundle", ["--diversity", "0.1"], "--diversity is measured on --playlists alone"),
        ("bundle", ["--split", "train"], "measure it on test or validation"),
        ("bundle", ["--split", "validation"], "no playlist in its validation split"),
    ],
)
def test_what_cannot_be_told_is_said(
    world: World, bundle: str, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another dataset than the bundle's own, options that do not fit, and a side without playlists."""
    command = ["measure", "--bundle", str(getattr(world, bundle)), "--dataset", str(world.dataset), *options]
    assert main(command) == 1
    assert sentence in capsys.readouterr().err


def test_a_track_is_unseen_by_its_playlists_and_told_by_its_artist() -> None:
    """An artist is known where another track of theirs stands in a training playlist; an unnamed one never is."""
    facts = Facts(np.array([12, 3, 0, 0, 0]), [(7,), (), (7,), (8,), ()], None)
    assert kinds(facts).tolist() == [MANY, FEW, UNSEEN, UNHEARD, UNHEARD]
