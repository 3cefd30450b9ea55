"""How much each track of a playlist counts: the last one whole, others by a power of what came after."""

from dataclasses import replace

import pytest
import torch

from tests.support.tiny_bert import tiny_encoder
from tests.support.tiny_ranker import tiny_ranker
from train.examples import UNORDERED, Playlists, validation, weighing
from train.recency import Recency
from train.skeleton import bucket_of

IN_ORDER = torch.ones(1)


@pytest.fixture
def recency() -> Recency:
    made = Recency()
    made.fade[bucket_of(torch.tensor([4]))] = 0.5
    return made


def test_all_are_as_loud_as_the_last_where_nothing_fades(recency: Recency) -> None:
    present = torch.tensor([[True, True, False], [False, False, False]])
    assert recency(present.sum(1), IN_ORDER, present).tolist() == [[1, 1, 0], [0, 0, 0]]


def test_the_earlier_the_quieter(recency: Recency) -> None:
    """Padding takes no place, wherever it stands."""
    present = torch.tensor([[True, True, False, True, True]])
    assert recency(present.sum(1), IN_ORDER, present).tolist() == [[1, 0.5, 0, 0.25, 0.125]]


def test_what_comes_apart_counts_its_own_places(recency: Recency) -> None:
    """Nobody knows whether a track that the catalogue lacks came before or after those that it has."""
    known, unknown = torch.tensor([[True, True]]), torch.tensor([[True, True]])
    assert recency(torch.tensor([4]), IN_ORDER, known, unknown).tolist() == [[1, 0.5, 1, 0.5]]


def test_without_an_order_none_is_earlier(recency: Recency) -> None:
    present = torch.ones(2, 4, dtype=torch.bool)
    assert recency(present.sum(1), torch.tensor([0, 1]), present).tolist() == [[1, 1, 1, 1], [1, 0.5, 0.25, 0.125]]


def test_a_faded_playlist_is_drawn_to_its_last_tracks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a fade of nearly nothing many tracks say what the last alone says, but for what their number changes."""
    model = tiny_ranker(tiny_encoder(tmp_path_factory.mktemp("bert")), 200, loud=False)
    seeds = torch.tensor([[1, 2, 3, 4]])
    asked = {"title_grams": torch.tensor([[-1]]), "prompt_tokens": torch.tensor([[0]]), "ordered": IN_ORDER}
    model.reads_language = False
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    model.recency.fade.fill_(1e-6)
    faded = model.playlists({**asked, "seeds": seeds}, nothing)
    alone = model.playlists({**asked, "seeds": seeds[:, :1]}, nothing[:, :1])
    assert torch.allclose(faded, alone, atol=1e-3)
    model.recency.fade.fill_(1.0)
    assert not torch.allclose(model.playlists({**asked, "seeds": seeds}, nothing), alone, atol=1e-3)


def test_weights_are_chosen_by_first_tracks_and_from_25_on_by_any() -> None:
    """Each example is followed by what it does not show, and draws are of the seed."""
    playlists = Playlists([torch.arange(60).numpy() + row for row in range(3)], ["a", "b", "c"], [""] * 99)
    examples, first = weighing(playlists), validation(playlists, (0, 1, 5, 10, 25, 50))
    assert {count: len(of) for count, of in examples.items()} == {0: 3, 1: 3, 5: 3, 10: 3, 25: 6, 50: 3, UNORDERED: 3}
    assert [example.query for example in examples[25][:3]] == [example.query for example in first[25]]
    for row, example in enumerate(examples[25][3:]):
        seeds = example.query.seeds
        assert len(seeds) == 25
        assert list(seeds) == sorted(seeds) != list(range(row, row + 25))
        assert {*seeds, *example.targets.tolist()} == set(range(row, row + 60))
    assert [replace(each.query, ordered=True) for each in examples[UNORDERED]] == [e.query for e in examples[25][3:]]
    assert not any(each.query.ordered for each in examples[UNORDERED])
    again, others = weighing(playlists)[25], weighing(playlists, seed=1)[25]
    assert [e.query for e in again] == [e.query for e in examples[25]] != [e.query for e in others]
