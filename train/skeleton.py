"""The linear skeleton: tracks as vectors, a playlist as a weighted sum of them, moved by its title.

A track's vector is its own plus shares of its artist's and album's, so that a rare track leans on what is shared.
A playlist's vector is the attention mean of its seeds through one matrix that plays the part of a factor model's
fold-in (Hu, Koren & Volinsky 2008), plus the bag of its title's n-grams, plus a small MLP on both.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from train.projector_model import Projector

BUCKETS = (0, 1, 2, 3, 5, 8, 13, 21, 36)
"""Least number of seeds of each bucket: a playlist of one track is read otherwise than one of fifty."""
ANY = len(BUCKETS)
CASES = len(BUCKETS) + 1
"""What validation chooses, it chooses for each bucket and for one case more, `ANY`: many tracks in no order."""
UNSEEN = 0.25
"""Added to the score of a track without a past, beside the bias that training gives to tracks whose past it hides.

On real playlists it finds a quarter more of such tracks and costs nothing that shows; twice as much costs .0005 NDCG
(docs/research.md). Validation cannot choose it: a catalogue's unseen tracks are those that validation and test
playlists hold, so they look far likelier there than new tracks are.
"""


def bucket_of(counts: Tensor) -> Tensor:
    """Return the bucket (B,) of each number of seeds (B,)."""
    edges = torch.tensor(BUCKETS[1:], device=counts.device)
    return (counts.unsqueeze(1) >= edges).sum(1)


def case_of(counts: Tensor, ordered: Tensor, fewest: int = 21) -> Tensor:
    """Return the case (B,) of playlists: `ANY` from ``fewest`` tracks on in no order, else the bucket.

    A playlist's first tracks, and as many of any of its tracks, want different weights, and nothing but who asks tells
    one from the other (docs/research.md).

    Args:
        counts: (B,) tracks of each.
        ordered: (B,) 0 where they stand in no order.
        fewest: So many are a playlist whose whole taste shows; fewer gain nothing by a case of their own.
    """
    return torch.where((ordered == 0) & (counts >= fewest), ANY, bucket_of(counts))


@dataclass(frozen=True, slots=True)
class CatalogueTensors:
    """What is known of the tracks.

    Attributes:
        artist: (N,) int64 artist of each track; the last row of the artists' table where unknown.
        album: (N,) int64 likewise.
        text: (N, 2H + F) float16 words and context vectors, then features.
        count: (N,) float32 training playlists that hold the track.
        artists: Number of artists, the unknown one included.
        albums: Number of albums, likewise.
        features: F, how many numbers are known of a track beside its text.
    """

    artist: Tensor
    album: Tensor
    text: Tensor
    count: Tensor
    artists: int
    albums: int
    features: int = 0

    @property
    def kinds(self) -> tuple[tuple[Tensor, int], tuple[Tensor, int]]:
        """What groups tracks: artists and how many there are, and albums."""
        return (self.artist, self.artists), (self.album, self.albums)


@dataclass(frozen=True, slots=True)
class Start:
    """The vectors that training begins with.

    Attributes:
        tracks: (N, D).
        artists: (artists, D).
        albums: (albums, D).
    """

    tracks: Tensor
    artists: Tensor
    albums: Tensor

    def seen(self, count: Tensor) -> Tensor:
        """Return the vectors of what some training playlist holds; a track does where ``count`` (N,) is above 0."""
        groups = torch.cat([self.artists, self.albums])
        return torch.cat([self.tracks[count > 0], groups[groups.any(1)]])


class TrackVectors(nn.Module):
    """Behaviour vectors of tracks, as seeds and as candidates; a hidden track is placed by text and features alone."""

    def __init__(self, catalogue: CatalogueTensors, start: Start, projector: Projector) -> None:
        """Begin with the vectors ``start``."""
        super().__init__()
        self.catalogue, self.projector = catalogue, projector
        tracks, dimension = start.tracks.shape
        self.own = nn.Embedding(tracks, dimension, sparse=True)
        self.artist = nn.Embedding(catalogue.artists, dimension, sparse=True)
        self.album = nn.Embedding(catalogue.albums, dimension, sparse=True)
        self.bias = nn.Embedding(tracks, 1, sparse=True)
        with torch.no_grad():
            self.own.weight.copy_(start.tracks)
            self.artist.weight.copy_(start.artists)
            self.album.weight.copy_(start.albums)
        nn.init.zeros_(self.bias.weight)
        # How much of its artist's and album's vector a track takes, as a seed and as a candidate.
        self.seed_share = nn.Parameter(torch.tensor([0.5, 0.5]))
        self.candidate_share = nn.Parameter(torch.tensor([0.2, 0.1]))
        self.hidden_bias = nn.Parameter(torch.zeros(1))

    def seeds(self, ids: Tensor, hidden: Tensor) -> Tensor:
        """Return (…, D) vectors of the tracks ``ids`` as seeds; where ``hidden`` is true, by their text."""
        return self._vectors(ids, hidden, self.seed_share)

    @torch.no_grad()
    def differences(self, artists: Tensor, albums: Tensor) -> tuple[Tensor, Tensor]:
        """Return (I, D) what tracks of artists (I,) are more as seeds than as candidates, and (J, D) of albums (J,)."""
        more = self.seed_share - self.candidate_share
        return more[0] * self.artist(artists), more[1] * self.album(albums)

    @torch.no_grad()
    def rescale(self, factor: float) -> None:
        """Make every vector ``factor`` times as long."""
        for table in (self.own, self.artist, self.album):
            table.weight.mul_(factor)
        self.projector.scale_output(factor)

    def candidates(self, ids: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors (C, D) and biases (C,) of the tracks ``ids`` (C,) as candidates; `UNSEEN` is in the latter."""
        bias = torch.where(hidden, self.hidden_bias, self.bias(ids).squeeze(-1))
        bias = bias + UNSEEN * (self.catalogue.count[ids] == 0)
        return self._vectors(ids, hidden, self.candidate_share), bias

    def _vectors(self, ids: Tensor, hidden: Tensor, share: Tensor) -> Tensor:
        own = self.own(ids)
        if hidden.any():
            by_text = self.projector(self.catalogue.text[ids[hidden]].float())
            own = own.masked_scatter(hidden.unsqueeze(-1), by_text)
        artist = self.artist(self.catalogue.artist[ids])
        album = self.album(self.catalogue.album[ids])
        vectors: Tensor = own + share[0] * artist + share[1] * album
        return vectors


