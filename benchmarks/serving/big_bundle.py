"""A bundle of a real one's size: the graph that training exports, with random weights and made-up names.

What a request costs depends on shapes and not on what was learned, so nothing has to be trained to time the service.

    python -m benchmarks.serving.big_bundle build/benchmark/bundle --tracks 211405

With more tracks than ``compact.above`` of train/conf/export.yaml says, the graph is the compact one and has no second
skeleton, unless told otherwise. Made-up tracks have seven to an artist and three to an album, as the Million Playlist
Dataset's have (2,262,292 tracks, 734,684 albums, 295,860 artists).
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import yaml

from benchmarks.serving.multiplied import multiply, names, open_ranker
from data_processing.dataset import Dataset
from segue.bundle import CATALOGUE, MODEL, QUERY_MODEL, TOKENIZER, Bundle, write_bundle
from segue.catalogue import write_catalogue
from segue.query import Encoding
from segue.track import Track
from train.backbone import EncoderBackbone
from train.compact import Compact
from train.encoder import load_encoder
from train.export import heard_encoding
from train.graph import ServingGraph, export_float
from train.kin import Kin
from train.llara_model import Llara, Ranker
from train.neighbourhood import Neighbourhood
from train.neighbours import NeighbourTable
from train.projector_model import Projector
from train.skeleton import CatalogueTensors, PlaylistVector, Start, TrackVectors
from train.split import write_serving_form
from train.word_reader import MOST_PAIRS, WordReader

EXPORT = Path(__file__).parents[2] / "train" / "conf" / "export.yaml"
# As in train/conf: lightgcn.yaml, llara.yaml.
DIMENSION = 128
BACKBONE_LAYERS = 3
BEHAVIOUR_TOKENS = 25
GRAM_BUCKETS = 32768
HIDDEN = {"projector": 512, "mix": 256}
NEIGHBOURS = 100
OWN_ROWS, SHARED_ROWS = 0.33, 0.03
"""Rows of the table of neighbours to a track: two thirds of 211,405 real ones stand in one playlist and share rows."""
_WORDS = ("Night", "Love", "River", "Gold", "Road", "Summer", "Blue", "Fire", "Dance", "Rain", "Heart", "City", "Wild")


def made_up_tracks(count: int) -> Iterator[Track]:
    """Yield tracks with distinct names of a few words, as long as real ones are."""

    def words(number: int, how_many: int) -> str:
        return " ".join(_WORDS[(number // len(_WORDS) ** place) % len(_WORDS)] for place in range(how_many))

    for i in range(count):
        artist = f"The {words(i // 7, 2)} {i // 7}"
        yield Track(f"spotify:track:{i:022d}", f"{words(i, 2)} {i}", artist, f"Album {words(i // 3, 1)} {i // 3}")


Made = tuple[ServingGraph, Encoding, str, Iterator[Track]]
"""A serving graph, its encoding, its tokenizer as JSON, and its tracks."""


def trained_ranker(dataset: Path, llara: Path, tracks: int, second: bool, compact: Compact) -> Made:
    """Return a trained ranker whose tracks are multiplied; its reader of words is random."""
    held = Dataset.open(dataset)
    ranker, encoding, loaded = open_ranker(llara, held)
    if not second:
        ranker.asks_second = False
    of = multiply(ranker, tracks)
    reader = WordReader(loaded.pieces, DIMENSION * (1 + second), MOST_PAIRS).eval()
    graph = ServingGraph(ranker, reader, compact)
    return graph, heard_encoding(encoding, ranker), loaded.tokenizer.to_str(), names(held, of)


def random_ranker(tracks: int, second: bool, compact: Compact) -> Made:
    """Return the serving graph with random weights, and made-up tracks."""
    torch.manual_seed(0)
    loaded = load_encoder("")
    artists, albums = tracks // 7 + 2, tracks // 3 + 2
    catalogue = CatalogueTensors(
        artist=torch.arange(tracks) // 7,
        album=torch.arange(tracks) // 3,
        text=torch.zeros(tracks, 2 * loaded.encoder.width, dtype=torch.float16),
        count=torch.ones(tracks),
        artists=artists,
        albums=albums,
    )
    ranker = Ranker(*_skeleton(catalogue, loaded.encoder.width)).eval()
    if second:
        ranker.second = Ranker(*_skeleton(catalogue, loaded.encoder.width)).eval()
        ranker.second_share.fill_(0.35)
    ranker.llara = Llara(EncoderBackbone(loaded, BACKBONE_LAYERS), DIMENSION, BEHAVIOUR_TOKENS).eval()
    torch.nn.init.normal_(ranker.llara.to_behaviour.weight, std=0.1)
    ranker.llara.gate[1:] = 0  # as validation left it with real playlists: heard for titles alone
    ranker.neighbourhood = Neighbourhood(random_neighbours(tracks, GRAM_BUCKETS), GRAM_BUCKETS)
    ranker.neighbourhood.weight.fill_(1.0)
    ranker.neighbourhood.title_weight[:2] = 0.5  # without a track, or with one
    ranker.kin = Kin(catalogue)
    ranker.kin.artist_weight[4:] = ranker.kin.album_weight[4:] = 1.0  # from five tracks on
    ranker.recency.fade[-1] = 0.9
    encoding = heard_encoding(Encoding(loaded.cls_id, loaded.sep_id, gram_buckets=GRAM_BUCKETS), ranker)
    reader = WordReader(loaded.pieces, DIMENSION * (1 + second), MOST_PAIRS).eval()
    ranker.fold_in.know(ranker.tracks.own.weight.detach())
    ranker.fold_in.weight[-2:] = 8.0  # from 21 seeds on
    return ServingGraph(ranker, reader, compact), encoding, loaded.tokenizer.to_str(), made_up_tracks(tracks)


def _skeleton(catalogue: CatalogueTensors, text: int) -> tuple[TrackVectors, PlaylistVector, None]:
    sizes = len(catalogue.count), catalogue.artists, catalogue.albums
    start = Start(*(torch.randn(rows, DIMENSION).mul_(0.15) for rows in sizes))
    playlist = PlaylistVector(DIMENSION, GRAM_BUCKETS, HIDDEN["mix"], torch.eye(DIMENSION) * 3)
    for weight in (playlist.grams.weight, playlist.mixed.weight):
        torch.nn.init.normal_(weight, std=0.1)
    return TrackVectors(catalogue, start, Projector(text, DIMENSION, HIDDEN["projector"])), playlist, None


def random_neighbours(tracks: int, grams: int) -> NeighbourTable:
    """Return a table of a real one's size: popular tracks have a row each, and are neighbours of many."""
    draw = np.random.default_rng(0)
    own, shared, kept = round(OWN_ROWS * tracks), max(1, round(SHARED_ROWS * tracks)), min(NEIGHBOURS, tracks)
    rows = own + shared + grams // 2
    ids, values = np.empty((rows, kept), np.int32), np.empty((rows, kept), np.float32)
    for part in (slice(start, start + 2**15) for start in range(0, rows, 2**15)):
        shape = ids[part].shape
        ids[part] = (tracks * draw.random(shape, np.float32) ** 3).clip(0, tracks - 1)
        values[part] = -np.sort(-draw.standard_exponential(shape, np.float32) * 0.02, axis=1)
    row = np.concatenate(
        [np.arange(own), own + draw.integers(0, shared, tracks - own), draw.integers(own + shared, rows, grams)]
    )
    return NeighbourTable(row.astype(np.int32), ids, values)


