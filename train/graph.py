"""The ranker as one ONNX graph: from a playlist's ids, n-grams and word pieces to exact top-k over the catalogue."""

import logging
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from segue.errors import SegueError
from train.branch import branch
from train.compact import Compact, most_popular, share_left, shared_differences
from train.constants import Model
from train.kin import LACKING, Kin
from train.llara_model import Ranker
from train.neighbourhood import LEADERS, Neighbourhood
from train.neighbours import NeighbourTable
from train.quantise import quantise
from train.skeleton import BUCKETS, bucket_of, case_of
from train.word_reader import WordReader

OPSET = 20
INPUTS = ("seeds", "title_grams", "prompt_tokens", "unknown_tokens", "stand_ins", "artists", "ordered")
READER = ("reader.vectors", "reader.asked", "reader.silence")
FOLD_IN = ("fold_in.residual", "fold_in.asked", "fold_in.silence")
LLARA = ("llara.residual", "llara.asked", "llara.silence")
"""What a part gives, whether any playlist of the batch asks for it, and what stands there where none does."""
VECTORS, WEIGHTS = "query.vectors", "query.weights"
SPEAKERS, LOUDNESS = "query.speakers", "query.loudness"
"""Playlists before they meet the catalogue: vectors (B, D); weights (B, 5) of popularity, of the tracks' neighbours, of
the title's, and of their artists and albums; whose neighbours gain (B, P): tracks, from N on n-grams of the title,
padded with -1; and how much each of these counts (B, 3, P), for its neighbours, its artist and its album."""
_TRACKS_AT_ONCE = 2**16


