"""LightGCN: its maths against dense matrices and PyG, its losses by hand, and training that a kill does not change."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_geometric.nn.models
from torch import Tensor

from segue.errors import InputError
from train.full_ranking import by_vectors, full_ranking
from train.ials_start import ials_start
from train.interactions import Interactions, hold_out
from train.lightgcn import COLUMNS, LightGCN, normalised_adjacency, xavier_start
from train.lightgcn_training import Metrics, OnEpoch, Trainer, TrainingSettings, schedule
from train.losses import bpr, directed, sampled_softmax
from train.sampling import epoch_generator, triples, user_batches

SETTINGS = TrainingSettings(
    dimension=16,
    layers=2,
    start="xavier",
    loss="softmax",
    temperature=0.15,
    length=0.0,
    batch=16,
    negatives=20,
    edge_dropout=0.1,
    rate=0.02,
    warmup=5,
    regularisation=0.0,
    epochs=12,
    evaluate_every=2,
    patience=0,
    seed=3,
)
BY_LOSS = {"softmax": SETTINGS, "bpr": replace(SETTINGS, loss="bpr", batch=64, regularisation=1e-4)}


def planted(users: int = 60, items: int = 40, seed: int = 0) -> Interactions:
    """Users and items of two tastes: nine of ten edges stay within a taste (the parity of both numbers)."""
    rng = np.random.default_rng(seed)
    who, what = rng.integers(users, size=900), rng.integers(items // 2, size=900) * 2
    other = rng.random(900) < 0.1
    return Interactions.of(who, what + (who + other) % 2, users, items)


def random_graph() -> Interactions:
    rng = np.random.default_rng(1)
    return Interactions.of(rng.integers(7, size=30), rng.integers(9, size=30), 8, 10)


def trainer_of(
    graph: Interactions, settings: TrainingSettings, folder: Path, clock: Callable[[], float] = time.monotonic
) -> Trainer:
    """A trainer from a random start that keeps its checkpoints in ``folder``."""
    return Trainer(graph, settings, xavier_start(graph, settings.dimension, settings.seed), folder, clock)


def dense_adjacency(interactions: Interactions) -> np.ndarray:
    matrix = interactions.matrix().toarray()
    n, m = matrix.shape
    whole = np.block([[np.zeros((n, n)), matrix], [matrix.T, np.zeros((m, m))]])
    roots = np.sqrt(np.maximum(whole.sum(1), 1))
    return np.asarray(whole / roots[:, None] / roots)


def held_out_recall(rest: Interactions, held: Interactions, k: int = 10) -> "Evaluation":
    return Evaluation(rest, held, k)


class Evaluation:
    def __init__(self, rest: Interactions, held: Interactions, k: int) -> None:
        self.rest, self.held, self.k = rest, held, k

    def __call__(self, users: Tensor, items: Tensor) -> Metrics:
        return full_ranking(by_vectors(users, items), self.rest, self.held, self.k)


def test_adjacency_divides_each_edge_by_the_root_of_both_degrees() -> None:
    """A of the graph is the dense D^-1/2 (R over R^T) D^-1/2; a node without edges has an empty row."""
    graph = random_graph()
    np.testing.assert_allclose(normalised_adjacency(graph).to_dense().numpy(), dense_adjacency(graph), rtol=1e-6)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_vectors_are_the_mean_of_all_layers(layers: int) -> None:
    """E = (E0 + A E0 + … + A^L E0) / (L + 1), by dense matrices."""
    graph = random_graph()
    model = LightGCN(graph, layers, xavier_start(graph, 5, seed=0))
    start, adjacency = model.embedding.detach().numpy().astype(np.float64), dense_adjacency(graph)
    expected = sum(np.linalg.matrix_power(adjacency, layer) @ start for layer in range(layers + 1)) / (layers + 1)
    np.testing.assert_allclose(torch.cat(model()).detach().numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dimension", [6, 2 * COLUMNS + 8])
def test_vectors_and_gradient_agree_with_pytorch_geometric(dimension: int) -> None:
    """PyG's own LightGCN gives the same vectors, and the same gradient by autograd through its message passing."""
    graph = random_graph()
    model = LightGCN(graph, 3, xavier_start(graph, dimension, seed=0))
    other = torch_geometric.nn.models.LightGCN(18, dimension, 3)
    other.embedding.weight.data.copy_(model.embedding.data)
    users, items = torch.from_numpy(graph.users), torch.from_numpy(graph.items) + 8
    edges = torch.stack([torch.cat([users, items]), torch.cat([items, users])])
    weights = torch.randn(18, dimension)
    mine, theirs = torch.cat(model()), other.get_embedding(edges)
    torch.testing.assert_close(mine, theirs)
    (mine * weights).sum().backward()  # type: ignore[no-untyped-call]
    (theirs * weights).sum().backward()
    assert model.embedding.grad is not None
    torch.testing.assert_close(model.embedding.grad, other.embedding.weight.grad)


