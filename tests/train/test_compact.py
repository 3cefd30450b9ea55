"""The compact graph: tracks that share rows, and what a graph's large constants cost."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from segue.errors import InputError, SegueError
from segue.query import Query, encode
from tests.support.tiny_bert import tiny_encoder
from tests.support.tiny_ranker import tiny_encoding, tiny_ranker, tiny_reader
from train import constants
from train.compact import Compact, most_popular, shared_differences
from train.constants import Model
from train.graph import ServingGraph
from train.kin import numbered
from train.neighbours import NeighbourTable
from train.skeleton import CatalogueTensors

ALL = Compact(above=100, differences=1000, neighbour_rows=1000, neighbours=200)


def catalogue() -> CatalogueTensors:
    """Return nine tracks of four artists and five albums that are known; the last group of each kind is none."""
    return CatalogueTensors(
        artist=torch.tensor([0, 0, 1, 1, 2, 2, 3, 4, 0]),
        album=torch.tensor([0, 0, 1, 2, 3, 3, 4, 5, 0]),
        text=torch.zeros(9, 2),
        count=torch.tensor([1.0, 2, 9, 8, 1, 1, 0, 99, 0]),
        artists=5,
        albums=6,
    )


def test_groups_are_numbered_by_how_often_they_are_heard() -> None:
    """From 1 on; who is of an unknown one has 0, however often it is heard, and equal ones keep their order."""
    number, order = numbered(*catalogue().kinds[0], catalogue().count)
    assert (number.tolist(), number.dtype) == ([2, 2, 1, 1, 3, 3, 4, 0, 2], torch.int32)
    assert order.tolist() == [4, 1, 0, 2, 3]
    assert numbered(*catalogue().kinds[1], catalogue().count)[0].tolist() == [3, 3, 1, 2, 4, 4, 5, 0, 3]


def test_who_is_heard_most_has_rows_of_its_own(tmp_path: Path) -> None:
    """What a track is more as a seed is what its artist and its album give it; the rest of them share their mean."""
    ranker = tiny_ranker(tiny_encoder(tmp_path / "bert"))
    known = ranker.tracks.catalogue
    (artist, artists), (album, albums) = (numbered(*kind, known.count) for kind in known.kinds)
    whole, of_albums = shared_differences(ranker, 10_000)
    ids, cold = torch.arange(len(known.count)), known.count == 0
    with torch.no_grad():
        more = ranker.seeds(ids, cold) - ranker.candidates(ids, cold)[0][:, :-1]
    assert torch.allclose(whole[artist] + of_albums[album], more, atol=1e-6)
    assert (len(whole), len(of_albums)) == (len(artists), len(albums))
    few = shared_differences(ranker, 8)
    for own, every in zip(few, (whole, of_albums), strict=True):
        assert torch.equal(own[:3], every[:3])
        assert torch.allclose(own[3], every[3:].mean(0), atol=1e-6)
    assert [len(one) for one in shared_differences(ranker, 1)] == [1, 1]


def test_the_most_popular_tracks_keep_their_best_neighbours() -> None:
    """Rows stand in the order of the tracks that first have them; a track beyond them says nothing, and titles do."""
    table = NeighbourTable(
        row=np.array([2, 0, 2, 1], np.int32),
        ids=np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.int32),
        values=np.array([[3, 2, 1], [6, 5, 4], [9, 8, 7]], np.float32),
    )
    fewer = most_popular(table, tracks=4, rows=2, kept=2)
    assert fewer.ids[fewer.row].tolist() == [[7, 8], [1, 2], [7, 8], [0, 0]]
    assert fewer.values[fewer.row].tolist() == [[9, 8], [3, 2], [9, 8], [0, 0]]
    titled = most_popular(table, tracks=3, rows=1, kept=2)  # what is no track is an n-gram
    assert titled.ids[titled.row].tolist() == [[7, 8], [0, 0], [7, 8], [4, 5]]
    rising = NeighbourTable(np.array([2, 2, 1, 1, 1, 1, 0], np.int32), table.ids, table.values)
    short = most_popular(rising, tracks=6, rows=1, kept=2)  # the third track is silent, and so are all that follow
    assert short.ids[short.row].tolist() == [[7, 8], [7, 8], [0, 0], [1, 2]]
    whole = most_popular(table, tracks=4, rows=5, kept=5)
    assert (whole.ids[whole.row] == table.ids[table.row]).all()
    assert (whole.values[whole.row] == table.values[table.row]).all()


def test_a_row_that_is_cut_is_as_loud_as_before(tmp_path: Path) -> None:
    """What one track says is measured by fewer sums then; its first neighbours gain what they gained, and no more."""
    ranker = tiny_ranker(tiny_encoder(tmp_path / "bert"))
    whole = ranker.neighbourhood
    assert whole is not None
    whole.weight.fill_(1.0)
    fewer = ServingGraph(ranker, tiny_reader(tiny_encoder(tmp_path / "bert")), Compact(100, 9, 1000, 20)).neighbourhood
    assert fewer is not None
    one, before = torch.arange(100)[:, None], torch.zeros(100, 600)
    nobody, loud, case = one[:, :0], torch.ones(100, 1), torch.ones(100, dtype=torch.int64)
    gains = [each(before, one, loud, nobody, case) for each in (whole, fewer)]
    heard = (gains[0] > 0).any(1)
    ratio = gains[1][heard].max(1).values / gains[0][heard].max(1).values
    assert heard.sum() > 50
    assert ratio.median() == pytest.approx(1, abs=0.1)
    assert fewer.weight[1] < 0.8
    assert fewer.weight[4] == 1  # of five tracks the first twenty neighbours are as many as count


def test_with_room_for_all_a_compact_graph_ranks_as_the_whole_one(tmp_path: Path) -> None:
    """Each artist and album has its row then, and a track as a seed is what it was; with fewer rows it nearly is."""
    loaded = tiny_encoder(tmp_path / "bert")
    ranker = tiny_ranker(loaded)
    reader = tiny_reader(loaded)
    queries = [Query((3,)), Query((5, 60, 7, 590), "rock"), Query(title="mix"), Query((9,), unknown=("a by b",))]
    inputs = {name: torch.from_numpy(a) for name, a in encode(queries, tiny_encoding(loaded), loaded.tokenise).items()}
    few = Compact(above=100, differences=40, neighbour_rows=50, neighbours=20)
    with torch.no_grad():
        whole, same, above, fewer = (
            ServingGraph(ranker, reader, compact).eval()(**inputs)[0]
            for compact in (None, ALL, Compact(600, 1, 1, 1), few)
        )
        ranker.kin = None  # a compact graph has to know artists and albums all the same
        silent, same_silent = (ServingGraph(ranker, reader, each).eval()(**inputs)[0] for each in (None, ALL))
    assert torch.allclose(whole, same, atol=1e-4)
    assert torch.allclose(silent, same_silent, atol=1e-4)
    assert torch.equal(whole, above)  # a catalogue of no more tracks than it says
    assert not torch.allclose(whole, fewer, atol=1e-2)
    assert np.corrcoef(whole.ravel(), fewer.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("name", ["differences", "neighbour_rows", "neighbours"])
def test_a_size_of_nothing_is_refused(name: str) -> None:
    """The setting is named."""
    with pytest.raises(InputError, match=f"compact.{name} is 0 and has to be 1 or more"):
        Compact(**{"above": 0, "differences": 1, "neighbour_rows": 1, "neighbours": 1} | {name: 0})


def test_a_model_is_written_as_protobuf_would(tmp_path: Path) -> None:
    """Read back it is the same graph with the same numbers, and the places are those of its large constants."""
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["B", 300])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["B", 5])
    node = onnx.helper.make_node("MatMul", ["x", "large"], ["z"]), onnx.helper.make_node("Add", ["z", "small"], ["y"])
    model = Model(onnx.helper.make_model(onnx.helper.make_graph(node, "g", [x], [y])), {})
    large, small = np.arange(1500, dtype=np.float32).reshape(300, 5), np.arange(5, dtype=np.float32)
    model.add("large", large)
    model.add("small", small)
    places = model.write(tmp_path / "model.onnx")
    read = onnx.load(str(tmp_path / "model.onnx"))
    onnx.checker.check_model(read)
    assert [onnx.numpy_helper.to_array(t).tolist() for t in read.graph.initializer] == [large.tolist(), small.tolist()]
    assert [n.op_type for n in read.graph.node] == ["MatMul", "Add"]
    assert list(places) == ["large"]
    found = np.fromfile(tmp_path / "model.onnx", np.float32, 1500, offset=places["large"]["offset"])
    assert found.reshape(places["large"]["shape"]).tolist() == large.tolist()
    onnx.save(read, str(tmp_path / "beside.onnx"), save_as_external_data=True, location="data", size_threshold=100)
    outside = Model.read(tmp_path / "beside.onnx")
    assert outside.constants["large"].tolist() == large.tolist()
    outside.write(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()


def test_a_model_that_protobuf_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written."""
    monkeypatch.setattr(constants, "_MOST", 4000)
    model = Model(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])), {})
    model.add("large", np.zeros(1001, np.float32))
    with pytest.raises(SegueError, match=r"ONNX allows 2; export it as a compact one"):
        model.write(tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
