"""All baselines, each fitted to the training playlists at the setting that is best on the validation playlists."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from evaluation.baselines.ease import MOST, EaseSetting, ease, ease_tracks
from evaluation.baselines.ials import IalsSetting, ImplicitALS
from evaluation.baselines.item_knn import ItemKNN, ItemSetting
from evaluation.baselines.nearest import Nearness, PlaylistKNN, TitleKNN
from evaluation.baselines.popularity import Popularity
from evaluation.dataset import Dataset
from evaluation.models import Model
from evaluation.queries import ask, sample_playlists
from evaluation.tuning import tune

Settings = Mapping[str, float]
MOST_ASKED = 200
"""Validation playlists that settings are tried on: enough to tell 1 % apart, few enough for a minute or two."""

# The first of each grid is, but for noise, the best of it on 8,057 real playlists with 211k tracks: docs/baselines.md.
ITEM_GRID = (ItemSetting(0.2, 0.5), ItemSetting(0.3, 0.5), ItemSetting(0.2, 0), ItemSetting(0.1, 0.5))
PLAYLIST_GRID = (Nearness(300, 2), Nearness(300, 1), Nearness(100, 2), Nearness(1000, 2))
TITLE_GRID = (Nearness(400, 2), Nearness(400, 1), Nearness(100, 2), Nearness(1000, 2))
EASE_GRID = (EaseSetting(2000), EaseSetting(5000), EaseSetting(1000), EaseSetting(300, 3))
IALS_GRID = (
    IalsSetting(alpha=100, penalty=0.01),
    IalsSetting(alpha=100, penalty=0.003),
    IalsSetting(alpha=100, penalty=0.03),
    IalsSetting(alpha=30, penalty=0.01),
    IalsSetting(alpha=30, penalty=0.03),  # best on 3,000 generated playlists with 8k tracks: .304, the first .262
)
_IALS_TRIAL = {"factors": 64, "iterations": 5}  # the order of the settings shows long before the last digit does


@dataclass(frozen=True, slots=True)
class Classics:
    """The baselines, ready to rank.

    Attributes:
        models: Name to model.
        settings: Name to the setting that was found for it; empty where there is nothing to set.
    """

    models: Mapping[str, Model]
    settings: Mapping[str, Settings]


def fit(dataset: Dataset, seed: int, ease_rows: int = MOST) -> Classics:
    """Tune and fit every baseline.

    Args:
        dataset: Its ``train`` playlists are learned from, its ``validation`` ones choose; the others are not read.
        seed: Draws validation playlists where there are many, and starts iALS.
        ease_rows: Most rows of the matrix that EASE inverts in the end; its settings are tried with no more than MOST.
    """
    learned, titles = dataset.matrix("train"), [playlist.name for playlist in dataset.playlists("train")]
    asked = ask(sample_playlists(dataset.playlists("validation"), MOST_ASKED, seed))
    seeded = [question for question in asked if question.seeds]
    titled = [question for question in asked if not question.seeds]

    item = tune("item-kNN", ITEM_GRID, lambda one: ItemKNN(learned, one, ""), seeded)
    playlist = tune("playlist-kNN", PLAYLIST_GRID, lambda one: PlaylistKNN(learned, one, ""), seeded)
    tried = min(ease_rows, MOST)
    ridge = tune("EASE", EASE_GRID, lambda one: ease(learned, one, "", tried), seeded)
    factors = tune("iALS", IALS_GRID, lambda one: ImplicitALS(learned, seed, one, label="", **_IALS_TRIAL), seeded)
    title = tune("title-kNN", TITLE_GRID, lambda one: TitleKNN(learned, titles, one, ""), titled)
    models: dict[str, Model] = {
        "popularity": Popularity(learned),
        "title_knn": TitleKNN(learned, titles, title),
        "item_knn": ItemKNN(learned, item),
        "playlist_knn": PlaylistKNN(learned, playlist),
        "ease": ease(learned, ridge, most=ease_rows),
        "ials": ImplicitALS(learned, seed, factors),
    }
    settings = {
        "popularity": {},
        "title_knn": asdict(title),
        "item_knn": asdict(item),
        "playlist_knn": asdict(playlist),
        "ease": asdict(ridge) | {"tracks": ease_tracks(learned, ease_rows)},
        "ials": asdict(factors),
    }
    return Classics(models, settings)
