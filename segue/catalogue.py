"""The catalogue of a bundle: one read-only SQLite file from track ids to names, and from names back to ids.

SQLite because it comes with Python, is read page by page (the names of two million tracks need not be resident), and
brings full-text search. Words are told apart by `segue.text.words` alone, when writing and when searching: SQLite's
``ascii`` tokenizer only splits them, and needs no Unicode tables that could be other ones than Python's. Ids are dense
and ordered by falling popularity, so that search results come best first without a sort.

Names are found by their hashes in buckets, rows of a hundred tracks or so that take five bytes for each: an index of
SQLite's takes seventeen, and four of them were half of the file.
"""

import json
import re
import sqlite3
import threading
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segue.errors import BundleError
from segue.text import match_key, words
from segue.track import Track

_Kept = TypeVar("_Kept")
_SCHEMA = """
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY, uri ANY NOT NULL, title TEXT NOT NULL, artist INTEGER NOT NULL, album INTEGER NOT NULL
) STRICT;
CREATE TABLE artists (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE albums (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE buckets (id INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
CREATE VIEW named AS SELECT
    tracks.id, CASE typeof(uri) WHEN 'blob' THEN 'spotify:track:' || CAST(uri AS TEXT) ELSE uri END AS uri, title,
    artists.name AS artist, albums.name AS album
FROM tracks JOIN artists ON artists.id = tracks.artist JOIN albums ON albums.id = tracks.album;
CREATE VIRTUAL TABLE search USING fts5 (
    title, artist, content='', detail=none, columnsize=0, prefix='2 3', tokenize='ascii'
);
"""
_PREFIX = "spotify:track:"
"""What most URIs begin with is not stored: the rest stands as a blob."""
_BY_URI, _BY_NAME, _BY_TITLE, _BY_ARTIST = range(4)
_IN_A_BUCKET = 128
"""Tracks in the mean: the bucket's number and 16 bits more tell tracks apart, and a hit is checked by its text."""
_TAG = np.dtype("<u2")
# One row of JSON and not many: at each row Python's SQLite lets other threads run, and then has to wait for them.
_SELECT = "SELECT json_group_array(json_array({})) FROM (SELECT * FROM named WHERE {})"
# An object in each line: SQLite writes no line break inside of one. As `named`, which would read each album as well.
_SPELL = """
SELECT group_concat(json_object('track_name', title, 'artist_name', name, 'track_uri', uri), char(10)) FROM (
    SELECT title, name, CASE typeof(uri) WHEN 'blob' THEN 'spotify:track:' || CAST(uri AS TEXT) ELSE uri END AS uri
    FROM tracks JOIN artists ON artists.id = artist WHERE tracks.id IN ({}) ORDER BY tracks.id
)
"""
_TRACK = "id, uri, title, artist, album"
_MOST_VARIABLES = 500
_MOST_OF_ARTIST = 20
_MOST_KEPT = 20_000
_MOST_SPELLED = 100_000
"""Tracks that stay in memory, some 10 and 25 MB: lists of recommendations have many of theirs in common."""
_SIGNS = re.compile(r"[^0-9a-z\x80-\U0010ffff]+")  # what the ascii tokenizer splits at


def _hash(text: str) -> int:
    """Return 63 bits of BLAKE2b."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1


def _key_hash(title_key: str, artist_key: str) -> int:
    return _hash(f"{title_key}\n{artist_key}")


def write_catalogue(path: Path, tracks: Iterable[Track]) -> int:
    """Write the tracks, in the order of their ids (most popular first), to a new file; return how many there are.

    The same tracks give the same bytes with the same SQLite.
    """
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=4096;" + _SCHEMA)
        connection.execute("BEGIN")
        artists, albums = _Names(connection, "artists"), _Names(connection, "albums")
        hashes: tuple[array[int], ...] = tuple(array("q") for _ in range(4))
        count = 0
        for count, track in enumerate(tracks, start=1):
            _insert(connection, count - 1, track, artists.of(track.artist), albums.of(track.album))
            for kind, value in zip(hashes, _hashes(track), strict=True):
                kind.append(value)
        for number, kind in enumerate(hashes):
            connection.executemany("INSERT INTO buckets VALUES (?, ?)", _buckets(number, np.array(kind, np.int64)))
        connection.execute("INSERT INTO search (search) VALUES ('optimize')")
        connection.execute("COMMIT")
        connection.execute("VACUUM")
    finally:
        connection.close()
    return count


class _Names:
    """Numbers names, and writes each once."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._connection, self._insert = connection, f"INSERT INTO {table} VALUES (?, ?)"  # noqa: S608 - our own name
        self._numbers: dict[str, int] = {}

    def of(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._numbers)
            self._connection.execute(self._insert, (number, name))
        return number


