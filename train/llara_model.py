"""LLaRA (Liao et al. 2023) as a query encoder: a language model reads a playlist's words beside its behaviour tokens.

Its hidden state is added to the skeleton's vector through a matrix that begins at zero and a gate by number of seeds:
it can refine what the skeleton knows and cannot begin by spoiling it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from train.backbone import Backbone
from train.skeleton import BUCKETS, PlaylistVector, TrackVectors, bucket_of


class Llara(nn.Module):
    """A hybrid prompt to a residual of the playlist's vector."""

    def __init__(self, backbone: Backbone, dimension: int, behaviour_limit: int) -> None:
        """Read at most ``behaviour_limit`` behaviour tokens of ``dimension`` numbers each with ``backbone``."""
        super().__init__()
        self.backbone, self.behaviour_limit = backbone, behaviour_limit
        width = backbone.width
        # LLaRA's SR2LLM: from the behaviour space to the language model's.
        self.to_language = nn.Sequential(nn.Linear(dimension, width), nn.GELU(), nn.Linear(width, width))
        self.modality = nn.Parameter(torch.zeros(width))
        self.to_behaviour = nn.Linear(width, dimension)
        nn.init.zeros_(self.to_behaviour.weight)
        nn.init.zeros_(self.to_behaviour.bias)
        self.register_buffer("gate", torch.ones(len(BUCKETS)))
        self.gate: Tensor

    def forward(self, prompt: Tensor, seeds: Tensor, present: Tensor) -> Tensor:
        """Return (B, D).

        Args:
            prompt: (B, T) word pieces, padded with 0.
            seeds: (B, S, D) behaviour vectors of the seeds, last one first.
            present: (B, S) false where a seed is missing or is withheld by the curriculum.
        """
        bucket = bucket_of(present.sum(1))
        seeds, present = seeds[:, : self.behaviour_limit], present[:, : self.behaviour_limit]
        # Behaviour vectors have their own length; the language model expects that of its word embeddings.
        behaviour = self.to_language(nn.functional.layer_norm(seeds, seeds.shape[-1:])) + self.modality
        sequence = torch.cat([self.backbone.embed(prompt), behaviour], 1)  # (B, T + S, W)
        hidden = self.backbone.read(sequence, torch.cat([prompt > 0, present], 1))
        residual: Tensor = self.gate[bucket].unsqueeze(1) * self.to_behaviour(hidden)
        return residual


class Ranker(nn.Module):
    """The whole model: playlists to logits over the catalogue."""

    def __init__(self, tracks: TrackVectors, playlist: PlaylistVector, llara: Llara | None) -> None:
        """Join the parts; without ``llara`` the skeleton ranks alone."""
        super().__init__()
        self.tracks, self.playlist, self.llara = tracks, playlist, llara
        self.log_count = torch.log1p(tracks.catalogue.count)
        self.popularity = nn.Parameter(torch.zeros(len(BUCKETS)))
        with torch.no_grad():
            self.popularity[0] = 1.0

    def playlists(self, inputs: Mapping[str, Tensor], hidden: Tensor, behaviour: Tensor | None = None) -> Tensor:
        """Return (B, D + 1): the playlists' vectors, and beside them how much plain popularity counts.

        Args:
            inputs: ``segue.query.encode``'s arrays as tensors; unknown tracks are not read in training.
            hidden: (B, S) seeds that are shown by their text alone.
            behaviour: (B,) false where the curriculum withholds the behaviour tokens; None withholds none.
        """
        ids = nn.functional.pad(inputs["seeds"], (0, 1), value=-1)  # (B, S + 1): never without a column
        hidden = nn.functional.pad(hidden, (0, 1), value=False)
        present = ids >= 0
        seeds = self.tracks.seeds(ids.clamp(min=0), hidden)
        vector = self.playlist(seeds, present, inputs["title_grams"])
        if self.llara is not None:
            shown = present if behaviour is None else present & behaviour.unsqueeze(1)
            vector = vector + self.llara(inputs["prompt_tokens"], seeds, shown)
        weight = self.popularity[bucket_of(present.sum(1))].unsqueeze(1)
        return torch.cat([vector, weight], 1)

    def candidates(self, ids: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return (C, D + 1) candidates to match `playlists`, and their biases (C,); a hidden one has no popularity."""
        vectors, bias = self.tracks.candidates(ids, hidden)
        popularity = torch.where(hidden, 0.0, self.log_count[ids])
        return torch.cat([vectors, popularity.unsqueeze(1)], 1), bias