class PlaylistVector(nn.Module):
    """The skeleton's vector of a playlist."""

    def __init__(self, dimension: int, grams: int, hidden: int, fold_in: Tensor) -> None:
        """Begin with the fold-in matrix ``fold_in`` (D, D) and everything else silent.

        Args:
            dimension: D.
            grams: Hash buckets of title n-grams.
            hidden: Width of the MLP.
            fold_in: What the mean of the seeds is multiplied by.
        """
        super().__init__()
        self.grams = nn.Embedding(grams, dimension, sparse=True)
        self.attention = nn.Parameter(torch.zeros(dimension))
        self.fold_in = nn.Parameter(fold_in.clone())
        self.scale = nn.Parameter(torch.ones(len(BUCKETS)))
        self.offset = nn.Parameter(torch.zeros(len(BUCKETS), dimension))
        # Chosen on validation after training: titles are learnt by heart sooner than tracks, and then trusted too much.
        self.register_buffer("title_weight", torch.ones(len(BUCKETS)))
        self.title_weight: Tensor
        self.mix = nn.Linear(2 * dimension, hidden)
        self.mixed = nn.Linear(hidden, dimension)
        for weight in (self.grams.weight, self.mixed.weight, self.mixed.bias):
            nn.init.zeros_(weight)

    def forward(self, seeds: Tensor, loudness: Tensor, title_grams: Tensor) -> Tensor:
        """Return (B, D).

        Args:
            seeds: (B, S, D) seeds' vectors, S >= 1.
            loudness: (B, S) how much each counts (`train.recency`), 0 where there is no seed.
            title_grams: (B, G) hashed n-grams, padded with -1.
        """
        present = loudness > 0
        bucket = bucket_of(present.sum(1))
        attention = (seeds @ self.attention).masked_fill(~present, -1e9).softmax(1) * loudness
        attention = attention / attention.sum(1, keepdim=True).clamp(min=1e-20)
        pooled = (attention.unsqueeze(-1) * seeds).sum(1)  # (B, D)
        title = self.title_weight[bucket].unsqueeze(1) * bag(self.grams, title_grams)
        folded = self.scale[bucket].unsqueeze(1) * (pooled @ self.fold_in)
        mixed = self.mixed(nn.functional.gelu(self.mix(torch.cat([folded, title], 1))))
        vector: Tensor = folded + title + mixed + self.offset[bucket]
        return vector

    @torch.no_grad()
    def rescale(self, factor: float) -> None:
        """Read tracks whose vectors are ``factor`` times as long, and answer with vectors as much shorter.

        No score changes by that.
        """
        for weight in (self.attention, self.grams.weight, self.offset, self.mixed.weight, self.mixed.bias):
            weight.div_(factor)
        self.fold_in.div_(factor**2)
        self.mix.weight.mul_(factor)  # of what was made shorter


def bag(table: nn.Embedding, ids: Tensor) -> Tensor:
    """Return (B, D) the sum of a table's rows at ``ids`` (B, G), padded with -1, over the root of their number."""
    present = (ids >= 0).unsqueeze(-1)
    rows = table(ids.clamp(min=0)) * present
    summed: Tensor = rows.sum(1) / present.sum(1).clamp(min=1).sqrt()
    return summed
