"""What a playlist's artists and albums add to the scores of all their tracks.

A vector of 128 numbers draws tracks near that are heard together, and blurs who made them. Where a playlist holds an
artist, or an album, more than once, it will likely hold it again: on playlists of which any tracks are shown that is
worth .015 NDCG (docs/research.md).
"""

import torch
from torch import Tensor, nn

from train.recency import Recency
from train.skeleton import CASES, CatalogueTensors

FADE = 0.9
"""By what power earlier tracks count less, at all numbers of tracks: an artist whose tracks were added one after the
other is done with sooner than one who came last. With 25 first tracks that is worth .003 NDCG (docs/research.md)."""

LACKING = 3.0
"""For how many tracks of its artist one speaks that the catalogue lacks, where it does: it has no neighbours and no
vector that learned who is heard with it, only words. Validation gains until there (docs/research.md)."""


class Kin(nn.Module):
    """Adds to the scores of tracks that share their artist, or album, with a playlist's tracks."""

    def __init__(self, catalogue: CatalogueTensors) -> None:
        """Begin silent: the weights are chosen on validation after training (`train.weighing`).

        A playlist that is trained on taught the vectors that its tracks belong together; it would trust this too
        little.
        """
        super().__init__()
        # Known to the dataset, and so not kept with the weights.
        artist, album = (numbered(*groups, catalogue.count)[0] for groups in catalogue.kinds)
        self.register_buffer("artist", artist, persistent=False)
        self.register_buffer("album", album, persistent=False)
        self.register_buffer("artist_weight", torch.zeros(CASES))
        self.register_buffer("album_weight", torch.zeros(CASES))
        self.artist: Tensor
        self.album: Tensor
        self.artist_weight: Tensor
        self.album_weight: Tensor
        self.artists, self.albums = catalogue.artists, catalogue.albums
        self.recency = Recency(FADE)

    @property
    def is_heard(self) -> bool:
        """Whether any weight lets it add something."""
        return bool(self.artist_weight.any() or self.album_weight.any())

    def weights(self, case: Tensor, loudness: Tensor) -> Tensor:
        """Return (B, 2) what a track's artist and album add for each that is as loud as the last track.

        All tracks of a playlist together add the weight that validation chose, if they are of one artist and album.

        Args:
            case: (B,) of each playlist (`train.skeleton.case_of`).
            loudness: (B, S) of all of its tracks.
        """
        chosen = torch.stack([self.artist_weight, self.album_weight], 1)[case]
        return chosen / loudness.sum(1, keepdim=True).clamp(min=1)

    def forward(self, logits: Tensor, seeds: Tensor, by_artist: Tensor, by_album: Tensor, weights: Tensor) -> Tensor:
        """Return logits (B, N) with what each track's score gains.

        Args:
            logits: (B, N) scores so far.
            seeds: (B, S) catalogue ids, padded with -1.
            by_artist: (B, S) how much the artist of each counts, 0 where there is none…
            by_album: …and its album.
            weights: (B, 2) as `weights` returns them.
        """
        logits = logits + _shared(self.artist, self.artists, seeds, by_artist * weights[:, :1])
        return logits + _shared(self.album, self.albums, seeds, by_album * weights[:, 1:])


def numbered(group: Tensor, groups: int, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return int32 numbers of the tracks' groups (N,), and which group each number (groups,) is.

    The last of so many groups is the unknown one and has 0; others follow by how often their tracks are heard.

    Args:
        group: (N,) of each track.
        groups: How many there are.
        count: (N,) playlists that hold each track.
    """
    heard = torch.zeros(groups, dtype=torch.float64).index_add(0, group, count.double() + 1)  # also one without a past
    heard[-1] = torch.inf
    order = torch.argsort(heard, descending=True, stable=True)
    number = torch.empty_like(order)
    number[order] = torch.arange(groups)
    return number[group].int(), order


def _shared(of: Tensor, groups: int, seeds: Tensor, gain: Tensor) -> Tensor:
    """Return (B, N) the sum of what seeds (B, S) add, ``gain`` (B, S), to tracks of the same group, ``of`` (N,)."""
    # Looked up as an embedding, which exports as a plain Gather: the groups stay 32-bit integers in the graph.
    group = nn.functional.embedding(seeds.clamp(min=0), of.unsqueeze(1)).squeeze(2).long()
    summed = torch.zeros(seeds.shape[0], groups).scatter_add(1, group, gain * (group > 0))
    return summed.index_select(1, of)