def test_edges_left_out_pass_nothing_either_way() -> None:
    """The vectors are those of a graph whose adjacency has zeros there and the others scaled up; the gradient too."""
    graph = random_graph()
    kept = torch.from_numpy(np.random.default_rng(4).random(len(graph)) > 0.4)
    thin = np.zeros((18, 18))
    full = dense_adjacency(graph)
    pairs = np.stack([graph.users, graph.items + 8])[:, kept.numpy()]
    thin[pairs[0], pairs[1]] = full[pairs[0], pairs[1]] * len(graph) / int(kept.sum())
    adjacency = torch.from_numpy(thin + thin.T)
    model = LightGCN(graph, 2, xavier_start(graph, 5, seed=0))
    start = model.embedding.detach().double().requires_grad_()
    expected = (start + adjacency @ start + adjacency @ (adjacency @ start)) / 3
    got = torch.cat(model(kept))
    torch.testing.assert_close(got.double(), expected, atol=1e-6, rtol=1e-5)
    (expected.square().sum() + got.double().square().sum()).backward()  # type: ignore[no-untyped-call]
    assert model.embedding.grad is not None
    assert start.grad is not None
    torch.testing.assert_close(model.embedding.grad.double(), start.grad, atol=1e-6, rtol=1e-5)


def test_bpr_by_hand() -> None:
    """-log sigmoid(2 - 1) for one pair."""
    loss = bpr(torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    assert loss.item() == pytest.approx(-np.log(1 / (1 + np.exp(-1.0))))


def test_sampled_softmax_by_hand() -> None:
    """Cosines over the temperature; an owned candidate does not count; the sum is scaled to the catalogue."""
    loss = sampled_softmax(
        users=torch.tensor([[3.0, 0.0]]),
        positives=torch.tensor([[1.0, 0.0], [0.0, 2.0]]),
        rows=torch.tensor([0, 0]),
        candidates=torch.tensor([[5.0, 0.0], [0.0, -4.0], [-1.0, 0.0], [0.0, 2.0]]),
        owned=(torch.tensor([0, 0]), torch.tensor([0, 3])),
        catalogue=8,
        temperature=0.5,
    )
    lacked = 8 / 4 * (np.exp(0.0) + np.exp(-2.0))  # cosines 0 and -1; the first and last are the user's own
    chances = [np.exp(score) / (np.exp(score) + lacked) for score in (2.0, 0.0)]
    assert loss.item() == pytest.approx(-np.mean(np.log(chances)), rel=1e-5)


def test_between_cosines_and_dot_products_lies_a_power_of_the_length() -> None:
    """A vector of length 4 to the power one half has length 2; directions stay; nothing stays nothing."""
    items = torch.tensor([[4.0, 0.0], [0.0, 9.0], [0.0, 0.0]])
    torch.testing.assert_close(directed(items, 0.5), torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]]))
    torch.testing.assert_close(directed(items, 1.0), items)
    torch.testing.assert_close(directed(items, 0.0), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))


def test_softmax_over_everything_counts_each_lacked_item_once() -> None:
    """With the whole catalogue as candidates the batch's owned pairs are exactly its edges."""
    graph = planted()
    for batch in user_batches(graph, 16, 40, epoch_generator(0, 0)):
        owned = torch.zeros(len(batch.users), 40)
        owned[batch.owned[0], batch.candidates[batch.owned[1]]] = 1
        np.testing.assert_array_equal(owned.numpy(), graph.matrix()[batch.users.numpy()].toarray())


def test_triples_pass_each_edge_once_with_an_item_that_the_user_lacks() -> None:
    """An epoch of BPR is the edges in another order; negatives are never edges."""
    graph = planted()
    parts = list(triples(graph, 50, epoch_generator(0, 0)))
    users, positives, negatives = (
        torch.cat([getattr(part, name) for part in parts]).numpy() for name in ("users", "positives", "negatives")
    )
    matrix = graph.matrix().toarray()
    assert sorted(zip(users, positives, strict=True)) == sorted(zip(graph.users, graph.items, strict=True))
    assert not matrix[users, negatives].any()


def test_user_batches_pass_each_edge_once() -> None:
    """An epoch of the softmax holds every edge, under the row of its user; users without edges are left out."""
    graph = random_graph()
    batches = list(user_batches(graph, 3, 4, epoch_generator(0, 0)))
    seen = [
        (int(u), int(i)) for b in batches for u, i in zip(b.users[b.rows].tolist(), b.positives.tolist(), strict=True)
    ]
    assert sorted(seen) == sorted(zip(graph.users.tolist(), graph.items.tolist(), strict=True))
    assert all(len(set(b.candidates.tolist())) == 4 for b in batches)


