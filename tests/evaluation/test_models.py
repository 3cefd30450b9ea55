"""Bundles asked in the dataset's own numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.dataset import Playlist
from evaluation.measure import score, tabulate
from evaluation.models import NOTHING, BundleModel
from evaluation.queries import Question, hide
from inference.continuation import query_of
from inference.matching import Wanted, match
from inference.ranker import Ranker
from segue.track import Track
from tests.support.tiny_bundle import tiny_tracks, write_tiny_bundle

TRACKS = tiny_tracks(30)


def _ask(seeds: tuple[int, ...], title: str = "", relevant: tuple[int, ...] = ()) -> Question:
    return Question(0, "x", seeds, title, relevant)


def _open(tmp_path: Path, catalogue: list[Track], tracks: dict[int, Track] | None = None) -> BundleModel:
    bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work", catalogue)
    return BundleModel(Ranker.open(bundle.path), dict(enumerate(TRACKS)) if tracks is None else tracks)


def test_a_bundle_of_the_same_catalogue_answers_in_its_own_order(tmp_path: Path) -> None:
    """The tiny bundle continues a genre by its lowest numbers; known by construction."""
    ranked = _open(tmp_path, TRACKS).rank([_ask((3,)), _ask((), "jazz"), _ask((2, 5))], 4)
    assert ranked.tolist() == [[0, 6, 9, 12], [1, 4, 7, 10], [8, 11, 14, 17]]


def test_a_bundle_of_another_catalogue_is_mapped_by_uri(tmp_path: Path) -> None:
    """Rows 0, 3, 6 … are rock: here they are the dataset's 29, 26, 23 …, and that is what comes out."""
    ranked = _open(tmp_path, TRACKS[::-1]).rank([_ask((29,))], 3)
    assert ranked.tolist() == [[26, 23, 20]]


def test_a_track_outside_the_dataset_keeps_its_place_as_a_miss(tmp_path: Path) -> None:
    """What only the incumbent knows cannot be a hit, and does not move what stands below it."""
    known = {number: track for number, track in enumerate(TRACKS) if number != 6}
    assert _open(tmp_path, TRACKS, known).rank([_ask((3,))], 4).tolist() == [[0, NOTHING, 9, 12]]


def test_a_seed_that_the_catalogue_lacks_helps_by_its_name_or_its_text(tmp_path: Path) -> None:
    """Another release of a known song stands for it; a track of any other name is read as words."""
    release = Track("elsewhere:1", TRACKS[4].title.upper(), TRACKS[4].artist)
    stranger = Track("elsewhere:2", "techno", "Nobody")
    tracks = dict(enumerate(TRACKS)) | {100: release, 101: stranger}
    model = _open(tmp_path, TRACKS, tracks)
    assert model.rank([_ask((100,)), _ask((101,))], 3).tolist() == [[1, 7, 10], [2, 5, 8]]
    assert model.queries([_ask((100, 101))])[0].unknown == ("techno by Nobody",)
    assert model.unknown_share([_ask((), relevant=(0, 1, 100, 2))]) == 0.25


def test_seeds_are_read_as_the_service_reads_them(tmp_path: Path) -> None:
    """Guests, articles, new tracks of known artists and tracks without a title: the same question as a listener's."""
    song = TRACKS[4]
    strangers = [
        Track("elsewhere:1", song.title, f"{song.artist} feat. Guest"),
        Track("elsewhere:2", TRACKS[5].title, f"The {TRACKS[5].artist}"),
        Track("elsewhere:3", "New", TRACKS[2].artist),
        Track("elsewhere:4", "", TRACKS[1].artist),
        Track("elsewhere:5", "Newer", "Nobody"),
    ]
    model = _open(tmp_path, TRACKS, dict(enumerate(strangers)))
    asked = [(0, 1), (2, 3, 4), (3,), ()]
    ranker = Ranker.open(tmp_path / "bundle")
    wanted = [[Wanted(one.uri, one.title, one.artist) for one in (strangers[seed] for seed in row)] for row in asked]
    served = [query_of(ranker, match(ranker.catalogue, row), "mix") for row in wanted]
    assert model.queries([_ask(row, "mix") for row in asked]) == served
    assert served[0].seeds == (4, 5)
    assert (served[1].unknown, served[1].stand_ins) == (("New by Artist 2", "Newer by Nobody"), (2,))
    assert (served[2].unknown, served[2].stand_ins) == ((), ())