def _insert(connection: sqlite3.Connection, number: int, track: Track, artist: int, album: int) -> None:
    short = track.uri.removeprefix(_PREFIX)
    uri = track.uri if short == track.uri else short.encode()
    connection.execute("INSERT INTO tracks VALUES (?, ?, ?, ?, ?)", (number, uri, track.title, artist, album))
    connection.execute(
        "INSERT INTO search (rowid, title, artist) VALUES (?, ?, ?)",
        (number, " ".join(words(track.title)), " ".join(words(track.artist))),
    )


def _hashes(track: Track) -> tuple[int, int, int, int]:
    """Return what a track is found by, in the order of `_BY_URI` and its like."""
    title, artist = match_key(track.title), match_key(track.artist)
    return _hash(track.uri), _key_hash(title, artist), _hash(title), _hash(artist)


def _buckets(kind: int, hashes: NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
    """Yield the rows of ``buckets`` for one kind of hash (N,): the tags of its tracks, and their ids in three bytes."""
    count = _bucket_count(len(hashes))
    bucket = hashes % count
    order = np.argsort(bucket, kind="stable")  # within a bucket by id
    tags = (hashes[order] >> 40).astype(_TAG)  # the lowest 16 bits of what is left
    ids = np.ascontiguousarray(order.astype("<u4")).view(np.uint8).reshape(-1, 4)[:, :3]
    start = 0
    for number, end in enumerate(np.cumsum(np.bincount(bucket, minlength=count)).tolist()):
        yield kind * count + number, tags[start:end].tobytes() + ids[start:end].tobytes()
        start = end


def _bucket_count(tracks: int) -> int:
    return max(1, tracks // _IN_A_BUCKET)


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _tagged(entries: bytes, tag: int) -> list[int]:
    """Return the ids of a bucket's tracks with a tag, rising; not by numpy, to which a hundred numbers are too few."""
    tags, wanted = len(entries) // 5 * 2, tag.to_bytes(2, "little")
    found, place = [], entries.find(wanted, 0, tags)
    while place >= 0:
        if place % 2 == 0:  # else it is half of one tag and half of the next
            start = tags + place // 2 * 3
            found.append(int.from_bytes(entries[start : start + 3], "little"))
        place = entries.find(wanted, place + 1, tags)
    return found


class Catalogue:
    """A bundle's tracks, read from disk as they are asked for. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Open the file that `write_catalogue` wrote.

        Raises:
            BundleError: The file is missing or is no catalogue.
        """
        self._path = path
        self._local = threading.local()
        self._kept: dict[int, Track] = {}
        self._spelled: dict[int, str] = {}
        try:
            rows = (
                self._connection()
                .execute("SELECT COALESCE(MAX(id) + 1, 0), (SELECT COUNT(*) FROM named WHERE id = 0) FROM tracks")
                .fetchone()
            )
        except sqlite3.Error as error:
            raise BundleError(f"The catalogue {path} cannot be read ({error}); fetch the bundle again.") from error
        self._size = int(rows[0])

    def __len__(self) -> int:
        return self._size

    def tracks(self, ids: Sequence[int]) -> list[Track]:
        """Return the tracks of the ids, in their order.

        Raises:
            IndexError: An id is not of this catalogue.
        """
        return self._through(ids, self._kept, _MOST_KEPT, lambda part: self._rows(f"id IN ({_marks(part)})", part))

    def spelled(self, ids: Sequence[int]) -> list[str]:
        """Return as `tracks`, each as a JSON object of ``track_name``, ``artist_name`` and ``track_uri``.

        SQLite writes them: a list of 500 takes half the time of making tracks of them first.

        Raises:
            IndexError: An id is not of this catalogue.
        """
        return self._through(ids, self._spelled, _MOST_SPELLED, self._spell)

    def _through(
        self,
        ids: Sequence[int],
        kept: dict[int, _Kept],
        most: int,
        read: Callable[[list[int]], list[tuple[int, _Kept]]],
    ) -> list[_Kept]:
        """Return what ``kept`` has of the ids and ``read`` finds of others, which is kept from now on."""
        at_once = [one for i in ids if (one := kept.get(i)) is not None]
        if len(at_once) == len(ids):
            return at_once
        wanted = [int(i) for i in ids]
        found = {i: one for i in wanted if (one := kept.get(i)) is not None}
        unread = sorted({i for i in wanted if i not in found})
        for start in range(0, len(unread), _MOST_VARIABLES):
            found.update(read(unread[start : start + _MOST_VARIABLES]))
        missing = next((i for i in unread if i not in found), None)
        if missing is not None:
            raise IndexError(f"The catalogue has {self._size} tracks and no track number {missing}.")
        if len(kept) + len(unread) > most:
            kept.clear()  # what is asked for often is soon read again
        if len(unread) <= most:
            kept.update((i, found[i]) for i in unread)
        return [found[i] for i in wanted]

    def _spell(self, ids: list[int]) -> list[tuple[int, str]]:
        inside = [i for i in ids if 0 <= i < self._size]  # ids are dense: there is a line for each
        answer = self._connection().execute(_SPELL.format(_marks(inside)), inside).fetchone()[0]
        return list(zip(inside, answer.split("\n"), strict=True)) if inside else []

    def find_uris(self, uris: Sequence[str]) -> list[int | None]:
        """Return the id of the track with each URI, or None, in their order; many at once are found sooner."""
        hits = self._hits(_BY_URI, {_hash(uri) for uri in uris})
        found = {track.uri: number for number, track in reversed(hits)}  # of two alike the first counts
        return [found.get(uri) for uri in uris]

    def find_name(self, title: str, artist: str = "") -> int | None:
        """Return the id of the most popular track of this name, or None.

        Names are compared by `segue.text.match_key`: forgiving of case, accents, "feat." and remasters. Without an
        artist the title alone decides.
        """
        return self.find_names([(title, artist)])[0]

    def find_names(self, names: Sequence[tuple[str, str]]) -> list[int | None]:
        """Return as `find_name` for each title and artist, in their order; many at once are found sooner."""
        key = {text: match_key(text) for text in {text for name in names for text in name}}
        wanted = {(key[title], key[artist]) for title, artist in names if artist}
        hits = self._hits(_BY_NAME, {_key_hash(*pair) for pair in wanted})
        by_name = {(match_key(track.title), match_key(track.artist)): number for number, track in reversed(hits)}
        by_title = {one: self._find_title(one) for one in {key[title] for title, artist in names if not artist}}
        return [by_name.get((key[title], key[artist])) if artist else by_title[key[title]] for title, artist in names]

    def _find_title(self, key: str) -> int | None:
        """Return the id of the most popular track whose title has this key, or None."""
        rows = self._hits(_BY_TITLE, {_hash(key)}, most=50)
        return next((number for number, track in rows if match_key(track.title) == key), None)

    def find_artists(self, artists: Sequence[str]) -> list[list[int]]:
        """Return the ids of each artist's tracks by falling popularity, 20 at most; forgiving of spelling."""
        keys = [match_key(artist) for artist in artists]
        found = {key: self._find_artist(key) for key in set(keys) - {""}}
        return [found.get(key, []) for key in keys]

    def _find_artist(self, key: str) -> list[int]:
        rows = self._hits(_BY_ARTIST, {_hash(key)}, most=_MOST_OF_ARTIST)
        return [number for number, track in rows if match_key(track.artist) == key]

    def search(self, text: str, limit: int = 20) -> list[tuple[int, Track]]:
        """Return tracks whose title and artist hold every word of ``text``, the last as a prefix, popular first."""
        wanted = [part for word in words(text) for part in _SIGNS.split(word) if part]
        if not wanted or limit < 1:
            return []
        expression = " ".join(f'"{word}"' for word in wanted) + "*"
        where = "id IN (SELECT rowid FROM search WHERE search MATCH ? ORDER BY rowid LIMIT ?) ORDER BY id"
        return self._rows(where, (expression, limit))

    def _rows(self, where: str, values: Sequence[object]) -> list[tuple[int, Track]]:
        """Return the tracks of a condition by falling popularity."""
        return [(number, Track(*names)) for number, *names in self._select(_TRACK, where, values)]

    def _hits(self, kind: int, hashes: Collection[int], most: int | None = None) -> list[tuple[int, Track]]:
        """Return tracks of one of ``hashes``, or a few others, by falling popularity; of each hash the first ``most``.

        It is one row that is read for each hash, and one for each track.
        """
        count = _bucket_count(self._size)
        wanted: dict[int, list[int]] = {}
        for value in hashes:
            wanted.setdefault(kind * count + value % count, []).append(value >> 40 & 0xFFFF)
        ids = {
            number
            for bucket, entries in self._entries(list(wanted))
            for tag in wanted[bucket]
            for number in _tagged(entries, tag)[:most]
        }
        found = sorted(ids)
        return list(zip(found, self.tracks(found), strict=True))

    def _entries(self, buckets: Sequence[int]) -> list[tuple[int, bytes]]:
        rows = []
        for start in range(0, len(buckets), _MOST_VARIABLES):
            part = buckets[start : start + _MOST_VARIABLES]
            query = f"SELECT id, entries FROM buckets WHERE id IN ({_marks(part)})"  # noqa: S608 - question marks
            rows += self._connection().execute(query, part).fetchall()
        return rows

    def _select(self, columns: str, where: str, values: Sequence[object]) -> list[list[Any]]:
        answer = self._connection().execute(_SELECT.format(columns, where), tuple(values)).fetchone()
        rows: list[list[Any]] = json.loads(answer[0])
        return sorted(rows)

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's own connection: SQLite connections are not for sharing."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            address = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(address, uri=True)
            self._local.connection = connection
        return connection
