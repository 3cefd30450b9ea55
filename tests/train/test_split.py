"""The serving form in two files: the part before the catalogue and a scan rank as the whole graph does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.graph import ScannedGraph, WholeGraph
from inference.ranker import Ranker
from inference.scan import library
from segue.bundle import CATALOGUE, MODEL, QUERY_MODEL, TOKENIZER, Bundle, write_bundle
from segue.catalogue import write_catalogue
from segue.errors import BundleError
from segue.query import Query
from segue.track import Track
from tests.support.tiny_bert import tiny_encoder
from tests.support.tiny_ranker import GRAMS, tiny_catalogue, tiny_encoding, tiny_neighbours, tiny_ranker, tiny_reader
from train.compact import Compact
from train.graph import ServingGraph, export_float
from train.neighbourhood import Neighbourhood
from train.split import write_serving_form

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler was there when the package was installed")

TRACKS = 9000  # enough for integers


def write(folder: Path, tracks: int, compact: Compact | None = None) -> Bundle:
    """Write the bundle of a tiny ranker, every part of which has a say."""
    folder.mkdir()
    loaded = tiny_encoder(folder / "bert")
    ranker = tiny_ranker(loaded, tracks)
    ranker.neighbourhood = Neighbourhood(tiny_neighbours(tiny_catalogue(tracks), playlists=600), GRAMS)
    ranker.neighbourhood.weight.fill_(0.7)
    ranker.neighbourhood.title_weight.fill_(0.3)
    graph = ServingGraph(ranker, tiny_reader(loaded), compact).eval()
    facts = write_serving_form(export_float(graph, folder / "float.onnx"), folder)
    write_catalogue(folder / CATALOGUE, (Track(f"uri:{i}", f"Song {i}", f"Artist {i % 9}") for i in range(tracks)))
    loaded.tokenizer.save(str(folder / TOKENIZER))
    names = [name for name in (MODEL, QUERY_MODEL, CATALOGUE, TOKENIZER) if (folder / name).exists()]
    return write_bundle(
        folder / "bundle",
        {name: folder / name for name in names},
        {"encoding": tiny_encoding(loaded).to_json(), "tracks": tracks, **facts},
        {"dataset": "", "commit": "", "run": "", "seed": 0},
        synthetic=True,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write(tmp_path_factory.mktemp("split") / "large", TRACKS)


@pytest.fixture(scope="module")
def compact(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of the same ranker, every track of which shares what it is as a seed with its artist's album."""
    return write(tmp_path_factory.mktemp("split") / "compact", TRACKS, Compact(1000, 500, 10_000, 200))


def test_a_compact_graph_ranks_as_the_whole_one(bundle: Bundle, compact: Bundle) -> None:
    """Each seed is read out of the candidates' integers, beside which there is no table of tracks as seeds."""
    one, other = Ranker.load(bundle, threads=1), Ranker.load(compact, threads=1)
    queries = [
        one.query([3]),
        one.query(range(12), "rock"),
        Query(title="summer"),
        one.query([8999, 5], "", ("z by y",)),
    ]
    (ids, scores), (compact_ids, compact_scores) = one.rank(queries, 100), other.rank(queries, 100)
    shared = [len({*a} & {*b}) / 100 for a, b in zip(ids.tolist(), compact_ids.tolist(), strict=True)]
    assert min(shared) > 0.9  # two roundings in the place of one
    assert np.abs(scores - compact_scores).max() < 0.1 * scores.std()
    assert compact.file(MODEL).stat().st_size < bundle.file(MODEL).stat().st_size - TRACKS * 20  # of 24 numbers


@pytest.mark.parametrize("form", ["bundle", "compact"])
def test_a_scan_ranks_as_the_whole_graph_does(form: str, request: pytest.FixtureRequest) -> None:
    """For playlists of all kinds, alone and in company: the same tracks, and scores but for the rounding of floats."""
    bundle: Bundle = request.getfixturevalue(form)
    scanned = Ranker.load(bundle, threads=1)
    whole = replace(scanned, _graph=WholeGraph(bundle, threads=1))
    assert (scanned.kind, whole.kind) == ("scan", "graph")
    queries = [
        Query(),
        Query(title="summer vibes"),
        scanned.query([3]),
        scanned.query(range(12), "rock"),
        scanned.query(range(0, 300, 3), "everything"),
        scanned.query([5, 6], "jazz 🎷", ("zz by yy",)),
        scanned.query(range(8), "", ("zz by yy", "second by b"), (9, 30)),
        scanned.query([], "", ("zz by yy", "second by b"), (9, 30)),
    ]
    for batch in (queries, *([query] for query in queries)):
        (ids, scores), (whole_ids, whole_scores) = scanned.rank(batch, 500), whole.rank(batch, 500)
        assert (ids == whole_ids).mean() > 0.97  # near ties change places
        assert np.allclose(scores, whole_scores, atol=1e-4)
        assert all(len({*a, *b}) <= 502 for a, b in zip(ids.tolist(), whole_ids.tolist(), strict=True))


def test_both_forms_share_a_list_out_alike(bundle: Bundle) -> None:
    """The vectors by which moods are told are read out of the same file, with the library or without."""
    scanned = Ranker.load(bundle, threads=1)
    whole = replace(scanned, _graph=WholeGraph(bundle, threads=1))
    queries = [scanned.query([3, 40, 500]), scanned.query(range(0, 300, 3), "everything"), Query(title="summer vibes")]
    ids, _ = scanned.rank(queries, 100, diversity=1)
    assert (ids == whole.rank(queries, 100, diversity=1)[0]).mean() > 0.9  # near ties change places
    assert (ids != scanned.rank(queries, 100)[0]).any(1).all()


def test_nothing_stands_twice(bundle: Bundle) -> None:
    """The part before the catalogue refers to the whole's weights."""
    assert bundle.file(QUERY_MODEL).stat().st_size < 0.2 * bundle.file(MODEL).stat().st_size


def test_without_the_library_the_whole_graph_ranks(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a compiler serves the same bundle."""
    monkeypatch.setattr("inference.graph.library", lambda: None)
    assert Ranker.load(bundle, threads=1).kind == "graph"


def test_a_bundle_that_does_not_say_where_its_tracks_stand_is_refused(bundle: Bundle) -> None:
    """Nothing is guessed."""
    facts = {name: value for name, value in bundle.manifest.model.items() if name != "scan"}
    with pytest.raises(BundleError, match="says wrongly where its tracks stand"):
        ScannedGraph(replace(bundle, manifest=replace(bundle.manifest, model=facts)))
