"""What the stages read from a dataset, as the arrays that they train on."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data_processing.dataset import Dataset
from segue.errors import InputError
from segue.track import track_words
from train.examples import Playlists
from train.features import FEATURES, numeric_columns
from train.skeleton import CatalogueTensors


def playlists_of(dataset: Dataset, split: str, most: int | None = None) -> Playlists:
    """Return the playlists of one split with their titles, and the words of every track.

    Where the split has more than ``most``, as many of them are taken, evenly spread.
    """
    starts, ids = dataset.sequences()
    chosen = dataset.side(split)
    if most is not None and len(chosen) > most:
        chosen = chosen[np.linspace(0, len(chosen) - 1, most).astype(np.int64)]
    names = dataset.playlists(["name"])["name"].to_pylist()
    return Playlists(
        tracks=[ids[starts[row] : starts[row + 1]].astype(np.int64) for row in chosen],
        titles=[names[row] for row in chosen],
        words=words_of(dataset),
    )


def words_of(dataset: Dataset) -> list[str]:
    """Return the words of every track (`segue.track.track_words`)."""
    names = dataset.tracks(["title", "artist"])
    pairs = zip(names["title"].to_pylist(), names["artist"].to_pylist(), strict=True)
    return [track_words(title, artist) for title, artist in pairs]


def catalogue_of(dataset: Dataset, text: Path) -> CatalogueTensors:
    """Return the tracks' artists, albums, counts, text vectors and features (both from stage ``text``)."""
    columns = dataset.tracks(["artist_id", "album_id", "train_count"])
    names = ["words.npy", "context.npy", *([FEATURES] if _has_features(dataset, text) else [])]
    parts = [load_rows(text / name, len(columns), mapped=True) for name in names]
    artist, artists = _with_unknown(columns["artist_id"].to_numpy())
    album, albums = _with_unknown(columns["album_id"].to_numpy())
    return CatalogueTensors(
        artist=torch.from_numpy(artist),
        album=torch.from_numpy(album),
        text=torch.from_numpy(np.concatenate(parts, axis=1)),
        count=torch.from_numpy(columns["train_count"].to_numpy().astype(np.float32)),
        artists=artists,
        albums=albums,
        features=sum(each.shape[1] for each in parts[2:]),
    )


def _has_features(dataset: Dataset, text: Path) -> bool:
    """Return whether both the dataset and what stage ``text`` made of it have numeric features.

    Raises:
        InputError: One of them has; the other was made before or after.
    """
    names, kept = numeric_columns(dataset), (text / FEATURES).exists()
    if names and not kept:
        raise InputError(
            f"The dataset has numeric features ({', '.join(names)}), and {text} was made without them; run stage text "
            "again on this dataset."
        )
    if kept and not names:
        raise InputError(
            f"{text} was made with numeric features, and the dataset has none; run stage text again on this dataset."
        )
    return kept


def _with_unknown(ids: NDArray[np.int32]) -> tuple[NDArray[np.int64], int]:
    """Return ids with the unknown (-1) as one more at the end, and how many there are."""
    known = int(ids.max(initial=-1)) + 1
    return np.where(ids < 0, known, ids).astype(np.int64), known + 1


def load_rows(path: Path, rows: int, of: str = "tracks", mapped: bool = False) -> NDArray[np.float32]:
    """Return the array of an earlier stage, checked to have a row for each of what it is of.

    Args:
        path: Its file.
        rows: How many of them there are.
        of: What they are, for errors.
        mapped: Whether it stays in the file and is read as it is used.

    Raises:
        InputError: The file is missing, or was made from another dataset.
    """
    try:
        array: NDArray[np.float32] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The file {path} of an earlier stage cannot be read ({error}); run that stage again."
        ) from error
    if len(array) != rows:
        raise InputError(
            f"The file {path} has {len(array)} rows and the dataset {rows} {of}; run its stage again on this dataset."
        )
    return array