@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_both_losses_learn_a_planted_structure(loss: str, tmp_path: Path) -> None:
    """Held-out items of a user's own taste come first: recall is far above that of an untrained model."""
    rest, held = hold_out(planted(), 0.2, seed=0)
    evaluate = held_out_recall(rest, held)
    trainer = trainer_of(rest, BY_LOSS[loss], tmp_path)
    untrained = evaluate(*trainer.vectors())["recall"]
    trained = trainer.fit(evaluate, "recall").best
    users, items = trainer.vectors()
    own = (users @ items.T).reshape(60, 20, 2)  # (users, pairs, parity)
    prefers = own.mean(1).argmax(1).numpy()
    assert trained > untrained + 0.1
    assert (prefers == np.arange(60) % 2).mean() > 0.9


def test_a_start_from_ials_is_already_useful_and_the_same_each_time(tmp_path: Path) -> None:
    """Before any training its recall is above a random start's, and its vectors are equal byte for byte."""
    rest, held = hold_out(planted(), 0.2, seed=0)
    evaluate = held_out_recall(rest, held)
    starts = xavier_start(rest, 16, 3), *(ials_start(rest, 16, 3).nodes for _ in range(2))
    trainers = [Trainer(rest, SETTINGS, start, tmp_path) for start in starts]
    random, first, second = (evaluate(*trainer.vectors())["recall"] for trainer in trainers)
    assert first > random + 0.1
    assert first == second
    assert torch.equal(trainers[1].model.embedding, trainers[2].model.embedding)


def test_hold_out_takes_the_share_of_each_user_and_never_all() -> None:
    """A tenth of ten items is one; a user's only item stays."""
    graph = Interactions.of(np.array([0] * 10 + [1]), np.array([*range(10), 3]), 2, 10)
    rest, held = hold_out(graph, 0.1, seed=5)
    assert np.bincount(held.users, minlength=2).tolist() == [1, 0]
    assert len(rest) + len(held) == len(graph)


def test_full_ranking_by_hand() -> None:
    """Trained items are masked; recall is over all held-out items, NDCG against the best list of that length."""
    users = torch.tensor([[1.0], [1.0], [1.0]])
    items = torch.tensor([[9.0], [5.0], [4.0], [3.0], [2.0]])
    seen = Interactions.of(np.array([0, 1, 2]), np.array([0, 1, 0]), 3, 5)
    held = Interactions.of(np.array([0, 0, 0, 1]), np.array([1, 3, 4, 2]), 3, 5)
    figures = full_ranking(
        by_vectors(users, items), seen, held, k=2
    )  # user 0 sees 1, 2; user 1 sees 0, 2; user 2 holds nothing out
    discount = 1 / np.log2(3)
    assert figures["recall"] == pytest.approx((1 / 3 + 1) / 2)
    assert figures["ndcg"] == pytest.approx((1 / (1 + discount) + discount) / 2)


def test_training_stops_when_validation_no_longer_rises_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    """With figures that fall after the second look, training ends ``patience`` looks later with that look's vectors."""
    figures = iter([0.05, 0.1, 0.5, 0.4, 0.3, 0.9])
    looks: list[Tensor] = []

    def falling(users: Tensor, items: Tensor) -> Mapping[str, float]:
        looks.append(users.clone())
        return {"recall": next(figures)}

    trainer = trainer_of(planted(), replace(SETTINGS, epochs=100, patience=2), tmp_path)
    progress = trainer.fit(falling, "recall")
    assert (progress.epoch, progress.best_epoch, progress.best) == (8, 4, 0.5)
    torch.testing.assert_close(trainer.vectors()[0], looks[2])


def test_a_best_epoch_that_was_taken_away_is_said(tmp_path: Path) -> None:
    """Whoever removes its file, and not the checkpoint beside it, is told what to do."""
    trainer_of(planted(), SETTINGS, tmp_path).fit(lambda *_: {"recall": 0.5}, "recall")
    for file in tmp_path.glob("*-best.npy"):
        file.unlink()
    again = trainer_of(planted(), SETTINGS, tmp_path)
    with pytest.raises(InputError, match=r"best epoch cannot be read .*; remove .*\.pt and train again\.$"):
        again.fit(lambda *_: {"recall": 0.5}, "recall")


