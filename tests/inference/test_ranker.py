"""The ranker over the tiny bundle, whose right answers are worked out by hand in tests/support/tiny_bundle.py."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.ranker import Ranker
from segue.bundle import CATALOGUE, MODEL, TOKENIZER, Bundle, write_bundle
from segue.catalogue import write_catalogue
from segue.errors import BundleError, InputError
from segue.query import Query
from tests.support.tiny_bundle import ENCODING, tiny_tracks, write_tiny_bundle

_TRACKS = 30


def expected(seeds: tuple[int, ...], title_genre: int | None = None, unknown_genre: int | None = None) -> list[int]:
    """Return the tiny model's ranking by its description alone: votes per genre, then low ids first."""
    votes = [0] * 3
    for seed in seeds:
        votes[seed % 3] += 1
    if title_genre is not None:
        votes[title_genre] += 11  # "rock" and its kin weigh as many as they have n-grams; more than any test's seeds
    if unknown_genre is not None:
        votes[unknown_genre] += 1
    left = [track for track in range(_TRACKS) if track not in seeds]
    return sorted(left, key=lambda track: (-votes[track % 3], track))


def test_seeds_of_one_genre_are_continued_by_that_genre(ranker: Ranker) -> None:
    """Two rock tracks bring the other rock tracks, in the order of popularity, then the rest."""
    ids, scores = ranker.rank([ranker.query([0, 3])], k=28)
    assert ids[0].tolist() == expected((0, 3))
    assert ids.dtype == np.int64
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[0, :2], [2 - 0.006, 2 - 0.009], rtol=1e-6)


def test_a_title_alone_ranks(ranker: Ranker) -> None:
    """A playlist without tracks is continued by its title."""
    assert ranker.rank([ranker.query([], "Jazz")], k=30)[0][0].tolist() == expected((), title_genre=1)


def test_a_track_that_the_catalogue_lacks_ranks_by_its_text(ranker: Ranker) -> None:
    """The words of an unknown track pull like a known one of their genre."""
    query = ranker.query([], unknown=["Techno night by Nobody"])
    assert ranker.rank([query], k=30)[0][0].tolist() == expected((), unknown_genre=2)


def test_a_stand_in_pulls_and_can_be_recommended(ranker: Ranker) -> None:
    """It is no track of the playlist, unlike a seed, which it does not repeat either."""
    ids = ranker.rank([ranker.query([4], stand_ins=[4, 5, 5, 8])], k=30)[0][0].tolist()
    assert ids[:3] == [2, 5, 8]
    assert 4 not in ids
    with pytest.raises(InputError, match=rf"no track number {_TRACKS};"):
        ranker.query([], stand_ins=[_TRACKS])


def test_an_empty_playlist_gets_the_popular_tracks(ranker: Ranker) -> None:
    """Nothing known of a playlist leaves the prior."""
    assert ranker.rank([ranker.query([])], k=5)[0][0].tolist() == [0, 1, 2, 3, 4]


def test_places_beyond_the_catalogue_are_empty(ranker: Ranker) -> None:
    """30 tracks less 2 seeds fill 28 of 40 places; the rest is -1 with a score of -inf."""
    ids, scores = ranker.rank([ranker.query([0, 3])], k=40)
    assert (ids[0, 28:] == -1).all()
    assert np.isneginf(scores[0, 28:]).all()
    assert np.isfinite(scores[0, :28]).all()
    assert len(set(ids[0, :28].tolist())) == 28


def test_no_queries_have_no_rankings(ranker: Ranker) -> None:
    """An empty batch is answered by an empty array of the right width."""
    ids, scores = ranker.rank([], k=7)
    assert ids.shape == scores.shape == (0, 7)


def test_seeds_beyond_what_the_graph_reads_are_excluded_too(tmp_path: Path) -> None:
    """A playlist longer than the graph's limit is continued by its end, and never by a track that it holds."""
    ranker = Ranker.open(write_tiny_bundle(tmp_path / "bundle", tmp_path / "work", tiny_tracks(400)).path, threads=1)
    seeds = range(ENCODING.seed_limit + 44)
    ids, _ = ranker.rank([ranker.query(seeds), ranker.query([1])], k=400)
    # Of the 256 that are read, 86 are of genre 2 and 85 of each other.
    assert ids[0, :100].tolist() == sorted(range(300, 400), key=lambda track: (track % 3 != 2, track))
    assert (ids[0, 100:] == -1).all()
    assert set(ids[1].tolist()) == set(range(400)) - {1} | {-1}


def test_a_repeated_seed_counts_once(ranker: Ranker) -> None:
    """A track that stands twice in a playlist has one vote."""
    assert ranker.query([4, 4, 2]) == ranker.query([4, 2])


def test_a_query_spells_its_seeds_from_the_catalogue(ranker: Ranker) -> None:
    """The language model reads the last seeds' names in the playlist's order; those before them nobody reads."""
    assert ranker.query([1, 0]).words == ("Jazz Song 1 by Artist 1", "Rock Song 0 by Artist 0")
    assert ranker.query(range(20)).words == tuple(tiny_tracks()[i].words for i in (16, 17, 18, 19))


_QUERIES = st.builds(
    Query,
    seeds=st.lists(st.integers(0, _TRACKS - 1), max_size=8, unique=True).map(tuple),
    title=st.sampled_from(["", "rock", "Jazz!", "so techno", "🎷"]),
    unknown=st.lists(st.sampled_from(["Rock by X", "techno", "☂"]), max_size=3).map(tuple),
    stand_ins=st.lists(st.integers(0, _TRACKS - 1), max_size=2, unique=True).map(tuple),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_QUERIES, min_size=1, max_size=6), st.integers(1, 40))
