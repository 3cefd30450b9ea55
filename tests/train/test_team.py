"""Parts of a batch add up to the batch, and two processes agree on gradients, figures and the leader's word."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.query import Query
from train.candidates import CandidateSampler
from train.candidates import sampled_softmax as ranked
from train.examples import Example
from train.interactions import Interactions
from train.losses import sampled_softmax
from train.sampling import epoch_generator, triples, user_batches
from train.team import ALONE, Team

ROOT = Path(__file__).parents[2]
_MEMBER = """
import json, os, sys
import torch
import torch.distributed as dist
from torch import nn
from train.team import Team

dist.init_process_group("gloo", rank=int(sys.argv[1]), world_size=2)
team = Team.present()
dense, table, idle, mine = (nn.Parameter(torch.zeros(3, 2)) for _ in range(4))
dense.grad = torch.full((3, 2), 1.0 + team.rank)
if team.leads:
    table.grad = torch.sparse_coo_tensor(torch.tensor([[2, 0, 2]]), torch.ones(3, 2), (3, 2), check_invariants=True)
else:
    mine.grad = torch.ones(3, 2)
team.add_gradients([dense, table, idle, mine])
start = torch.full((2,), float(team.rank))
team.follow([start])
team.wait()
print(json.dumps({
    "dense": dense.grad.tolist(), "table": table.grad.to_dense().tolist(), "sparse": table.grad.is_sparse,
    "idle": idle.grad, "mine": mine.grad.tolist(), "follow": start.tolist(),
    "add": team.add([1.0, team.rank]), "agree": team.agree(f"rank {team.rank}"),
    "mean": team.mean(torch.arange(3.0).numpy() if team.leads else torch.empty(0).numpy()),
}))
"""


@pytest.fixture(scope="module")
def members() -> list[dict[str, object]]:
    """What the two members of a team came to, each in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _MEMBER, str(rank)], env={**os.environ, **own}, stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    return [json.loads(process.communicate(timeout=120)[0]) for process in running]


def test_gradients_are_sums_over_the_team(members: list[dict[str, object]]) -> None:
    """Dense ones, those of tables by their rows, and those that only one member has; who has none keeps none."""
    for member in members:
        assert member["dense"] == [[3.0, 3.0]] * 3
        assert member["table"] == [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]
        assert member["sparse"] is True
        assert member["mine"] == [[1.0, 1.0]] * 3
        assert member["idle"] is None


def test_all_go_by_the_leaders_word_and_by_sums(members: list[dict[str, object]]) -> None:
    """Even where one member has nothing to measure."""
    for member in members:
        assert member["agree"] == "rank 0"
        assert member["follow"] == [0.0, 0.0]
        assert member["add"] == [2.0, 1.0]
        assert member["mean"] == 1.0


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1024])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_every_example_is_one_workers(size: int, count: int) -> None:
    """In order, and nobody has two more than another."""
    parts = [list(range(count))[Team(rank, size).part(count)] for rank in range(size)]
    assert [number for part in parts for number in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_worker_talks_to_nobody() -> None:
    """No process group stands here, so any word to it would fail."""
    parameter = torch.nn.Parameter(torch.zeros(2))
    ALONE.add_gradients([parameter])
    ALONE.follow([parameter])
    ALONE.wait()
    assert ALONE.leads
    assert ALONE.mark == ""
    assert ALONE.agree("word") == "word"
    assert ALONE.add([0.1]) == [0.1]


def graph() -> Interactions:
    rng = np.random.default_rng(1)
    return Interactions.of(rng.integers(7, size=30), rng.integers(9, size=30), 8, 10)


@pytest.mark.parametrize("size", [2, 3])
def test_parts_of_a_softmax_batch_add_up_to_it(size: int) -> None:
    """Weighed by their edges, the losses of the parts are the loss of the batch."""
    users, items = torch.randn(8, 4, dtype=torch.float64), torch.randn(10, 4, dtype=torch.float64)
    for batch in user_batches(graph(), 5, 6, epoch_generator(0, 0)):
        parts = [batch.part(Team(rank, size).part(len(batch.users))) for rank in range(size)]
        losses = [
            sampled_softmax(
                users[each.users], items[each.positives], each.rows, items[each.candidates], each.owned, 10, 0.3
            )
            * (len(each.positives) / len(batch.positives))
            for each in (batch, *(part for part in parts if len(part.users)))
        ]
        torch.testing.assert_close(torch.stack(losses[1:]).sum(), losses[0])


def test_parts_of_pairs_are_the_pairs() -> None:
    """In the same order, each with its own positive and negative."""
    for batch in triples(graph(), 7, epoch_generator(0, 0)):
        parts = [batch.part(Team(rank, 3).part(len(batch.users))) for rank in range(3)]
        for name in ("users", "positives", "negatives"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))


@pytest.mark.parametrize("size", [2, 3])
def test_parts_of_a_rankers_batch_add_up_to_it(size: int) -> None:
    """Targets and seeds stay with their examples."""
    rng = np.random.default_rng(0)
    lists = [rng.permutation(40)[:6] for _ in range(7)]
    examples = [Example(Query(tuple(each[:2].tolist()), "", (), ()), each[2:]) for each in lists]
    candidates = CandidateSampler(np.ones(40), 20, 15, 0.5).draw(examples, rng)
    logits = torch.from_numpy(rng.normal(size=(7, len(candidates.ids))))
    parts = [Team(rank, size).part(7) for rank in range(size)]
    losses = [ranked(logits[part], candidates.part(part)) * ((part.stop - part.start) / 7) for part in parts]
    torch.testing.assert_close(torch.stack(losses).sum(), ranked(logits, candidates))
