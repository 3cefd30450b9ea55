"""The exported graph: as torch ranks, batch as single, seeds never, and the same on a CPU without VNNI."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from segue.bundle import MODEL
from segue.query import Encoding, Query, encode
from tests.support.tiny_bert import tiny_encoder
from tests.support.tiny_ranker import DIMENSION, tiny_encoding, tiny_ranker, tiny_reader
from train.constants import Model
from train.encoder import LoadedEncoder
from train.export import heard_encoding
from train.graph import ServingGraph, export_float, serving_form
from train.quantise import WEIGHT_LIMIT, quantise, quantise_rows
from train.skeleton import ANY, TrackVectors
from train.split import write_serving_form
from train.word_reader import WordReader

TRACKS = 600
QUERIES = [
    Query(title="summer vibes"),
    Query(seeds=(3,), words=("humble by kendrick",)),
    Query(seeds=tuple(range(12)), title="rock", words=("one by a", "two by b")),
    Query(unknown=("nobody knows by no one", "second by b")),
    Query(),
    Query(seeds=(5, 6), unknown=("zz by yy",), title="jazz 🎷"),
    Query(unknown=("zz by yy",), stand_ins=(9, 30)),
    Query(seeds=tuple(range(30)), title="rock", ordered=False),
    Query(seeds=tuple(range(30)), unknown=("zz by yy", "a by b"), artists=(40, 41), ordered=False),
]


class Exported:
    """A tiny ranker with its two graphs."""

    def __init__(self, folder: Path) -> None:
        self.loaded: LoadedEncoder = tiny_encoder(folder / "bert")
        self.encoding: Encoding = tiny_encoding(self.loaded)
        self.graph = ServingGraph(tiny_ranker(self.loaded, TRACKS), tiny_reader(self.loaded)).eval()
        self.float_path, self.int8_path = folder / "float.onnx", folder / "int8.onnx"
        serving_form(export_float(self.graph, self.float_path)).write(self.int8_path)

    def inputs(self, queries: list[Query]) -> dict[str, NDArray[np.int64]]:
        """Return the graph's inputs but ``k``."""
        return encode(queries, self.encoding, self.loaded.tokenise)

    def torch_scores(self, queries: list[Query]) -> NDArray[np.float32]:
        """Return torch's scores of every track, -inf for seeds."""
        with torch.no_grad():
            logits, *_ = self.graph(**{name: torch.from_numpy(array) for name, array in self.inputs(queries).items()})
        scores: NDArray[np.float32] = logits.numpy()
        for row, query in enumerate(queries):
            scores[row, list(query.seeds)] = -np.inf
        return scores

    def rank(self, path: Path, queries: list[Query], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids and scores of a graph."""
        session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        ids, scores = session.run(None, {**self.inputs(queries), "k": np.array([k])})
        return ids, scores


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("graph"))


def test_the_float_graph_scores_as_torch_does(exported: Exported) -> None:
    """Every query of the batch, cold and warm, gets torch's best scores to the sixth digit."""
    _, scores = exported.rank(exported.float_path, QUERIES, 50)
    assert np.allclose(scores, -np.sort(-exported.torch_scores(QUERIES), axis=1)[:, :50], atol=1e-5)


def test_a_small_catalogue_has_its_whole_graph_alone(exported: Exported, tmp_path: Path) -> None:
    """Without integers there is nothing to scan: no facts about where it stands, and no part before it."""
    assert write_serving_form(Model.read(exported.float_path), tmp_path) == {}
    assert [file.name for file in tmp_path.iterdir()] == [MODEL]


def test_top_k_is_exact_and_without_seeds(exported: Exported) -> None:
    """The integer graph's list is the sorted head of its own full ranking, each track once and no seed in it."""
    full, full_scores = exported.rank(exported.int8_path, QUERIES, TRACKS)
    head, _ = exported.rank(exported.int8_path, QUERIES, 20)
    assert (full[:, :20] == head).all()
    assert (full_scores[:, :-1] >= full_scores[:, 1:]).all()
    for query, ids, scores in zip(QUERIES, full, full_scores, strict=True):
        assert sorted(ids.tolist()) == list(range(TRACKS))
        assert set(ids[~np.isfinite(scores)].tolist()) == set(query.seeds)


def test_integers_rank_as_floats_do(exported: Exported) -> None:
    """Rounding moves scores by far less than they differ."""
    queries = [Query(seeds=(track, track + 1), title=f"mix {track}") for track in range(0, 500, 10)]
    exact, scores = exported.rank(exported.float_path, queries, 20)
    rounded, rounded_scores = exported.rank(exported.int8_path, queries, 20)
    shared = [len(set(a) & set(b)) / 20 for a, b in zip(exact.tolist(), rounded.tolist(), strict=True)]
    assert np.mean(shared) > 0.93
    assert np.abs(scores - rounded_scores).max() < 0.1 * exported.torch_scores(queries[:1])[0, 2:].std()


@pytest.mark.parametrize("graph", ["float_path", "int8_path"])
def test_a_batch_gives_what_its_queries_give_one_by_one(exported: Exported, graph: str) -> None:
    """Neither padding nor neighbours move an answer."""
    path: Path = getattr(exported, graph)
    ids, scores = exported.rank(path, QUERIES, 50)
    for row, query in enumerate(QUERIES):
        alone, alone_scores = exported.rank(path, [query], 50)
        assert (ids[row] == alone[0]).mean() > 0.95
        assert np.allclose(scores[row], alone_scores[0], atol=1e-4)


@pytest.fixture(scope="module")
def half_shut(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The float and the integer graph of a ranker whose LLaRA speaks to titles and single tracks alone."""
    folder = tmp_path_factory.mktemp("half")
    ranker = tiny_ranker(exported.loaded, TRACKS)
    assert ranker.llara is not None
    ranker.llara.gate[2:] = 0
    model = export_float(ServingGraph(ranker, tiny_reader(exported.loaded)), folder / "float.onnx")
    serving_form(model).write(folder / "int8.onnx")
    return folder / "float.onnx", folder / "int8.onnx"


def test_llara_is_left_out_where_its_gate_is_shut(exported: Exported, half_shut: tuple[Path, Path]) -> None:
    """Alone, among their like and among others, playlists get what the graph that always asks gives them."""
    always = half_shut[0].with_name("always.onnx")
    quantise(Model.read(half_shut[0])).write(always)
    for queries in (*([query] for query in QUERIES), [QUERIES[2], QUERIES[5]], QUERIES):
        ids, scores = exported.rank(half_shut[1], queries, 50)
        wanted, wanted_scores = exported.rank(always, queries, 50)
        assert (ids == wanted).mean() > 0.99
        np.testing.assert_allclose(scores, wanted_scores, rtol=1e-5)


def test_nothing_of_llara_runs_where_its_gate_is_shut(
    exported: Exported, half_shut: tuple[Path, Path], tmp_path: Path
) -> None:
    """One layer has one attention, and so one softmax."""
    silent, asked = (_attentions(exported, half_shut[1], query, tmp_path) for query in (QUERIES[2], QUERIES[0]))
    assert asked == silent + 1


def test_what_nobody_hears_is_not_spelled(exported: Exported) -> None:
    """Where LLaRA speaks to titles alone, prompts without tracks give every playlist what whole prompts give it."""
    ranker = tiny_ranker(exported.loaded, TRACKS)
    assert ranker.llara is not None
    assert heard_encoding(exported.encoding, ranker) == exported.encoding
    ranker.llara.gate[1:] = 0
    shorter = heard_encoding(exported.encoding, ranker)
    assert (shorter.prompt_tracks, shorter.title_pieces) == (0, exported.encoding.title_pieces)
    graph = ServingGraph(ranker, tiny_reader(exported.loaded)).eval()
    for query in QUERIES:
        prompts = [encode([query], encoding, exported.loaded.tokenise) for encoding in (exported.encoding, shorter)]
        with torch.no_grad():
            whole, short = (graph(**{name: torch.from_numpy(a) for name, a in each.items()})[0] for each in prompts)
        assert torch.equal(whole, short)
    ranker.llara.gate.zero_()
    assert heard_encoding(exported.encoding, ranker).title_pieces == 0


def _attentions(exported: Exported, path: Path, query: Query, folder: Path) -> int:
    """Return how many softmaxes a graph computes for a query, by ONNX Runtime's own profile."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, {**exported.inputs([query]), "k": np.array([10])})
    events = json.loads(Path(session.end_profiling()).read_text())
    return sum(event.get("args", {}).get("op_name") == "Softmax" for event in events)


def test_a_llara_that_is_never_heard_is_not_exported(exported: Exported, tmp_path: Path) -> None:
    """Its weights would only take memory."""
    ranker = tiny_ranker(exported.loaded, TRACKS)
    assert ranker.llara is not None
    ranker.llara.gate.zero_()
    model = export_float(ServingGraph(ranker, tiny_reader(exported.loaded)), tmp_path / "float.onnx")
    assert not [tensor.name for tensor in model.proto.graph.initializer if tensor.name.startswith("llara.")]
    serving_form(model).write(tmp_path / "int8.onnx")
    ids, _ = exported.rank(tmp_path / "int8.onnx", QUERIES, 50)
    assert ids.shape == (len(QUERIES), 50)


def test_words_place_a_track_that_the_catalogue_lacks(exported: Exported) -> None:
    """Two unknown tracks of different words are continued differently."""
    ids, _ = exported.rank(exported.int8_path, [Query(unknown=("aaaa by bbbb",)), Query(unknown=("9876 by zzz",))], 20)
    assert ids[0].tolist() != ids[1].tolist()


def test_a_stand_in_is_read_as_a_seed_and_stays_in_the_running(
    exported: Exported, half_shut: tuple[Path, Path]
) -> None:
    """Where LLaRA, which reads what listeners did, is silent: both graphs, every track but the stand-in itself."""
    queries = [Query((1, 2), "mix", stand_ins=stand_ins) for stand_ins in ((), (7,))] + [Query((1, 2, 7), "mix")]
    for path in half_shut:
        alone, beside, seed = (
            dict(zip(*(part[0].tolist() for part in exported.rank(path, [query], TRACKS)), strict=True))
            for query in queries
        )
        assert np.isfinite(beside.pop(7))
        assert not np.isfinite(seed.pop(7))
        assert beside == pytest.approx(seed, abs=1e-4)
        assert beside[8] != pytest.approx(alone[8], abs=1e-2)


def test_an_artist_alone_is_heard_as_a_seed_s_artist_is(exported: Exported) -> None:
    """In both graphs its tracks gain as by three seeds, twice that where two tracks lack, and nobody else gains."""
    assert exported.graph.kin is not None
    artist = exported.graph.kin.artist.numpy()
    lacking = Query(tuple(range(30)), unknown=("zz by yy", "a by b"), ordered=False)
    for path in (exported.float_path, exported.int8_path):
        silent, once, twice = (
            scores[0][np.argsort(ids[0])]
            for ids, scores in (
                exported.rank(path, [replace(lacking, artists=artists)], TRACKS) for artists in ((), (40,), (40, 40))
            )
        )
        theirs = np.isfinite(silent) & (artist == artist[40])
        others = np.isfinite(silent) & (artist != artist[40])
        gain = once[theirs] - silent[theirs]
        by_one_seed = float(exported.graph.kin.artist_weight[ANY]) / 32  # of thirty seeds and two that lack
        assert gain == pytest.approx(3 * by_one_seed, abs=1e-4)
        assert twice[theirs] - silent[theirs] == pytest.approx(2 * gain[0], abs=1e-4)
        assert once[others] == pytest.approx(silent[others], abs=1e-4)


def test_neighbours_of_a_seed_come_up(exported: Exported) -> None:
    """In both graphs the table lifts what the seed speaks for, and it stands there in integers."""
    neighbourhood = exported.graph.neighbourhood
    assert neighbourhood is not None
    query = Query(seeds=(3,), words=("humble by kendrick",))
    neighbours = neighbourhood.ids[neighbourhood.row[3, 0]][:5].tolist()
    ranked = {path: exported.rank(path, [query], TRACKS) for path in (exported.float_path, exported.int8_path)}
    weight = neighbourhood.weight.clone()
    neighbourhood.weight.zero_()
    silent = exported.torch_scores([query])[0]
    neighbourhood.weight.copy_(weight)
    for ids, scores in ranked.values():
        by_track = dict(zip(ids[0].tolist(), scores[0].tolist(), strict=True))
        assert all(by_track[track] > silent[track] + 0.1 for track in set(neighbours) - {3})
    tensors = {tensor.name: tensor.data_type for tensor in onnx.load(str(exported.int8_path)).graph.initializer}
    assert tensors["neighbourhood.values.int8"] == onnx.TensorProto.INT8
    assert tensors["neighbourhood.ids"] == onnx.TensorProto.INT32


def test_a_leveled_second_skeleton_scores_as_before(exported: Exported) -> None:
    """Its tracks are as long as the first's afterwards, and no score of a playlist is another one."""
    ranker = tiny_ranker(exported.loaded, TRACKS)
    second, everything = ranker.second, torch.arange(TRACKS)
    assert second is not None
    for part in (second.tracks, second.playlist):
        part.rescale(0.01)
    hidden = ranker.tracks.catalogue.count == 0
    inputs = {name: torch.from_numpy(array) for name, array in exported.inputs(QUERIES[:3]).items()}
    nothing = torch.zeros_like(inputs["seeds"], dtype=torch.bool)

    def scores() -> torch.Tensor:
        vectors, bias = ranker.candidates(everything, hidden)
        return ranker.playlists(inputs, nothing) @ vectors.T + bias

    def length(tracks: TrackVectors) -> float:
        return float(tracks.candidates(everything[~hidden], hidden[~hidden])[0].square().mean())

    with torch.no_grad():
        before = scores()
        ranker.level_second()
        assert torch.allclose(before, scores(), rtol=1e-3, atol=1e-3)
        assert length(second.tracks) == pytest.approx(length(ranker.tracks), rel=1e-3)


def test_a_second_skeleton_without_a_share_is_not_exported(exported: Exported) -> None:
    """Where validation gives it none, tracks are as long for all who read them as the first skeleton alone has them."""
    ranker = tiny_ranker(exported.loaded, TRACKS)
    ranker.second_share.zero_()
    everything = torch.arange(TRACKS)
    taught = ranker.seeds(everything, torch.ones(TRACKS, dtype=torch.bool)).shape[1]  # what export teaches the reader
    reader = WordReader(exported.loaded.pieces, taught, pairs=2**12).eval()
    without = tiny_ranker(exported.loaded, TRACKS)
    without.second = None
    inputs = {name: torch.from_numpy(array) for name, array in exported.inputs(QUERIES).items()}
    with torch.no_grad():
        graphs = [ServingGraph(each, reader).eval() for each in (ranker, without)]
        scores, expected = (graph(**inputs)[0] for graph in graphs)
    assert graphs[0].columns.shape == (DIMENSION, TRACKS)
    assert torch.equal(scores, expected)


def test_the_graph_carries_the_exact_fold_in(exported: Exported) -> None:
    """What both graphs score more with it than torch does without is numpy's solution of the normal equations."""
    fold_in, seeds = exported.graph.fold_in, (3, 7)
    assert fold_in is not None
    query = Query(seeds=seeds, title="rock")
    weight = fold_in.weight.clone()
    fold_in.weight.zero_()
    silent = exported.torch_scores([query])[0]
    fold_in.weight.copy_(weight)
    white, rows, columns = (
        each.double().numpy()
        for each in (
            fold_in.whitening,
            exported.graph.seeds(torch.tensor([seeds]), exported.graph.columns, None)[0],
            exported.graph.columns,
        )
    )
    rows, columns = rows[:, :DIMENSION], (1 - exported.graph.share) * columns[:DIMENSION]  # the first skeleton's
    solution = np.linalg.solve(np.linalg.inv(white @ white.T) + rows.T @ rows, rows.sum(0))
    added = float(weight[2]) * solution @ columns
    assert added.std() > 0.1
    for path, tolerance in ((exported.float_path, 1e-3), (exported.int8_path, 0.1)):
        ids, scores = exported.rank(path, [query], TRACKS)
        told = np.isfinite(scores[0])
        wanted = silent[ids[0][told]] + added[ids[0][told]]
        assert np.abs(scores[0][told] - wanted).max() < tolerance * max(1.0, added.std())


def test_rounded_rows_are_within_half_a_step() -> None:
    """Each row has its own scale, its largest number uses the whole range, and a row of zeros stays one."""
    table = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32) * np.logspace(-3, 3, 50)[:, None]
    table[7] = 0
    rows, scales = quantise_rows(table.astype(np.float32))
    assert np.abs(rows).max() == WEIGHT_LIMIT
    assert (np.abs(rows * scales - table) <= scales / 2 + 1e-9).all()
    assert not rows[7].any()


def _product(kind: str, table: NDArray[np.float32], **how: int) -> onnx.ModelProto:
    """Return a model of one product with a constant, ``y = x table`` or its like, and a bias where it takes one."""
    length, width = table.shape[:: -1 if how.get("transB") else 1]
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", size])
        for name, size in (("x", length), ("y", width))
    )
    constants = [onnx.numpy_helper.from_array(table, "table")]
    if kind == "Gemm":
        constants.append(onnx.numpy_helper.from_array(np.arange(width, dtype=np.float32), "bias"))
    node = onnx.helper.make_node(kind, ["x", *(constant.name for constant in constants)], ["y"], **how)  # type: ignore[arg-type]
    graph = onnx.helper.make_graph([node], "g", [x], [y], constants)
    return onnx.helper.make_model(graph, ir_version=9, opset_imports=[onnx.helper.make_opsetid("", 20)])


