"""The ranker as one ONNX graph: from a playlist's ids, n-grams and word pieces to exact top-k over the catalogue."""

import logging
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from segue.errors import SegueError
from train.branch import branch
from train.llara_model import Ranker
from train.quantise import quantise
from train.skeleton import bucket_of
from train.word_reader import WordReader

OPSET = 20
INPUTS = ("seeds", "title_grams", "prompt_tokens", "unknown_tokens", "stand_ins")
READER = ("reader.vectors", "reader.asked", "reader.silence")
FOLD_IN = ("fold_in.residual", "fold_in.asked", "fold_in.silence")
LLARA = ("llara.residual", "llara.asked", "llara.silence")
"""What a part gives, whether any playlist of the batch asks for it, and what stands there where none does."""
VECTORS, WEIGHTS = "query.vectors", "query.weights"
"""Playlists before they meet the catalogue: vectors (B, D), and weights of popularity and of neighbours (B, 2)."""


class ServingGraph(nn.Module):
    """The ranker with its tracks' vectors worked out, and a reader of words for tracks that it lacks."""

    seed_table: Tensor
    columns: Tensor
    prior: Tensor

    def __init__(self, ranker: Ranker, reader: WordReader) -> None:
        """Freeze the tracks of ``ranker``: a track without a training playlist gets its place by its text."""
        super().__init__()
        cold = ranker.tracks.catalogue.count == 0
        everything = torch.arange(len(cold))
        with torch.no_grad():
            candidates, bias = ranker.candidates(everything, cold)
            self.register_buffer("seed_table", ranker.seeds(everything, cold))
        # Popularity has its own scale and would spoil the rounding of the other columns.
        self.register_buffer("columns", candidates[:, :-1].T.contiguous())
        self.register_buffer("prior", torch.stack([candidates[:, -1], bias.detach()]))  # (2, N)
        heard = ranker.llara is not None and bool(ranker.llara.gate.any())
        self.playlist, self.llara, self.reader = ranker.playlist, ranker.llara if heard else None, reader
        self.neighbourhood = ranker.neighbourhood
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
        return ("logits", VECTORS, WEIGHTS, *(name for part, names in parts if part is not None for name in names))

    def forward(
        self, seeds: Tensor, title_grams: Tensor, prompt_tokens: Tensor, unknown_tokens: Tensor, stand_ins: Tensor
    ) -> tuple[Tensor, ...]:
        """Return (B, N) logits of every track; inputs as `segue.query.encode` makes them.

        Then what is named above: of the playlists, and of each part that not every playlist asks for.
        """
        own = nn.functional.pad(seeds, (0, 1), value=-1)  # (B, S + 1): never without a column
        ids, place = torch.cat([own, stand_ins], 1), own.shape[1]
        known = nn.functional.embedding(ids.clamp(min=0), self.seed_table)
        unknown, told = self._unknown(unknown_tokens), (unknown_tokens > 0).any(2)
        parts: tuple[Tensor, ...] = (unknown, told.any(), torch.zeros(*unknown_tokens.shape[:2], known.shape[2]))
        here = ids >= 0
        present = torch.cat([here, told], 1)
        seen, others = torch.cat([known, unknown], 1).tensor_split([self.length], dim=2)  # each skeleton's numbers
        known, unknown = known[:, :, : self.length], unknown[:, :, : self.length]
        playlist = self.playlist(seen, present, title_grams)
        count, silence = present.sum(1), torch.zeros(seeds.shape[0], self.length)
        if self.fold_in is not None:
            residual = self.fold_in(seen, present)
            parts = (*parts, residual, (self.fold_in.weight[bucket_of(count)] != 0).any(), silence)
            playlist = playlist + residual
        if self.llara is not None:
            # Stand-ins are no behaviour of the listener's.
            residual = self.llara(prompt_tokens, known[:, :place], here[:, :place], unknown, told)
            heard = self.llara.gate[bucket_of(here[:, :place].sum(1) + told.sum(1))]
            parts = (*parts, residual, (heard != 0).any(), silence.clone())
            playlist = playlist + residual
        if self.second is not None:
            other = self.second(others, present, title_grams)
            playlist = torch.cat([(1 - self.share) * playlist, self.share * other], 1)
        weight = self.popularity_weight[bucket_of(count)].unsqueeze(1)
        # One product for both: what counts is how often rows of the catalogue's length are gone through.
        logits: Tensor = playlist @ self.columns + nn.functional.pad(weight, (0, 1), value=1.0) @ self.prior
        neighbours = torch.zeros_like(weight)
        if self.neighbourhood is not None:
            neighbours = self.neighbourhood.weight[bucket_of(count)].unsqueeze(1)
            logits = self.neighbourhood(logits, ids, count)
        return logits, playlist, torch.cat([weight, neighbours], 1), *parts

    def _unknown(self, tokens: Tensor) -> Tensor:
        """Return (B, U, D) vectors of tracks given as words."""
        batch, count, length = tokens.shape
        vectors: Tensor = self.reader(tokens.reshape(-1, length)).reshape(batch, count, self.columns.shape[0])
        return vectors


def export_float(graph: ServingGraph, path: Path) -> onnx.ModelProto:
    """Export the float graph with its top-k to ``path`` and return it; it asks every part (see `serving_form`)."""
    sizes = dict.fromkeys(("B", "S", "G", "T", "U", "L", "P"), torch.export.Dim.DYNAMIC)
    shapes = {
        "seeds": {0: sizes["B"], 1: sizes["S"]},
        "title_grams": {0: sizes["B"], 1: sizes["G"]},
        "prompt_tokens": {0: sizes["B"], 1: sizes["T"]},
        "unknown_tokens": {0: sizes["B"], 1: sizes["U"], 2: sizes["L"]},
        "stand_ins": {0: sizes["B"], 1: sizes["P"]},
    }
    example = (
        torch.tensor([[3, 1, 2], [4, -1, -1], [1, 0, -1]]),
        torch.tensor([[5, 6, 7, -1], [8, -1, -1, -1], [-1, -1, -1, -1]]),
        torch.tensor([[101, 2000, 102, 0, 0], [101, 2001, 2002, 2003, 102], [101, 102, 0, 0, 0]]),
        torch.tensor(
            [[[101, 5, 102, 0, 0, 0], [101, 5, 6, 7, 8, 102]], [[0] * 6] * 2, [[101, 9, 9, 9, 9, 102], [0] * 6]]
        ),
        torch.tensor([[2, 4], [-1, -1], [3, -1]]),
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
            external_data=False,
        )
    if program is None:
        raise SegueError("torch exported no ONNX program; report this with the versions of torch and onnx.")
    model = with_top_k(program.model_proto)
    onnx.save(model, str(path))
    return model


def serving_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return what a bundle serves: the model of `export_float` in integers, its parts asked where they are heard."""
    return served(quantise(model))


def served(quantised: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model in integers whose parts are asked where they are needed."""
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
