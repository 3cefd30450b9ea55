"""The RecSys Challenge 2018: its incomplete playlists in, its submission format out.

The format (Zamani et al. 2019 and the challenge's own rules): a first line ``team_info,main,team name,e-mail``, then a
line for each playlist, ``pid, uri, … , uri`` with 500 distinct tracks, none of them a seed. Lines that are empty or
start with ``#`` do not count.
"""

import csv
import gzip
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.slices import read_json, text_of
from inference.ranker import Ranker
from segue.errors import InputError
from segue.files import write_whole
from segue.query import Query
from segue.track import track_words

LENGTH = 500
_BATCH = 512
_BREAKING = frozenset(',\r\n"')  # the format has no quoting


@dataclass(frozen=True, slots=True)
class Team:
    """Who submits, and to which track of the challenge: ``main`` or ``creative``."""

    track: str
    name: str
    email: str

    @property
    def line(self) -> str:
        """The first line of a submission.

        Raises:
            InputError: A part would break the line.
        """
        parts = ("team_info", self.track, self.name, self.email)
        if any(not part.strip() or set(part) & (_BREAKING | {"#"}) for part in parts):
            raise InputError(f"The team {parts[2:]} cannot be written: leave out commas, quotes, # and line breaks.")
        return ",".join(part.strip() for part in parts)


@dataclass(frozen=True, slots=True)
class Seed:
    """A track that a challenge playlist shows: its URI and names, each "" where it has none."""

    uri: str
    title: str
    artist: str


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A playlist of the challenge: its pid, its title or "", and what it shows of its tracks, in order."""

    pid: int
    name: str
    seeds: tuple[Seed, ...]


def read_challenge(file: Path) -> list[Incomplete]:
    """Return the playlists of a challenge set.

    Raises:
        InputError: The file cannot be read, or a playlist is not as the challenge has it; the sentence names it.
    """
    content = read_json(file)
    entries = content.get("playlists") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise InputError(f"The file {file} is no challenge set: it needs an object with a list named playlists.")
    playlists = [_incomplete(file, number, entry) for number, entry in enumerate(entries)]
    pids = [playlist.pid for playlist in playlists]
    if len(set(pids)) < len(pids):
        twice = next(pid for i, pid in enumerate(pids) if pid in pids[:i])
        raise InputError(f"The challenge set {file} has two playlists with pid {twice}; a pid has to be unique.")
    if not playlists:
        raise InputError(f"The challenge set {file} has no playlists; name a file that has some.")
    return playlists


def _incomplete(file: Path, number: int, entry: Any) -> Incomplete:
    pid = entry.get("pid") if isinstance(entry, dict) else None
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 0:
        raise InputError(
            f"Playlist number {number} of {file} has no whole number as its pid; every playlist needs one."
        )
    tracks = entry.get("tracks") or []
    if not isinstance(tracks, list) or not all(isinstance(track, dict) for track in tracks):
        raise InputError(f"The tracks of playlist {pid} in {file} are no list of objects; mend that playlist.")
    seeds = tuple(Seed(text_of(track, "track_uri"), text_of(track, "track_name"), text_of(track, "artist_name"))
                  for track in tracks)  # fmt: skip
    return Incomplete(pid, text_of(entry, "name"), seeds)


def submit(bundle: Path, challenge: Path, output: Path, team: Team) -> int:
    """Continue a challenge set's playlists with a bundle and write the submission, whole or not at all.

    Args:
        bundle: The bundle's folder.
        challenge: The challenge set.
        output: The submission; gzipped where its name ends in ``.gz``. The same inputs give the same bytes.
        team: Who submits.

    Returns:
        How many playlists were continued.

    Raises:
        BundleError: The bundle does not verify.
        InputError: The challenge set is damaged, or the catalogue has too few tracks for 500 that are no seeds.
    """
    first = team.line
    playlists = read_challenge(challenge)
    ranker = Ranker.open(bundle)
    lines = [first, *_lines(ranker, playlists)]
    data = ("\n".join(lines) + "\n").encode()
    write_whole(output, gzip.compress(data, mtime=0) if output.suffix == ".gz" else data)
    return len(playlists)


def _lines(ranker: Ranker, playlists: Sequence[Incomplete]) -> Iterator[str]:
    with tqdm(total=len(playlists), desc="continuing", unit="playlist", file=sys.stderr) as bar:
        for start in range(0, len(playlists), _BATCH):
            part = playlists[start : start + _BATCH]
            for playlist, uris in zip(part, _continue(ranker, part), strict=True):
                yield ", ".join([str(playlist.pid), *uris])
            bar.update(len(part))


def _continue(ranker: Ranker, playlists: Sequence[Incomplete]) -> list[list[str]]:
    ids, _ = ranker.rank([_query(ranker, playlist) for playlist in playlists], LENGTH)
    for playlist, row in zip(playlists, ids, strict=True):
        if (row < 0).any():
            raise InputError(
                f"The catalogue of {len(ranker.catalogue)} tracks has only {int((row >= 0).sum())} left for playlist "
                f"{playlist.pid} beside its own, and a submission needs {LENGTH}; use a bundle with more tracks."
            )
    uris = _uris(ranker, np.unique(ids).tolist())
    return [[uris[number] for number in row] for row in ids.tolist()]


def _uris(ranker: Ranker, ids: Sequence[int]) -> dict[int, str]:
    uris = {number: track.uri for number, track in zip(ids, ranker.catalogue.tracks(ids), strict=True)}
    if unfit := next((uri for uri in uris.values() if uri != uri.strip() or set(uri) & _BREAKING), None):
        raise InputError(f"The URI {unfit!r} cannot stand in a submission; use a bundle whose tracks have plain URIs.")
    return uris


def _query(ranker: Ranker, playlist: Incomplete) -> Query:
    """Return a playlist in the bundle's words: seeds by URI, else by name, else spelled out."""
    found = {seed: _find(ranker, seed) for seed in playlist.seeds}
    unknown = [track_words(seed.title, seed.artist) for seed, row in found.items() if row is None and seed.title]
    return ranker.query([row for row in found.values() if row is not None], playlist.name, unknown)