def test_schedule_rises_and_then_falls_to_a_fiftieth() -> None:
    """Warm-up reaches the full rate, and the last step still moves."""
    rates = [schedule(step, 100, warmup=10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1, abs=0.03)
    assert rates[100] == pytest.approx(0.02)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def train_in(folder: Path, loss: str, pause: float = 0) -> bytes:
    """Train in ``folder``, resuming what stands there, and return the bytes of the vectors and of the history."""
    torch.set_num_threads(1)
    rest, held = hold_out(planted(), 0.2, seed=0)
    trainer = trainer_of(rest, BY_LOSS[loss], folder, clock=lambda: 0.0)
    progress = trainer.fit(held_out_recall(rest, held), "recall", lambda epoch, _: time.sleep(pause * (epoch == 6)))
    return b"".join(part.numpy().tobytes() for part in trainer.vectors()) + json.dumps(progress.history).encode()


def wait_for_checkpoints(folders: list[Path], process: "subprocess.Popen[bytes]", seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not all(any(folder.glob("*.pt")) for folder in folders):
        assert time.monotonic() < deadline, f"none appeared in each of {folders}"
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.01)


_PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tests.train.test_lightgcn import BY_LOSS, train_in

for loss in BY_LOSS:
    (Path(sys.argv[1]) / loss).mkdir()
with ThreadPoolExecutor() as pool:
    list(pool.map(lambda loss: train_in(Path(sys.argv[1]) / loss, loss, pause=300), BY_LOSS))
"""


def test_a_killed_run_ends_with_the_bytes_of_one_that_was_not(tmp_path: Path) -> None:
    """kill -9 in the middle, start again: vectors and history are equal to the last byte, with both losses."""
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(tmp_path)], stderr=subprocess.DEVNULL)
    try:
        wait_for_checkpoints([tmp_path / loss for loss in BY_LOSS], process)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    for loss in BY_LOSS:
        (tmp_path / "whole" / loss).mkdir(parents=True)
        assert train_in(tmp_path / loss, loss) == train_in(tmp_path / "whole" / loss, loss)


def looks_at(epochs: list[int]) -> OnEpoch:
    """What notes the epochs that training tells of."""
    return lambda epoch, _: epochs.append(epoch)


def test_other_settings_or_data_begin_anew_beside_what_stands(tmp_path: Path) -> None:
    """A checkpoint is found only by the run that wrote it, and another run leaves it alone."""
    rest, held = hold_out(planted(), 0.2, seed=0)
    first = trainer_of(rest, SETTINGS, tmp_path)
    first.fit(held_out_recall(rest, held), "recall")
    stands = first.checkpoint.read_bytes()
    for graph, settings in ((rest, replace(SETTINGS, rate=0.5, epochs=2)), (planted(), SETTINGS)):
        looks: list[int] = []
        other = trainer_of(graph, settings, tmp_path)
        other.fit(held_out_recall(rest, held), "recall", looks_at(looks))
        assert looks[0] == 0
    again: list[int] = []
    trainer_of(rest, SETTINGS, tmp_path).fit(
        held_out_recall(rest, held), "recall", lambda epoch, _: again.append(epoch)
    )
    assert again == []
    assert first.checkpoint.read_bytes() == stands


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"loss": "hinge"}, r"loss is softmax or bpr, and not 'hinge'; set loss=softmax\.$"),
        ({"start": "zero"}, r"starts from ials or xavier, and not from 'zero'; set start=ials\.$"),
        ({"edge_dropout": 1.0}, r"edge_dropout is a chance below 1, and not 1\.0; set edge_dropout=0\.$"),
        ({"length": 1.5}, r"length is a power from 0 to 1, and not 1\.5; set length=0\.$"),
        ({"batch": 0}, r"batch must be above 0, and not 0\.$"),
        ({"temperature": -1.0}, r"temperature must be above 0, and not -1\.0\.$"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, object], sentence: str, tmp_path: Path) -> None:
    """The sentence names the setting and its value."""
    with pytest.raises(InputError, match=sentence):
        trainer_of(planted(), replace(SETTINGS, **change), tmp_path)  # type: ignore[arg-type]


def test_a_graph_without_edges_is_refused(tmp_path: Path) -> None:
    """There is nothing to learn, and the sentence says so."""
    empty = Interactions.of(np.empty(0, np.int64), np.empty(0, np.int64), 3, 4)
    with pytest.raises(InputError, match="no interaction to learn from"):
        trainer_of(empty, SETTINGS, tmp_path)


def test_without_epochs_and_layers_the_start_is_left_as_it_is(tmp_path: Path) -> None:
    graph = planted()
    trainer = trainer_of(graph, replace(SETTINGS, epochs=0, layers=0), tmp_path)
    trainer.fit(lambda *_: {"ndcg": 0.5}, "ndcg")
    assert torch.equal(torch.cat(trainer.vectors()), xavier_start(graph, SETTINGS.dimension, SETTINGS.seed))


@pytest.mark.parametrize(
    ("name", "settings"), [("epochs", replace(SETTINGS, epochs=-1)), ("layers", replace(SETTINGS, layers=-1))]
)
def test_fewer_than_none_are_refused(name: str, settings: TrainingSettings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"LightGCN's {name} must be 0 or more, and not -1"):
        trainer_of(planted(), settings, tmp_path)
