"""A ranker over a catalogue of a few genres, built of the real parts at a small size."""

import numpy as np
import torch

from segue.query import Encoding
from tests.support.tiny_bert import WIDTH
from train.backbone import EncoderBackbone
from train.encoder import LoadedEncoder
from train.interactions import Interactions
from train.kin import Kin
from train.llara_model import Llara, Ranker
from train.neighbourhood import Neighbourhood
from train.neighbours import NeighbourTable, neighbour_table
from train.projector_model import Projector
from train.skeleton import CatalogueTensors, PlaylistVector, Start, TrackVectors
from train.title_neighbours import with_titles
from train.word_reader import WordReader

DIMENSION, SECOND_DIMENSION = 16, 8
GRAMS = 256


def tiny_catalogue(tracks: int, seed: int = 0) -> CatalogueTensors:
    """Return a catalogue of ``tracks`` with ten artists, twenty albums and random texts; the last tenth is cold."""
    generator = torch.Generator().manual_seed(seed)
    count = torch.randint(1, 40, (tracks,), generator=generator).float()
    count[-tracks // 10 :] = 0
    return CatalogueTensors(
        artist=torch.randint(0, 10, (tracks,), generator=generator),
        album=torch.randint(0, 20, (tracks,), generator=generator),
        text=(torch.randn(tracks, 2 * WIDTH, generator=generator) / WIDTH**0.5).half(),
        count=count,
        artists=11,
        albums=21,
    )


def tiny_ranker(loaded: LoadedEncoder, tracks: int = 600, loud: bool = True, seed: int = 0) -> Ranker:
    """Return a ranker; ``loud`` gives every part a say, where a fresh one begins with most parts silent.

    Only a loud one has a second skeleton.
    """
    torch.manual_seed(seed)
    catalogue = tiny_catalogue(tracks, seed)
    start = Start(*(torch.randn(n, DIMENSION) * 0.3 for n in (tracks, catalogue.artists, catalogue.albums)))
    vectors = TrackVectors(catalogue, start, Projector(WIDTH, DIMENSION, 64))
    playlist = PlaylistVector(DIMENSION, GRAMS, 32, torch.eye(DIMENSION) * 3)
    llara = Llara(EncoderBackbone(loaded, 1), DIMENSION, behaviour_limit=5)
    if loud:
        for weight in (playlist.grams.weight, playlist.mixed.weight, llara.to_behaviour.weight, playlist.offset):
            torch.nn.init.normal_(weight, std=0.3)
        for table in (vectors.artist, vectors.album, vectors.bias):
            torch.nn.init.normal_(table.weight, std=0.1)
    neighbourhood = Neighbourhood(tiny_neighbours(catalogue, seed), GRAMS)
    if loud:
        neighbourhood.weight.copy_(torch.linspace(0.0, 2.0, len(neighbourhood.weight)))
        neighbourhood.title_weight[:4] = torch.tensor([1.0, 0.5, 0.0, 0.25])
    kin = Kin(catalogue)
    ranker = Ranker(vectors, playlist, llara, neighbourhood, tiny_second(catalogue) if loud else None, kin)
    if loud:
        kin.artist_weight[4:], kin.album_weight[4:] = 1.5, 0.5  # from five tracks on; below, a stand-in is as a seed
        ranker.recency.fade[4:] = 0.8
        ranker.second_share.fill_(0.4)
        with torch.no_grad():
            ranker.fold_in.know(start.tracks)
            ranker.fold_in.weight.copy_(torch.linspace(0.0, 4.0, len(ranker.fold_in.weight)))
    return ranker.eval()


def tiny_second(catalogue: CatalogueTensors) -> Ranker:
    """Return a second skeleton, in which everything has a say."""
    sizes = len(catalogue.count), catalogue.artists, catalogue.albums
    start = Start(*(torch.randn(n, SECOND_DIMENSION) * 0.3 for n in sizes))
    playlist = PlaylistVector(SECOND_DIMENSION, GRAMS, 32, torch.eye(SECOND_DIMENSION) * 3)
    second = Ranker(TrackVectors(catalogue, start, Projector(WIDTH, SECOND_DIMENSION, 64)), playlist, None)
    for weight in (playlist.grams.weight, playlist.mixed.weight, playlist.offset, second.tracks.bias.weight):
        torch.nn.init.normal_(weight, std=0.3)
    return second


def tiny_neighbours(catalogue: CatalogueTensors, seed: int = 0, playlists: int = 120) -> NeighbourTable:
    """Return a table, large enough to be rounded, of random playlists with titles, of tracks that are not cold."""
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(catalogue.count.numpy())
    tracks = rng.choice(known, (playlists, 12))
    users = np.repeat(np.arange(playlists), tracks.shape[1])
    edges = Interactions.of(users, tracks.ravel(), playlists, len(catalogue.count))
    table = neighbour_table(edges, 150, ridge=5.0, ridge_by_count=1.0)
    words = rng.choice(["rock", "jazz", "mix", "late", ""], (playlists, 2))
    return with_titles(table, edges, [" ".join(pair) for pair in words], GRAMS)


def tiny_reader(loaded: LoadedEncoder, seed: int = 0) -> WordReader:
    """Return a reader of words that was taught nothing."""
    torch.manual_seed(seed)
    return WordReader(loaded.pieces, DIMENSION + SECOND_DIMENSION, pairs=2**12).eval()


def tiny_encoding(loaded: LoadedEncoder) -> Encoding:
    """Return the sizes of the tiny ranker's inputs."""
    return Encoding(loaded.cls_id, loaded.sep_id, gram_buckets=GRAMS)
