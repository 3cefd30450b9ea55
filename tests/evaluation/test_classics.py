"""All baselines together, tuned and fitted from a dataset."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from evaluation import classics
from evaluation.dataset import Dataset, Playlist
from evaluation.measure import score
from evaluation.queries import Question, ask
from tests.evaluation.tiny_dataset import genre_playlists, write_dataset
from tests.support.tiny_bundle import tiny_tracks

NAMES = {"popularity", "title_knn", "item_knn", "playlist_knn", "ease", "ials"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("dataset")
    splits = ["train"] * 60 + ["validation"] * 30 + ["test"] * 30
    write_dataset(folder, tiny_tracks(150), genre_playlists(120, 150, length=20), splits)
    return Dataset.open(folder)


def test_each_knows_what_it_is_made_for(dataset: Dataset) -> None:
    """By seeds or by title every baseline beats popularity, and by the other alone it is popularity."""
    found = classics.fit(dataset, seed=0)
    assert set(found.models) == set(found.settings) == NAMES
    asked = ask(dataset.playlists("test"))
    seeded, titled = [one for one in asked if one.slice == "5"], [one for one in asked if one.slice == "title"]
    by_seeds, by_title = (_ndcg(found, questions) for questions in (seeded, titled))
    for name in ("item_knn", "playlist_knn", "ease", "ials"):
        assert by_seeds[name] > 1.3 * by_seeds["popularity"], name
        assert by_title[name] == by_title["popularity"], name
    assert by_title["title_knn"] > 1.3 * by_title["popularity"]


def _ndcg(found: classics.Classics, questions: list[Question]) -> dict[str, float]:
    return {
        name: float(score(one.rank(questions, 100), questions)["ndcg"].mean()) for name, one in found.models.items()
    }


def test_settings_are_of_the_grids_and_the_same_every_time(dataset: Dataset) -> None:
    """A report can name them, and whoever fits again finds them again."""
    one, two = classics.fit(dataset, seed=0), classics.fit(dataset, seed=0)
    assert one.settings == two.settings
    assert one.settings["popularity"] == {}
    assert {tuple(one.settings[name]) for name in NAMES} == {
        (), ("fame", "length"), ("neighbours", "power"), ("penalty", "share", "tracks"), ("alpha", "penalty"),
    }  # fmt: skip
    questions = ask(dataset.playlists("test"))[:40]
    for name in NAMES:
        assert np.array_equal(one.models[name].rank(questions, 50), two.models[name].rank(questions, 50)), name


def test_the_judging_playlists_are_not_tuned_on(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the training and validation sides of the split are read."""
    read: list[str] = []
    playlists, matrix = Dataset.playlists, Dataset.matrix

    def read_playlists(self: Dataset, split: str) -> list[Playlist]:
        read.append(split)
        return playlists(self, split)

    def read_matrix(self: Dataset, split: str) -> csr_matrix:
        read.append(split)
        return matrix(self, split)

    monkeypatch.setattr(Dataset, "playlists", read_playlists)
    monkeypatch.setattr(Dataset, "matrix", read_matrix)
    classics.fit(dataset, seed=0)
    assert set(read) == {"train", "validation"}


DOCS = Path(__file__).parents[2] / "docs" / "baselines.md"
GRIDS: dict[str, Any] = {
    "title_knn": classics.TITLE_GRID, "item_knn": classics.ITEM_GRID, "playlist_knn": classics.PLAYLIST_GRID,
    "ease": classics.EASE_GRID, "ials": classics.IALS_GRID,
}  # fmt: skip


@pytest.mark.parametrize("name", GRIDS)
def test_the_page_lists_what_is_tried(name: str) -> None:
    """Each baseline's row in docs/baselines.md has the names of its settings and the whole grid."""
    row = next(line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{name}` |"))
    settings = [asdict(setting) for setting in GRIDS[name]]
    assert all(f"`{field}`" in row for field in settings[0])
    assert f"| {' · '.join(' '.join(f'{value:g}' for value in one.values()) for one in settings)} |" in row


def test_ease_takes_as_many_tracks_as_it_has_rows_for(dataset: Dataset) -> None:
    """Sixty playlists are fewer than the tracks: all take part, or as many as there are rows for; a report says it."""
    assert classics.fit(dataset, seed=0).settings["ease"]["tracks"] == 150
    few = classics.fit(dataset, seed=0, ease_rows=40)
    assert few.settings["ease"]["tracks"] == 40
