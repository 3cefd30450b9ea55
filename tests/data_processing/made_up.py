"""Small made-up playlists, and writers of the formats that they come in."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def track(number: int, **other: Any) -> dict[str, Any]:
    """Return a made-up track in MPD's words."""
    fields = {
        "track_uri": f"made:track:{number}",
        "track_name": f"Song {number}",
        "artist_name": f"Artist {number % 5}",
        "album_name": f"Album {number % 7}",
        "duration_ms": 1000 * number,
    }
    return {**fields, **other}


def playlist(pid: int, tracks: Sequence[Any], name: str = "Mix", **other: Any) -> dict[str, Any]:
    """Return a playlist in MPD's words; a number stands for `track` of it."""
    full = [track(t) if isinstance(t, int) else t for t in tracks]
    placed = [{"pos": i, **t} if isinstance(t, dict) else t for i, t in enumerate(full)]
    return {"pid": pid, "name": name, "num_followers": 1, "tracks": placed, **other}


def write_slice(path: Path, playlists: Sequence[Any], **info: Any) -> Path:
    """Write an MPD slice, gzipped if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps({"info": {"version": "v1", **info}, "playlists": playlists}).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path