class ServingGraph(nn.Module):
    """The ranker with its tracks' vectors worked out, and a reader of words for tracks that it lacks."""

    seeds: "OwnSeeds | SharedSeeds"
    columns: Tensor
    prior: Tensor

    def __init__(self, ranker: Ranker, reader: WordReader, compact: Compact | None = None) -> None:
        """Freeze the tracks of ``ranker``: a track without a training playlist gets its place by its text.

        Args:
            ranker: The trained model.
            reader: What reads unknown tracks.
            compact: How a catalogue is kept that has more tracks than it says; None keeps everything of any.
        """
        super().__init__()
        cold = ranker.tracks.catalogue.count == 0
        compact = compact if compact is not None and len(cold) > compact.above else None
        skeletons = [each.tracks for each in (ranker, ranker.beside) if each is not None]
        length = sum(each.own.embedding_dim for each in skeletons)
        self.register_buffer("columns", torch.empty(length, len(cold)))
        # Popularity has its own scale and would spoil the rounding of the other columns.
        self.register_buffer("prior", torch.empty(2, len(cold)))
        if compact is None:
            self.seeds = OwnSeeds(len(cold), length)
        else:
            self.seeds = SharedSeeds(*shared_differences(ranker, compact.differences))
        for ids in torch.split(torch.arange(len(cold)), _TRACKS_AT_ONCE):
            with torch.no_grad():
                candidates, bias = ranker.candidates(ids, cold[ids])
                if isinstance(self.seeds, OwnSeeds):
                    self.seeds.table[ids] = ranker.seeds(ids, cold[ids])
            self.columns[:, ids] = candidates[:, :-1].T
            self.prior[:, ids] = torch.stack([candidates[:, -1], bias])
        heard = ranker.llara is not None and bool(ranker.llara.gate.any())
        self.playlist, self.llara, self.reader = ranker.playlist, ranker.llara if heard else None, reader
        self.neighbourhood, self.kin, self.recency = ranker.neighbourhood, ranker.kin, ranker.recency
        if compact is not None:
            self.kin = self.kin or Kin(ranker.tracks.catalogue)  # silent, but it knows who is of which artist
            if self.neighbourhood is not None:
                self.neighbourhood = _fewer(self.neighbourhood, compact)
        self.fold_in = ranker.fold_in if bool(ranker.fold_in.weight.any()) else None
        self.popularity_weight = ranker.popularity
        self.second = None if ranker.beside is None else ranker.beside.playlist
        self.length, self.share = ranker.tracks.own.embedding_dim, float(ranker.second_share)
        if ranker.beside is not None:
            both = (1 - self.share) * ranker.popularity + self.share * ranker.beside.popularity
            self.popularity_weight = nn.Parameter(both.detach())

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` returns."""
        parts = ((self.reader, READER), (self.fold_in, FOLD_IN), (self.llara, LLARA))
        own = (name for part, names in parts if part is not None for name in names)
        return ("logits", VECTORS, WEIGHTS, SPEAKERS, LOUDNESS, *own)

    def forward(
        self,
        seeds: Tensor,
        title_grams: Tensor,
        prompt_tokens: Tensor,
        unknown_tokens: Tensor,
        stand_ins: Tensor,
        artists: Tensor,
        ordered: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return (B, N) logits of every track; inputs as `segue.query.encode` makes them.

        Then what is named above: of the playlists, and of each part that not every playlist asks for.
        """
        own = nn.functional.pad(seeds, (0, 1), value=-1)  # (B, S + 1): never without a column
        ids, place = torch.cat([own, stand_ins], 1), own.shape[1]
        known = self.seeds(ids.clamp(min=0), self.columns, self.kin)
        unknown, told = self._unknown(unknown_tokens), (unknown_tokens > 0).any(2)
        parts: tuple[Tensor, ...] = (unknown, told.any(), torch.zeros(*unknown_tokens.shape[:2], known.shape[2]))
        here = ids >= 0
        present = torch.cat([here, told], 1)
        seen, others = torch.cat([known, unknown], 1).tensor_split([self.length], dim=2)  # each skeleton's numbers
        known, unknown = known[:, :, : self.length], unknown[:, :, : self.length]
        count, silence = present.sum(1), torch.zeros(seeds.shape[0], self.length)
        case, loudness = case_of(count, ordered), self.recency(count, ordered, own >= 0, stand_ins >= 0, told)
        playlist = self.playlist(seen, loudness, title_grams)
        if self.fold_in is not None:
            residual = self.fold_in(seen, present, case)
            parts = (*parts, residual, (self.fold_in.weight[case] != 0).any(), silence)
            playlist = playlist + residual
        if self.llara is not None:
            # Stand-ins are no behaviour of the listener's.
            residual = self.llara(prompt_tokens, known[:, :place], here[:, :place], unknown, told)
            heard = self.llara.gate[bucket_of(here[:, :place].sum(1) + told.sum(1))]
            parts = (*parts, residual, (heard != 0).any(), silence.clone())
            playlist = playlist + residual
        if self.second is not None:
            other = self.second(others, loudness, title_grams)
            playlist = torch.cat([(1 - self.share) * playlist, self.share * other], 1)
        weight = self.popularity_weight[bucket_of(count)].unsqueeze(1)
        # One product for both: what counts is how often rows of the catalogue's length are gone through.
        logits: Tensor = playlist @ self.columns + nn.functional.pad(weight, (0, 1), value=1.0) @ self.prior
        said = kin = torch.zeros(seeds.shape[0], 2)
        speakers = torch.cat([ids, artists], 1)
        loudness, beside = loudness[:, : ids.shape[1]], (artists >= 0) * LACKING
        by_neighbours = by_artist = by_album = nn.functional.pad(loudness, (0, artists.shape[1]))
        if self.kin is not None:
            kin_loudness = self.kin.recency(count, ordered, own >= 0, stand_ins >= 0, told)
            kin, kin_loudness = self.kin.weights(case, kin_loudness), kin_loudness[:, : ids.shape[1]]
            by_artist = torch.cat([kin_loudness, beside], 1)
            by_album = torch.cat([kin_loudness, torch.zeros_like(beside)], 1)  # of a lacking track its artist is known
            logits = self.kin(logits, speakers, by_artist, by_album, kin)
        loud = torch.stack([by_neighbours, by_artist, by_album], 1)
        if self.neighbourhood is not None:
            said = torch.stack([self.neighbourhood.weight, self.neighbourhood.title_weight], 1)[case]
            heard = self.neighbourhood.heard(title_grams, case)
            logits = self.neighbourhood(logits, ids, loudness, heard, case)
            speakers = torch.cat([speakers, torch.where(heard >= 0, heard + logits.shape[1], -1)], 1)
            by_title = (heard >= 0).float()
            loud = torch.cat([loud, torch.stack([by_title, *[torch.zeros_like(by_title)] * 2], 1)], 2)
        return logits, playlist, torch.cat([weight, said, kin], 1), speakers, loud, *parts

    def _unknown(self, tokens: Tensor) -> Tensor:
        """Return (B, U, D) vectors of tracks given as words."""
        batch, count, length = tokens.shape
        vectors: Tensor = self.reader(tokens.reshape(-1, length)).reshape(batch, count, self.columns.shape[0])
        return vectors


class OwnSeeds(nn.Module):
    """Tracks as seeds, each in a row of its own."""

    table: Tensor

    def __init__(self, tracks: int, length: int) -> None:
        """Make room for so many tracks."""
        super().__init__()
        self.register_buffer("table", torch.empty(tracks, length))

    def forward(self, ids: Tensor, columns: Tensor, kin: Kin | None) -> Tensor:
        """Return (B, S, D) the vectors of tracks (B, S)."""
        return nn.functional.embedding(ids, self.table)


class SharedSeeds(nn.Module):
    """Tracks as seeds: what they are as candidates, and what an artist's and an album's tracks are more as seeds."""

    artists: Tensor
    albums: Tensor

    def __init__(self, artists: Tensor, albums: Tensor) -> None:
        """Add rows of ``artists`` (I, D) and ``albums`` (J, D), as `train.compact.shared_differences` returns them."""
        super().__init__()
        self.register_buffer("artists", artists)
        self.register_buffer("albums", albums)

    def forward(self, ids: Tensor, columns: Tensor, kin: Kin) -> Tensor:
        """Return (B, S, D) the vectors of tracks (B, S); ``columns`` (D, N) are all tracks as candidates."""
        vectors = columns.index_select(1, ids.flatten()).T.reshape(*ids.shape, columns.shape[0])
        for of, table in ((kin.artist, self.artists), (kin.album, self.albums)):
            row = nn.functional.embedding(ids, of.unsqueeze(1)).squeeze(2).long().clamp(max=len(table) - 1)
            vectors = vectors + nn.functional.embedding(row, table)
        return vectors


def _fewer(whole: Neighbourhood, compact: Compact) -> Neighbourhood:
    """Return what the most popular tracks say, and titles, as loud as before."""
    rows, grams = torch.cat([whole.row, whole.title_row]).squeeze(1), len(whole.title_row)
    table = NeighbourTable(rows.numpy(), whole.ids.numpy(), whole.values.numpy())
    fewer = Neighbourhood(most_popular(table, len(whole.row), compact.neighbour_rows, compact.neighbours), grams)
    fewer.load_state_dict(whole.state_dict())
    by_tracks = replace(table, row=table.row[: len(whole.row)])
    for case, seeds in enumerate((*BUCKETS, BUCKETS[-1])):  # no order is a matter of many tracks
        loudest = LEADERS // max(seeds, 1)
        if loudest > compact.neighbours:
            fewer.weight[case] *= share_left(by_tracks, compact.neighbour_rows, compact.neighbours, loudest)
    return fewer


def export_float(graph: ServingGraph, path: Path) -> Model:
    """Export the float graph with its top-k to ``path`` and return it; it asks every part (see `serving_form`).

    Its constants go into a file beside it and are memory-mapped from there: as floats they can be more than protobuf
    or a machine's memory holds.
    """
    sizes = dict.fromkeys(("B", "S", "G", "T", "U", "L", "P", "A"), torch.export.Dim.DYNAMIC)
    shapes = {
        "seeds": {0: sizes["B"], 1: sizes["S"]},
        "title_grams": {0: sizes["B"], 1: sizes["G"]},
        "prompt_tokens": {0: sizes["B"], 1: sizes["T"]},
        "unknown_tokens": {0: sizes["B"], 1: sizes["U"], 2: sizes["L"]},
        "stand_ins": {0: sizes["B"], 1: sizes["P"]},
        "artists": {0: sizes["B"], 1: sizes["A"]},
        "ordered": {0: sizes["B"]},
    }
    example = (
        torch.tensor([[3, 1, 2], [4, -1, -1], [1, 0, -1]]),
        torch.tensor([[5, 6, 7, -1], [8, -1, -1, -1], [-1, -1, -1, -1]]),
        torch.tensor([[101, 2000, 102, 0, 0], [101, 2001, 2002, 2003, 102], [101, 102, 0, 0, 0]]),
        torch.tensor(
            [[[101, 5, 102, 0, 0, 0], [101, 5, 6, 7, 8, 102]], [[0] * 6] * 2, [[101, 9, 9, 9, 9, 102], [0] * 6]]
        ),
        torch.tensor([[2, 4], [-1, -1], [3, -1]]),
        torch.tensor([[-1, -1], [3, 1], [2, -1]]),
        torch.tensor([1, 0, 1]),
    )
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)  # on torchvision's absence
    with torch.no_grad():
        program = torch.onnx.export(
            graph.eval(),
            example,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(INPUTS),
            output_names=list(graph.outputs),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise SegueError("torch exported no ONNX program; report this with the versions of torch and onnx.")
    program.save(path, external_data=True)
    onnx.save(with_top_k(onnx.load(str(path), load_external_data=False)), str(path))
    return Model.read(path)


def serving_form(model: Model) -> Model:
    """Return what a bundle serves: the model of `export_float` in integers, its parts asked where they are heard."""
    quantised = quantise(model)
    return Model(served(quantised.proto), quantised.constants)


def served(quantised: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph in integers whose parts are asked where they are needed."""
    for names in (LLARA, FOLD_IN, READER):
        quantised = branch(quantised, *names)
    return quantised


def with_top_k(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with ``logits`` turned into ``ids`` and ``scores``: seeds excluded, best first.

    Equal scores stand in the order of ids, which is that of falling popularity (ONNX's TopK breaks ties so).
    """
    graph = model.graph
    constant = [
        helper.make_tensor("tail.zero", TensorProto.INT64, [], [0]),
        helper.make_tensor("tail.plus", TensorProto.FLOAT, [], [float("inf")]),
        helper.make_tensor("tail.minus", TensorProto.FLOAT, [], [float("-inf")]),
    ]
    graph.initializer.extend(constant)
    graph.node.extend(
        [
            helper.make_node("GreaterOrEqual", ["seeds", "tail.zero"], ["tail.known"]),
            helper.make_node("Max", ["seeds", "tail.zero"], ["tail.ids"]),
            # A seed's score falls to -inf; padding points at track 0 and takes the smaller of its score and +inf.
            helper.make_node("Where", ["tail.known", "tail.minus", "tail.plus"], ["tail.limit"]),
            helper.make_node(
                "ScatterElements", ["logits", "tail.ids", "tail.limit"], ["tail.open"], axis=1, reduction="min"
            ),
            helper.make_node("TopK", ["tail.open", "k"], ["scores", "ids"], axis=1),
        ]
    )
    graph.input.append(helper.make_tensor_value_info("k", TensorProto.INT64, [1]))
    del graph.output[:]
    graph.output.extend(
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", "K"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", "K"]),
        ]
    )
    return model