def _find(ranker: Ranker, seed: Seed) -> int | None:
    row = ranker.catalogue.find_uri(seed.uri) if seed.uri else None
    if row is None and seed.title and seed.artist:
        row = ranker.catalogue.find_name(seed.title, seed.artist)
    return row


def verify(challenge: Path, submission: Path) -> int:
    """Check a submission against the challenge's rules and return how many playlists it continues.

    Raises:
        InputError: A rule is broken; the sentence names the line.
    """
    wanted = {playlist.pid: {seed.uri for seed in playlist.seeds} for playlist in read_challenge(challenge)}
    rows = _rows(submission)
    number, first = next(rows, (1, [""]))
    if len(first) != 4 or first[0] != "team_info" or first[1] not in ("main", "creative") or not all(first):
        raise InputError(f"Line {number} of {submission} is not team_info,main,team name,e-mail; begin with that.")
    left = dict(wanted)
    for number, row in rows:
        pid = int(row[0]) if row[0].isdecimal() else None
        if pid is None or pid not in left:
            raise InputError(f"Line {number} of {submission} starts with {row[0]!r}, which is no pid still to answer.")
        _check_uris(f"Line {number} of {submission} (pid {pid})", row[1:], left.pop(pid))
    if left:
        raise InputError(f"The submission {submission} lacks {len(left)} playlists, the first with pid {min(left)}.")
    return len(wanted)


def _check_uris(line: str, uris: Sequence[str], seeds: set[str]) -> None:
    if len(uris) != LENGTH:
        raise InputError(f"{line} has {len(uris)} tracks; it needs {LENGTH}.")
    if len(set(uris)) != LENGTH or not all(uris):
        raise InputError(f"{line} repeats a track or leaves one empty; it needs {LENGTH} distinct ones.")
    if shared := sorted(seeds & set(uris)):
        raise InputError(f"{line} recommends its own seed {shared[0]}; seeds have to be left out.")


def _rows(submission: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        data = submission.read_bytes()
        text = (gzip.decompress(data) if submission.suffix == ".gz" else data).decode()
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"The submission {submission} cannot be read ({error}).") from error
    for number, row in enumerate(csv.reader(text.splitlines()), start=1):
        fields = [field.strip() for field in row]
        if any(fields) and not fields[0].startswith("#"):
            yield number, fields
