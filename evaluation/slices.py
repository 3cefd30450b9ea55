"""Playlists of Million Playlist Dataset slices, read as questions for a bundle that never saw them."""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evaluation.dataset import Playlist
from segue.errors import InputError
from segue.track import Track


def read_json(file: Path) -> Any:
    """Return the content of a JSON file, gzipped where its name ends in ``.gz``.

    Raises:
        InputError: The file cannot be read or is no JSON.
    """
    try:
        data = file.read_bytes()
        return json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)
    except OSError as error:
        raise InputError(f"The file {file} cannot be read ({error}); name a readable JSON file.") from error
    except (ValueError, EOFError, zlib.error, RecursionError) as error:
        raise InputError(f"The file {file} is no whole JSON file ({error}); fetch it again.") from error


def read_slices(paths: Sequence[Path]) -> tuple[list[Playlist], dict[int, Track], int]:
    """Read MPD slices (files, or folders of ``*.json`` and ``*.json.gz``).

    A track is its URI; entries without one are left out, and so are repetitions within a playlist.

    Returns:
        The playlists, numbered in reading order, with their track numbers; the tracks by number; how many entries
        were left out for want of a URI.

    Raises:
        InputError: A file cannot be read or holds no playlists.
    """
    numbers: dict[str, int] = {}
    tracks: dict[int, Track] = {}
    playlists: list[Playlist] = []
    left_out = 0
    for entry in _entries(paths):
        held = [track for track in entry.get("tracks") or [] if isinstance(track, dict)]
        identified = [track for track in held if text_of(track, "track_uri")]
        left_out += len(held) - len(identified)
        for track in identified:
            tracks.setdefault(numbers.setdefault(track["track_uri"], len(numbers)), _track(track))
        order = tuple(dict.fromkeys(numbers[track["track_uri"]] for track in identified))
        playlists.append(Playlist(len(playlists), text_of(entry, "name"), order))
    return playlists, tracks, left_out


def _entries(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for file in _files(paths):
        content = read_json(file)
        held = content.get("playlists") if isinstance(content, dict) else None
        if not isinstance(held, list) or not all(isinstance(entry, dict) for entry in held):
            raise InputError(f"The file {file} is no MPD slice: it needs an object with a list named playlists.")
        if not all(isinstance(entry.get("tracks") or [], list) for entry in held):
            raise InputError(f"The file {file} is no MPD slice: what its playlists name tracks has to be a list.")
        yield from held


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        inside = sorted([*path.glob("*.json"), *path.glob("*.json.gz")]) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"The folder {path} holds no *.json or *.json.gz file; name a folder of MPD slices.")
        files += inside
    return files


def _track(entry: dict[str, Any]) -> Track:
    return Track(*(text_of(entry, name) for name in ("track_uri", "track_name", "artist_name", "album_name")))


def text_of(entry: dict[str, Any], name: str) -> str:
    """Return a text of a JSON object, "" where it has none; half characters (lone surrogates) become ``?``."""
    value = entry.get(name)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
