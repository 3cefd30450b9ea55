"""The RecSys Challenge 2018: its incomplete playlists in, its submission format out.

The format (Zamani et al. 2019 and the challenge's own rules): a first line ``team_info,main,team name,e-mail``, then a
line for each playlist, ``pid, uri, … , uri`` with 500 distinct tracks, none of them a seed. Lines that are empty or
start with ``#`` do not count.
"""

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.slices import read_json, text_of
from inference.continuation import query_of
from inference.matching import Wanted, match_all
from inference.ranker import Ranker
from segue.cpu_limit import cpu_limit
from segue.errors import InputError
from segue.files import write_whole
from segue.query import Query

LENGTH = 500
_TOGETHER = 256  # playlists of like size among so many are ranked in one pass; more would leave a core without work
_LONGEST_PID = 40  # digits; Python makes no number of more than 4,300
_COMPRESSION = 6  # measured: level 9 takes three times as long as 6 and saves 1 % of the bytes
_NAMES = ("track_uri", "track_name", "artist_name")
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
class Incomplete:
    """A playlist of the challenge.

    Attributes:
        pid: Its id.
        name: Its title or "".
        seeds: What is shown of its tracks, in order.
        ordered: Whether these follow one another; false where their places say that they are any of its tracks.
    """

    pid: int
    name: str
    seeds: tuple[Wanted, ...]
    ordered: bool = True


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
    seeds = tuple(Wanted(*(text_of(track, name) for name in _NAMES)) for track in tracks)
    return Incomplete(pid, text_of(entry, "name"), seeds, _follow_one_another([track.get("pos") for track in tracks]))


def _follow_one_another(places: Sequence[Any]) -> bool:
    """Return whether places (``pos``, from 0) leave out less than a tenth of what lies between; unknown ones do.

    Who prepared the set may have dropped a track here and there, such as one without a URI.
    """
    known = [place for place in places if isinstance(place, int)]
    if len(known) < max(2, len(places)):
        return True
    span = max(known) - min(known) + 1
    return len(known) > 0.9 * span


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
    # A pass of one thread on each core does more than one pass on all of them, and leaves no core to Python alone.
    ranker = Ranker.open(bundle, threads=1)
    whole = io.BytesIO()
    packed = output.suffix == ".gz"
    with gzip.GzipFile("", "wb", _COMPRESSION, whole, mtime=0) if packed else nullcontext(whole) as file:
        file.write(f"{first}\n".encode())
        for lines in _continued(ranker, playlists):
            file.write(lines.encode())
    write_whole(output, whole.getvalue())
    return len(playlists)


def _continued(ranker: Ranker, playlists: Sequence[Incomplete]) -> Iterator[str]:
    """Yield the submission's lines, some playlists at a time and in their order."""
    parts = [playlists[start : start + _TOGETHER] for start in range(0, len(playlists), _TOGETHER)]
    continuing = _Continuing(ranker)
    with (
        ThreadPoolExecutor(max(1, round(cpu_limit())), "continuing") as pool,
        tqdm(total=len(playlists), desc="continuing", unit="playlist", file=sys.stderr) as bar,
    ):
        for part, lines in zip(parts, pool.map(continuing.lines, parts), strict=True):
            yield lines
            bar.update(len(part))


class _Continuing:
    """Continues playlists with a ranker; threads share one."""

    def __init__(self, ranker: Ranker) -> None:
        self._ranker = ranker
        self._uris: dict[int, str] = {}  # those written so far: the same tracks come back in most playlists

    def lines(self, playlists: Sequence[Incomplete]) -> str:
        """Return the lines of some playlists: pid and 500 URIs each."""
        ids, _ = self._ranker.rank(self._queries(playlists), LENGTH)
        for playlist, row in zip(playlists, ids, strict=True):
            if (row < 0).any():
                raise InputError(
                    f"The catalogue of {len(self._ranker.catalogue)} tracks has only {int((row >= 0).sum())} left for "
                    f"playlist {playlist.pid} beside its own, and a submission needs {LENGTH}; use a bundle with more "
                    "tracks."
                )
        self._read_uris([number for number in np.unique(ids).tolist() if number not in self._uris])
        return "".join(
            ", ".join([str(playlist.pid), *map(self._uris.__getitem__, row)]) + "\n"
            for playlist, row in zip(playlists, ids.tolist(), strict=True)
        )

    def _read_uris(self, ids: Sequence[int]) -> None:
        for number, track in zip(ids, self._ranker.catalogue.tracks(ids), strict=True):
            if track.uri != track.uri.strip() or set(track.uri) & _BREAKING:
                raise InputError(
                    f"The URI {track.uri!r} cannot stand in a submission; use a bundle whose tracks have plain URIs."
                )
            self._uris[number] = track.uri

    def _queries(self, playlists: Sequence[Incomplete]) -> list[Query]:
        """Return playlists in the bundle's words, as the service would."""
        shown, ordered = [one.seeds for one in playlists], [one.ordered for one in playlists]
        matched = match_all(self._ranker.catalogue, shown, ordered)
        return [
            query_of(self._ranker, one, playlist.name, playlist.ordered)
            for one, playlist in zip(matched, playlists, strict=True)
        ]


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
        pid = int(row[0]) if row[0].isdecimal() and len(row[0]) <= _LONGEST_PID else None
        if pid is None or pid not in left:
            shown = row[0][:_LONGEST_PID]
            raise InputError(f"Line {number} of {submission} starts with {shown!r}, which is no pid still to answer.")
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
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"The submission {submission} cannot be read ({error}); fetch or write it again.") from error
    number = 0
    try:
        for number, row in enumerate(csv.reader(text.splitlines()), start=1):
            fields = [field.strip() for field in row]
            if any(fields) and not fields[0].startswith("#"):
                yield number, fields
    except csv.Error as error:
        raise InputError(f"Line {number + 1} of {submission} is no list of URIs ({error}); write it again.") from error
