"""A bundle of a real one's size: the graph that training exports, with random weights and made-up names.

What a request costs depends on shapes and not on what was learned, so nothing has to be trained to time the service.

    python -m benchmarks.serving.big_bundle build/benchmark/bundle --tracks 211405
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from segue.bundle import CATALOGUE, MODEL, QUERY_MODEL, TOKENIZER, Bundle, write_bundle
from segue.catalogue import write_catalogue
from segue.query import Encoding
from segue.track import Track
from train.backbone import EncoderBackbone
from train.encoder import load_encoder
from train.export import heard_encoding
from train.graph import ServingGraph, export_float
from train.llara_model import Llara, Ranker
from train.neighbourhood import Neighbourhood
from train.neighbours import NeighbourTable
from train.projector_model import Projector
from train.skeleton import CatalogueTensors, PlaylistVector, Start, TrackVectors
from train.split import write_serving_form
from train.word_reader import MOST_PAIRS, WordReader

# As in train/conf: lightgcn.yaml, llara.yaml.
DIMENSION = 128
BACKBONE_LAYERS = 3
BEHAVIOUR_TOKENS = 25
GRAM_BUCKETS = 32768
HIDDEN = {"projector": 512, "mix": 256}
NEIGHBOURS = 100
ROWS_A_TRACK = 0.36
"""Rows of the table of neighbours to a track: two thirds of 211,405 real ones stand in one playlist and share rows."""
_WORDS = ("Night", "Love", "River", "Gold", "Road", "Summer", "Blue", "Fire", "Dance", "Rain", "Heart", "City", "Wild")


def made_up_tracks(count: int) -> list[Track]:
    """Return tracks with distinct names of a few words, as long as real ones are."""

    def words(number: int, how_many: int) -> str:
        return " ".join(_WORDS[(number // len(_WORDS) ** place) % len(_WORDS)] for place in range(how_many))

    return [
        Track(f"spotify:track:{i:022d}", f"{words(i, 2)} {i}", f"The {words(i // 7, 2)} {i // 7}", f"Album {i // 11}")
        for i in range(count)
    ]


def random_ranker(tracks: int) -> tuple[ServingGraph, Encoding, str]:
    """Return the serving graph with random weights, its encoding, and its tokenizer as JSON."""
    torch.manual_seed(0)
    loaded = load_encoder("")
    artists, albums = tracks // 7 + 2, tracks // 11 + 2
    catalogue = CatalogueTensors(
        artist=torch.arange(tracks) // 7,
        album=torch.arange(tracks) // 11,
        text=torch.zeros(tracks, 2 * loaded.encoder.width, dtype=torch.float16),
        count=torch.ones(tracks),
        artists=artists,
        albums=albums,
    )
    start = Start(*(torch.randn(rows, DIMENSION) * 0.15 for rows in (tracks, artists, albums)))
    vectors = TrackVectors(catalogue, start, Projector(loaded.encoder.width, DIMENSION, HIDDEN["projector"]))
    playlist = PlaylistVector(DIMENSION, GRAM_BUCKETS, HIDDEN["mix"], torch.eye(DIMENSION) * 3)
    llara = Llara(EncoderBackbone(loaded, BACKBONE_LAYERS), DIMENSION, BEHAVIOUR_TOKENS)
    for weight in (playlist.grams.weight, playlist.mixed.weight, llara.to_behaviour.weight):
        torch.nn.init.normal_(weight, std=0.1)
    llara.gate[1:] = 0  # as validation left it with real playlists: heard for titles alone
    neighbourhood = Neighbourhood(random_neighbours(tracks))
    neighbourhood.weight.fill_(1.0)
    second = Ranker(
        TrackVectors(catalogue, start, Projector(loaded.encoder.width, DIMENSION, HIDDEN["projector"])),
        PlaylistVector(DIMENSION, GRAM_BUCKETS, HIDDEN["mix"], torch.eye(DIMENSION) * 3),
        None,
    )
    for weight in (second.playlist.grams.weight, second.playlist.mixed.weight):
        torch.nn.init.normal_(weight, std=0.1)
    ranker = Ranker(vectors, playlist, llara, neighbourhood, second).eval()
    ranker.second_share.fill_(0.35)
    encoding = heard_encoding(Encoding(loaded.cls_id, loaded.sep_id, gram_buckets=GRAM_BUCKETS), ranker)
    reader = WordReader(loaded.pieces, 2 * DIMENSION, MOST_PAIRS).eval()
    ranker.fold_in.know(start.tracks)
    ranker.fold_in.weight[-2:] = 8.0  # from 21 seeds on
    return ServingGraph(ranker, reader), encoding, loaded.tokenizer.to_str()


def random_neighbours(tracks: int) -> NeighbourTable:
    """Return a table of a real one's size: popular tracks are neighbours of many."""
    draw = np.random.default_rng(0)
    rows, kept = max(1, round(ROWS_A_TRACK * tracks)), min(NEIGHBOURS, tracks)
    ids = (tracks * draw.random((rows, kept), np.float32) ** 3).astype(np.int32).clip(0, tracks - 1)
    values = -np.sort(-draw.exponential(0.02, (rows, kept)).astype(np.float32), axis=1)
    return NeighbourTable(draw.integers(0, rows, tracks, dtype=np.int32), ids, values)


def write_big_bundle(path: Path, tracks: int) -> Bundle:
    """Write the bundle to ``path`` and return it."""
    graph, encoding, tokenizer = random_ranker(tracks)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        scan = write_serving_form(export_float(graph, folder / "float.onnx"), folder)
        write_catalogue(folder / CATALOGUE, made_up_tracks(tracks))
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
    parser = argparse.ArgumentParser(description="Write a bundle of random weights, of a real one's size.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--tracks", type=int, default=211_405, help="default: the tracks of 8,057 real playlists")
    options = parser.parse_args()
    options.path.parent.mkdir(parents=True, exist_ok=True)
    print(write_big_bundle(options.path, options.tracks).digest)  # noqa: T201


if __name__ == "__main__":
    main()