def write_big_bundle(
    path: Path,
    tracks: int,
    second: bool | None = None,
    compact: Compact | None = None,
    like: tuple[Path, Path] | None = None,
) -> Bundle:
    """Write the bundle to ``path`` and return it.

    Args:
        path: Its folder.
        tracks: How many.
        second: Whether there is a second skeleton; None: where the graph is not compact.
        compact: How the graph of many tracks is kept; None: as train/conf/export.yaml says.
        like: A dataset and the ranker that stage ``llara`` trained on it, to be multiplied; None: random weights.
    """
    compact = compact or Compact(**yaml.safe_load(EXPORT.read_text())["compact"])
    second = tracks <= compact.above if second is None else second
    made = random_ranker(tracks, second, compact) if like is None else trained_ranker(*like, tracks, second, compact)
    graph, encoding, tokenizer, named = made
    with tempfile.TemporaryDirectory(dir=path.absolute().parent) as scratch:
        folder = Path(scratch)
        model = export_float(graph, folder / "float.onnx")
        del graph
        scan = write_serving_form(model, folder)
        write_catalogue(folder / CATALOGUE, named)
        (folder / TOKENIZER).write_text(tokenizer)
        return write_bundle(
            path,
            {name: folder / name for name in (MODEL, QUERY_MODEL, CATALOGUE, TOKENIZER)},
            model={"encoding": encoding.to_json(), "tracks": tracks, "inputs": [], "outputs": [], **scan},
            lineage={"dataset": f"sha256:{'0' * 64}", "commit": "", "run": "random weights", "seed": 0},
            synthetic=True,
        )


def main() -> None:
    """Write a bundle from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.big_bundle",
        description="Write a bundle of random weights, of a real one's size.",
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--tracks", type=int, default=211_405, help="default: the tracks of 8,057 real playlists")
    parser.add_argument("--second", action=argparse.BooleanOptionalAction, help="whether there is a second skeleton")
    parser.add_argument("--whole", action="store_true", help="no compact graph, however many tracks there are")
    parser.add_argument(
        "--like",
        nargs=2,
        type=Path,
        metavar=("DATASET", "LLARA"),
        help="a dataset and the ranker that stage llara made of it, whose tracks stand several times (default: random)",
    )
    options = parser.parse_args()
    options.path.parent.mkdir(parents=True, exist_ok=True)
    compact = Compact(options.tracks, 1, 1, 1) if options.whole else None
    bundle = write_big_bundle(options.path, options.tracks, options.second, compact, options.like)
    for name, entry in bundle.manifest.files.items():
        print(f"{name:20s} {entry['bytes'] / 1e6:8.1f} MB")  # noqa: T201
    print(bundle.digest)  # noqa: T201


if __name__ == "__main__":
    main()
