"""A dataset small enough to reason about, written with pyarrow by the contract alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from segue.files import canonical_json, sha256_bytes, sha256_file
from segue.text import normalise_title
from segue.track import Track
from tests.support.tiny_bundle import GENRES


def write_dataset(
    path: Path,
    tracks: Sequence[Track],
    playlists: Sequence[tuple[str, Sequence[int]]],
    splits: Sequence[str],
    synthetic: bool = True,
    genres: Mapping[int, str] | None = None,
) -> str:
    """Write playlists (name, track numbers) with their splits, and genres by track; return the dataset's digest."""
    path.mkdir(parents=True, exist_ok=True)
    count = len(tracks)
    trained = [held for (_, held), split in zip(playlists, splits, strict=True) if split == "train"]
    train_count = np.bincount([t for held in trained for t in set(held)], minlength=count)
    artists = sorted({track.artist for track in tracks})
    _write(path, "tracks", {
        "track": _int(range(count)), "uri": [t.uri for t in tracks], "title": [t.title for t in tracks],
        "artist": [t.artist for t in tracks], "album": [t.album for t in tracks],
        "artist_id": _int(artists.index(t.artist) for t in tracks),
        "album_id": _int([-1] * count), "song": _int(range(count)), "train_count": _int(train_count),
    })  # fmt: skip
    numbers = range(len(playlists))
    _write(path, "playlists", {
        "playlist": _int(numbers), "source_id": [str(i) for i in numbers], "name": [name for name, _ in playlists],
        "title": [normalise_title(name) for name, _ in playlists], "followers": _int([-1] * len(playlists)),
        "tracks": _int([len(held) for _, held in playlists]),
    })  # fmt: skip
    entries = [(p, i, t) for p, (_, held) in enumerate(playlists) for i, t in enumerate(held)]
    columns = np.array(entries, np.int32).reshape(-1, 3).T
    _write(path, "entries", dict(zip(("playlist", "position", "track"), map(_int, columns), strict=True)))
    _write(path, "split", {"playlist": _int(numbers), "split": list(splits)})
    if genres is not None:
        _write(path, "features", {"track": _int(genres), "genres": list(genres.values()), "tempo": [1.5] * len(genres)})
    files = {file.name: {"sha256": sha256_file(file), "bytes": file.stat().st_size} for file in path.glob("*.parquet")}
    counts = {"playlists": len(playlists), "tracks": count, "entries": len(entries)}
    manifest = {"schema_version": 1, "synthetic": synthetic, "seed": 0, "counts": counts, "files": files, "sources": {}}
    (path / "manifest.json").write_bytes(canonical_json(manifest))
    return f"sha256:{sha256_bytes((path / 'manifest.json').read_bytes())}"


def genre_playlists(
    count: int, tracks: int, length: int = 12, seed: int = 0, titled: bool = True
) -> list[tuple[str, list[int]]]:
    """Return playlists of one genre each: what the tiny bundle continues perfectly and popularity cannot."""
    generator = np.random.default_rng(seed)
    made = []
    for i in range(count):
        genre = i % len(GENRES)
        own = np.arange(genre, tracks, len(GENRES))
        made.append((GENRES[genre] if titled else "", generator.permutation(own)[:length].tolist()))
    return made


def _int(values: Any) -> pa.Array:
    return pa.array(list(values), pa.int32())


def _write(path: Path, name: str, columns: Mapping[str, Any]) -> None:
    parquet.write_table(pa.table(dict(columns)), path / f"{name}.parquet")