@pytest.mark.parametrize("rows, packed", [(2, False), (128, True)])
def test_a_catalogue_of_few_rows_stays_float(rows: int, packed: bool) -> None:
    """Popularity and bias of all tracks keep their digits; the tracks themselves are rounded."""
    table = np.random.default_rng(0).normal(size=(rows, 100_000)).astype(np.float32)
    constants = quantise(Model(_product("MatMul", table), {})).proto.graph.initializer
    assert {tensor.data_type == onnx.TensorProto.UINT8 for tensor in constants} == (
        {True, False} if packed else {False}
    )


@pytest.mark.parametrize("kind, how", [("MatMul", {}), ("Gemm", {}), ("Gemm", {"transB": 1})])
def test_products_of_integers_are_those_of_floats(kind: str, how: dict[str, int], tmp_path: Path) -> None:
    """To some hundredths of their spread, and each row as if it were alone, whatever its size."""
    rng = np.random.default_rng(0)
    model = _product(kind, rng.normal(size=(300, 500)).astype(np.float32), **how)
    rows = (
        rng.normal(size=(7, 500 if how else 300)).astype(np.float32) * np.logspace(-2, 4, 7, dtype=np.float32)[:, None]
    )
    quantise(Model(model, {})).write(tmp_path / "int8.onnx")
    exact, rounded = (
        onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"])
        for each in (model.SerializeToString(), str(tmp_path / "int8.onnx"))
    )
    wanted, got = (session.run(None, {"x": rows})[0] for session in (exact, rounded))
    bias = np.arange(wanted.shape[1]) if kind == "Gemm" else 0
    assert (np.abs(got - wanted).max(1) < 0.06 * (wanted - bias).std(1)).all()
    assert np.abs(got - wanted).mean() < 0.02 * np.abs(wanted - bias).mean()
    alone = np.concatenate([rounded.run(None, {"x": rows[i : i + 1]})[0] for i in range(len(rows))])
    assert (np.abs(alone - got).max(1) < 1e-5 * np.abs(wanted).max(1)).all()


