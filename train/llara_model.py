"""LLaRA (Liao et al. 2023) as a query encoder: a language model reads a playlist's words beside its behaviour tokens.

Its hidden state is added to the skeleton's vector through a matrix that begins at zero and a gate by number of seeds:
it can refine what the skeleton knows and cannot begin by spoiling it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from train.backbone import Backbone
from train.fold_in import FoldIn
from train.kin import Kin
from train.neighbourhood import Neighbourhood
from train.recency import Recency
from train.skeleton import BUCKETS, PlaylistVector, TrackVectors, bucket_of, case_of

BEHAVIOUR_POSITION = 100
"""Where behaviour tokens stand, however long the prompt of words is: padding must not move them."""


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

    def forward(self, prompt: Tensor, known: Tensor, present: Tensor, unknown: Tensor, told: Tensor) -> Tensor:
        """Return (B, D).

        Every token has a place of its own: padding of one kind must not move those of another.

        Args:
            prompt: (B, T) word pieces, padded with 0.
            known: (B, S, D) behaviour vectors of seeds, last one first; the first ``behaviour_limit`` are read.
            present: (B, S) false where a seed is missing or is withheld by the curriculum.
            unknown: (B, U, D) vectors of tracks that the catalogue lacks; U can be 0.
            told: (B, U) false where such a track is missing.
        """
        bucket = bucket_of(present.sum(1) + told.sum(1))
        known, present = known[:, : self.behaviour_limit], present[:, : self.behaviour_limit]
        vectors, shown = torch.cat([known, unknown], 1), torch.cat([present, told], 1)
        # Behaviour vectors have their own length; the language model expects that of its word embeddings.
        behaviour = self.to_language(nn.functional.layer_norm(vectors, vectors.shape[-1:])) + self.modality
        sequence = torch.cat([self.backbone.embed(prompt), behaviour], 1)  # (B, T + S + U, W)
        positions = torch.cat(
            [
                torch.arange(prompt.shape[1]),
                BEHAVIOUR_POSITION + torch.arange(known.shape[1]),
                BEHAVIOUR_POSITION + self.behaviour_limit + torch.arange(unknown.shape[1]),
            ]
        )
        hidden = self.backbone.read(sequence, torch.cat([prompt > 0, shown], 1), positions)
        residual: Tensor = self.gate[bucket].unsqueeze(1) * self.to_behaviour(hidden)
        return residual


class Ranker(nn.Module):
    """The whole model: playlists to logits over the catalogue."""

    def __init__(
        self,
        tracks: TrackVectors,
        playlist: PlaylistVector,
        llara: Llara | None,
        neighbourhood: Neighbourhood | None = None,
        second: "Ranker | None" = None,
        kin: Kin | None = None,
    ) -> None:
        """Join the parts; without ``llara``, ``neighbourhood``, ``second`` and ``kin`` the skeleton ranks alone.

        ``second`` is another skeleton, trained by itself from another start: what two that erred in different places
        agree on is likelier to be so. Both are one product of longer vectors.
        """
        super().__init__()
        self.second = second
        self.tracks, self.playlist, self.llara, self.neighbourhood = tracks, playlist, llara, neighbourhood
        self.kin, self.recency = kin, Recency()
        self.fold_in = FoldIn(tracks.own.embedding_dim)
        # The skeleton is trained first, and by itself: asking a silent language model would cost most of the time.
        self.reads_language = True
        # Each skeleton is trained by itself, and its share in the ranking is chosen on validation then.
        self.asks_second = True
        self.register_buffer("second_share", torch.zeros(1))
        self.second_share: Tensor
        self.log_count = torch.log1p(tracks.catalogue.count)
        self.popularity = nn.Parameter(torch.zeros(len(BUCKETS)))
        with torch.no_grad():
            self.popularity[0] = 1.0

    def playlists(
        self,
        inputs: Mapping[str, Tensor],
        hidden: Tensor,
        behaviour: Tensor | None = None,
        recency: Recency | None = None,
    ) -> Tensor:
        """Return (B, D + 1): the playlists' vectors, and beside them how much plain popularity counts.

        D counts the numbers of both skeletons where two are asked.

        Args:
            inputs: ``segue.query.encode``'s arrays as tensors; unknown tracks are not read in training.
            hidden: (B, S) seeds that are shown by their text alone.
            behaviour: (B,) false where the curriculum withholds the behaviour tokens; None withholds none.
            recency: How much each seed counts; None is the ranker's own. A second skeleton follows the first.
        """
        ids = nn.functional.pad(inputs["seeds"], (0, 1), value=-1)  # (B, S + 1): never without a column
        hidden = nn.functional.pad(hidden, (0, 1), value=False)
        present = ids >= 0
        seeds = self.tracks.seeds(ids.clamp(min=0), hidden)
        recency = recency or self.recency
        count = present.sum(1)
        vector = self.playlist(seeds, recency(count, inputs["ordered"], present), inputs["title_grams"])
        if self.fold_in.weight.any():
            vector = vector + self.fold_in(seeds, present, case_of(count, inputs["ordered"]))
        if self.llara is not None and self.reads_language:
            shown = present if behaviour is None else present & behaviour.unsqueeze(1)
            nothing = seeds[:, :0]
            vector = vector + self.llara(inputs["prompt_tokens"], seeds, shown, nothing, present[:, :0])
        weight = self.popularity[bucket_of(count)].unsqueeze(1)
        first = torch.cat([vector, weight], 1)
        if self.beside is None:
            return first
        return self._side_by_side(first, self.beside.playlists(inputs, hidden[:, :-1], recency=recency))

    def votes(self, logits: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (B, N) with what the playlists' neighbours, artists and albums add.

        Args:
            logits: (B, N) products of `playlists` and `candidates`, with their biases.
            inputs: As `playlists` takes them.
        """
        seeds = nn.functional.pad(inputs["seeds"], (0, 1), value=-1)  # never without a column
        count, ordered = (seeds >= 0).sum(1), inputs["ordered"]
        case, loudness = case_of(count, ordered), self.recency(count, ordered, seeds >= 0)
        # Silent parts are not asked: each costs as much as the product that makes the logits.
        if self.neighbourhood is not None and self.neighbourhood.is_heard:
            heard = self.neighbourhood.heard(inputs["title_grams"], case)
            logits = self.neighbourhood(logits, seeds, loudness, heard, case)
        if self.kin is not None and self.kin.is_heard:
            loudness = self.kin.recency(count, ordered, seeds >= 0)
            logits = self.kin(logits, seeds, loudness, loudness, self.kin.weights(case, loudness))
        return logits

    @property
    def beside(self) -> "Ranker | None":
        """The second skeleton where it is asked and has a share; everything that ranks has its numbers only then."""
        return self.second if self.asks_second and bool(self.second_share) else None

    def level_second(self) -> None:
        """Make the second skeleton's tracks as long as the first's, without a change of any score.

        Side by side they are one row of integers with one scale, and the shorter ones would be rounded away.
        """
        if self.second is None:
            return
        known = torch.nonzero(self.tracks.catalogue.count).squeeze(1)
        shown = torch.zeros_like(known, dtype=torch.bool)
        with torch.no_grad():
            one, other = (
                float(each.candidates(known, shown)[0].square().mean()) for each in (self.tracks, self.second.tracks)
            )
        if one and other:
            factor = (one / other) ** 0.5
            self.second.tracks.rescale(factor)
            self.second.playlist.rescale(factor)

    def _side_by_side(self, first: Tensor, second: Tensor) -> Tensor:
        """Return (B, D + 1) what each skeleton says of playlists, (B, D' + 1) each, side by side in their shares."""
        one, other = first * (1 - self.second_share), second * self.second_share
        return torch.cat([one[:, :-1], other[:, :-1], one[:, -1:] + other[:, -1:]], 1)

    def candidates(self, ids: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return (C, D + 1) candidates to match `playlists`, and their biases (C,); a hidden one has no popularity."""
        vectors, bias = self.tracks.candidates(ids, hidden)
        if self.beside is not None:
            others, other_bias = self.beside.tracks.candidates(ids, hidden)
            vectors = torch.cat([vectors, others], 1)
            bias = (1 - self.second_share) * bias + self.second_share * other_bias
        popularity = torch.where(hidden, 0.0, self.log_count[ids])
        return torch.cat([vectors, popularity.unsqueeze(1)], 1), bias

    def seeds(self, ids: Tensor, hidden: Tensor) -> Tensor:
        """Return (…, D) vectors of tracks as seeds, of both skeletons where two are asked."""
        vectors = self.tracks.seeds(ids, hidden)
        if self.beside is None:
            return vectors
        return torch.cat([vectors, self.beside.tracks.seeds(ids, hidden)], -1)

    def differences(self, artists: Tensor, albums: Tensor) -> list[Tensor]:
        """Return as `TrackVectors.differences`, of both skeletons where two are asked."""
        parts = [each.tracks.differences(artists, albums) for each in (self, self.beside) if each is not None]
        return [torch.cat(each, 1) for each in zip(*parts, strict=True)]
