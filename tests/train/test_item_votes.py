"""Item-kNN by powers agrees with dense matrices, and what it cannot tell is 0."""

import numpy as np
import pytest

from segue.errors import InputError
from tests.train.test_lightgcn import random_graph
from train.interactions import Interactions
from train.item_votes import ItemVotes, VoteSettings


def dense(graph: Interactions, settings: VoteSettings) -> np.ndarray:
    """The formula, with every matrix written out."""
    held = graph.matrix().toarray().astype(np.float64)
    lengths, counts = np.maximum(held.sum(1), 1), np.maximum(held.sum(0), 1)
    alike = held.T @ (held / lengths[:, None] ** settings.user_power)
    votes = (held / counts**settings.owned_power) @ alike / counts**settings.ranked_power
    votes /= np.maximum(np.linalg.norm(votes, axis=1, keepdims=True), 1e-12)
    even = held / np.sqrt(lengths)[:, None] / np.sqrt(counts)
    again = votes @ even.T @ even
    again /= np.maximum(np.linalg.norm(again, axis=1, keepdims=True), 1e-12)
    return np.asarray(votes - settings.sharpen * again)


@pytest.mark.parametrize("settings", [VoteSettings(0.8, 0.6, 0.3, 0.0), VoteSettings(1.0, 0.5, 0.7, 0.3)])
def test_votes_agree_with_dense_matrices(settings: VoteSettings) -> None:
    """Of any users in any order, with and without sharpening."""
    graph = random_graph()
    users = np.array([3, 0, graph.n_users - 1])
    found = ItemVotes(graph, settings).scores(users)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, dense(graph, settings)[users], rtol=1e-5, atol=1e-6)


def test_a_user_without_items_is_told_nothing() -> None:
    """All is 0 then, and nothing is divided by it."""
    graph = Interactions.of(np.array([0, 0, 1]), np.array([0, 1, 1]), 3, 4)
    with np.errstate(all="raise"):
        scores = ItemVotes(graph, VoteSettings(0.8, 0.6, 0.3, 0.2)).scores(np.arange(3))
    assert not scores[2].any()
    assert not scores[:, 2:].any()  # nobody has these
    assert scores[:2, :2].all()


@pytest.mark.parametrize("wrong", [{"user_power": -0.1}, {"owned_power": 2.5}, {"ranked_power": 3}, {"sharpen": 1.5}])
def test_settings_without_sense_are_refused(wrong: dict[str, float]) -> None:
    """The sentence names the setting."""
    settings = VoteSettings(**{"user_power": 1, "owned_power": 0.5, "ranked_power": 0.5, "sharpen": 0, **wrong})
    with pytest.raises(InputError, match=next(iter(wrong))):
        ItemVotes(random_graph(), settings)