def test_a_batch_gives_what_its_queries_give_one_by_one(ranker: Ranker, queries: list[Query], k: int) -> None:
    """Who else is asked for in the same pass changes nothing."""
    ids, scores = ranker.rank(queries, k)
    for row, query in enumerate(queries):
        alone_ids, alone_scores = ranker.rank([query], k)
        assert ids[row].tolist() == alone_ids[0].tolist()
        np.testing.assert_array_equal(scores[row], alone_scores[0])
        assert not set(query.seeds) & set(ids[row].tolist())


def test_many_queries_go_through_in_passes(ranker: Ranker) -> None:
    """More playlists than one pass holds are all answered, in their order."""
    ids, _ = ranker.rank([ranker.query([i % _TRACKS]) for i in range(150)], k=3)
    assert ids.tolist() == [expected((i % _TRACKS,))[:3] for i in range(150)]


@pytest.mark.parametrize("seed", [-1, _TRACKS, 2**70])
def test_a_seed_outside_the_catalogue_is_refused(ranker: Ranker, seed: int) -> None:
    """Such an id comes from another bundle; ranking with it would be silently wrong."""
    with pytest.raises(InputError, match=rf"The catalogue has 30 tracks and no track number {seed};"):
        ranker.query([seed])
    with pytest.raises(InputError, match=rf"no track number {seed};"):
        ranker.rank([Query(seeds=(seed,))])


def test_a_text_that_is_no_unicode_is_refused(ranker: Ranker) -> None:
    """A lone surrogate has no bytes to hash or tokenise."""
    with pytest.raises(InputError, match="no valid Unicode"):
        ranker.rank([Query(title="\ud800")])


def test_a_ranking_has_at_least_one_place(ranker: Ranker) -> None:
    """No places at all is a mistake of the caller and not an empty answer."""
    with pytest.raises(InputError, match="k is 0; ask for 1 or more"):
        ranker.rank([Query()], k=0)


def _rewrite(bundle: Bundle, path: Path, change: Callable[[Path], None], **model: object) -> Path:
    """Write a copy of ``bundle`` with changed files or manifest: whole and well sealed, but wrong inside."""
    work = path.with_name("changed")
    work.mkdir()
    for name in (MODEL, CATALOGUE, TOKENIZER):
        (work / name).write_bytes(bundle.file(name).read_bytes())
    change(work)
    manifest = replace(bundle.manifest, model={**bundle.manifest.model, **model})
    files = {name: work / name for name in (MODEL, CATALOGUE, TOKENIZER)}
    return write_bundle(path, files, manifest.model, manifest.lineage, manifest.synthetic).path


def _rename_output(work: Path) -> None:
    model = onnx.load(work / MODEL)
    model.graph.output[1].name = model.graph.node[-1].output[0] = "values"
    onnx.save(model, str(work / MODEL))


def _break_gather(work: Path) -> None:
    model = onnx.load(work / MODEL)
    vectors = next(v for v in model.graph.initializer if v.name == "piece_vectors")
    vectors.dims[0], vectors.raw_data = 1, vectors.raw_data[:12]
    onnx.save(model, str(work / MODEL))


@pytest.mark.parametrize(
    "change,model,sentence",
    [
        (lambda work: (work / MODEL).write_bytes(b"no graph"), {}, r"The model of .* cannot be loaded \(.*\); export"),
        (lambda work: (work / TOKENIZER).write_text("{}"), {}, r"The tokenizer of .* cannot be read \(.*\); export"),
        (_rename_output, {}, r"gives \['ids', 'values'\], not .*; export it with this Segue"),
        (_break_gather, {}, r"The model of .* cannot be run \(.*\); export it again"),
        (lambda work: None, {"encoding": {"cls": 1}}, r"does not say how its inputs are encoded"),
        (lambda work: None, {"tracks": 31}, r"ranks 31 tracks and its catalogue has 30; export it again"),
        (lambda work: write_catalogue(work / CATALOGUE, tiny_tracks(29)), {}, r"ranks 30 tracks .* has 29"),
    ],
    ids=["model", "tokenizer", "outputs", "run", "encoding", "tracks", "catalogue"],
)
def test_a_sealed_bundle_that_cannot_answer_is_refused(
    bundle_path: Path, tmp_path: Path, change: Callable[[Path], None], model: dict[str, object], sentence: str
) -> None:
    """Every fault inside a bundle ends at its opening, in one sentence that says what to do."""
    path = _rewrite(Bundle.open(bundle_path), tmp_path / "bundle", change, **model)
    with pytest.raises(BundleError, match=sentence) as caught:
        Ranker.open(path, threads=1)
    assert "\n" not in str(caught.value)


def test_nothing_of_a_damaged_bundle_is_loaded(tmp_path: Path) -> None:
    """The digests are checked before any file is interpreted."""
    bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work")
    bundle.file(MODEL).write_bytes(b"x" * bundle.file(MODEL).stat().st_size)
    with pytest.raises(BundleError, match=r"The file model\.onnx of the bundle at .* is damaged"):
        Ranker.open(bundle.path, threads=1)


def test_another_bundle_than_the_one_asked_for_is_refused(bundle_path: Path) -> None:
    """A pin names a digest, and only that bundle may be served for it."""
    with pytest.raises(BundleError, match=f"not sha256:{'1' * 64} as asked"):
        Ranker.open(bundle_path, digest=f"sha256:{'1' * 64}", threads=1)