_PROBE = """
import json, sys
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
inputs = {name: array for name, array in np.load(sys.argv[2]).items()}
ids, scores = session.run(None, inputs)
json.dump({"ids": ids.tolist(), "scores": scores.tolist()}, open(sys.argv[3], "w"))
"""


def test_a_cpu_without_vnni_ranks_the_same(exported: Exported, tmp_path: Path) -> None:
    """Under an emulated Haswell the bundle's graph returns the same tracks in the same places."""
    qemu = shutil.which("qemu-x86_64")
    if qemu is None:
        pytest.skip("qemu-x86_64 is not installed (Debian's package qemu-user), so no older CPU could be emulated.")
    queries = [*QUERIES, *(Query(seeds=(t,), title=f"mix {t}") for t in range(20))]
    inputs: dict[str, Any] = {**exported.inputs(queries), "k": np.array([100])}
    np.savez(tmp_path / "inputs.npz", **inputs)
    answers = {}
    for cpu, prefix in (("here", []), ("haswell", [qemu, "-cpu", "Haswell"])):
        answer = tmp_path / f"{cpu}.json"
        paths = [str(exported.int8_path), str(tmp_path / "inputs.npz"), str(answer)]
        subprocess.run([*prefix, sys.executable, "-c", _PROBE, *paths], check=True, capture_output=True, timeout=240)
        answers[cpu] = json.loads(answer.read_text())
    assert np.allclose(answers["here"]["scores"], answers["haswell"]["scores"], atol=1e-2)
    same = np.array(answers["here"]["ids"]) == np.array(answers["haswell"]["ids"])
    assert same.mean() > 0.99, f"Only {same.mean():.1%} of the places hold the same track."