def test_who_shows_any_tracks_says_that_they_have_no_order(tmp_path: Path) -> None:
    """As a client would, and as the challenge does by the places of tracks."""
    playlist = Playlist(1, "mix", tuple(range(12)))
    first = hide(playlist, "x", 5, with_title=True)
    drawn = hide(playlist, "x", 5, with_title=True, choose=lambda total, shown: [0, 9, 3, 1, 7])
    assert first
    assert drawn
    queries = _open(tmp_path, TRACKS).queries([first, drawn])
    assert [(query.seeds, query.ordered) for query in queries] == [((0, 1, 2, 3, 4), True), ((0, 1, 3, 7, 9), False)]


def test_the_artist_of_what_the_catalogue_lacks_is_heard_where_tracks_have_no_order(tmp_path: Path) -> None:
    """As a client's request has it: by another of the artist's tracks."""
    bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work", TRACKS).path
    model = BundleModel(Ranker.open(bundle), dict(enumerate(TRACKS)), lacking={3})
    asked = [replace(_ask((0, 1, 3)), ordered=ordered) for ordered in (True, False)]
    assert [query.artists for query in model.queries(asked)] == [(), (10,)]


def test_what_the_catalogue_is_to_lack_is_no_seed_and_no_answer(tmp_path: Path) -> None:
    """Its words and its artist's next track stand for it, although the catalogue has it."""
    bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work", TRACKS).path
    model = BundleModel(Ranker.open(bundle), dict(enumerate(TRACKS)), lacking={3, 6})
    (query,) = model.queries([_ask((3, 1))])
    assert (query.seeds, query.unknown, query.stand_ins) == ((1,), (TRACKS[3].words,), (10,))
    ranked = model.rank([_ask((0,)), _ask((3,))], len(TRACKS)).tolist()
    assert all({3, 6}.isdisjoint(row) for row in ranked)
    assert ranked[0][:3] == [9, 12, 15]
    assert [row.count(NOTHING) for row in ranked] == [3, 2]


def test_another_release_does_not_stand_for_what_is_to_be_lacking(tmp_path: Path) -> None:
    """A track that comes out tomorrow has none; the other release is still known by its own URI."""
    tracks = [*TRACKS, Track("again:3", TRACKS[3].title, TRACKS[3].artist)]
    bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work", tracks).path
    model = BundleModel(Ranker.open(bundle), dict(enumerate(tracks)), lacking={30})
    by_lacking, by_other = model.queries([_ask((30,)), _ask((3,))])
    assert (by_lacking.seeds, by_lacking.unknown) == ((), (TRACKS[3].words,))
    assert by_other.seeds == (3,)


def test_metrics_of_a_known_answer(tmp_path: Path) -> None:
    """Seed 3 brings 0, 6, 9 …: of hidden 6, 9 and 1, ranks 2 and 3 are hits and track 1 comes behind the genre."""
    questions = [_ask((3,), relevant=(6, 9, 1))]
    table = tabulate(score(_open(tmp_path, TRACKS).rank(questions, 500), questions), questions, ("x", "empty"))
    rank = 10  # nine other rock tracks, then the most popular of the rest
    gain = sum(1 / np.log2(place + 1) for place in (2, 3, rank))
    ideal = sum(1 / np.log2(place + 1) for place in (1, 2, 3))
    assert {metric: one.mean for metric, one in table["x"].items()} == {
        "ndcg": pytest.approx(gain / ideal, abs=1e-6), "recall@10": 1.0, "mrr@10": 0.5, "precision@10": 0.3,
        "r_precision": pytest.approx(2 / 3, abs=1e-6), "clicks": 0.0,
    }  # fmt: skip
    assert table["x"]["ndcg"].questions == 1
    assert table["empty"]["ndcg"].questions == 0
