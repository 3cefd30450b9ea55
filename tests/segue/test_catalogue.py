"""The catalogue: a file from ids to names and back."""

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.catalogue import Catalogue, write_catalogue
from segue.errors import BundleError
from segue.track import Track

Make = Callable[[list[Track]], Catalogue]

NAMES = [
    Track("u:0", "Don't Stop Me Now - Remastered 2011", "Queen", "Jazz"),
    Track("u:1", "Halo", "Beyoncé", "I Am…"),
    Track("u:2", "Halo", "Other Singer"),
    Track("u:3", "हिन्दी गीत", "लता मंगेशकर"),
    Track("u:4", "夏の歌", "歌手"),
    Track("u:5", "🔥", "Emoji Band"),
    Track("u:6", "Work (feat. Drake)", "Rihanna"),
    Track("u:7", "99 Problems", "JAY-Z"),
    Track("u:8", "", ""),
]
text = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that writes tracks to a file and opens it."""

    def write(tracks: list[Track]) -> Catalogue:
        assert write_catalogue(tmp_path / "catalogue.sqlite", tracks) == len(tracks)
        return Catalogue(tmp_path / "catalogue.sqlite")

    return write


@pytest.fixture
def names(make: Make) -> Catalogue:
    """Return a catalogue of names as people and labels write them."""
    return make(NAMES)


def test_ids_are_the_order_of_writing(names: Catalogue) -> None:
    """Track number i is the i-th that was written, and any selection comes back in the order asked, repeats too."""
    assert len(names) == len(NAMES)
    assert names.tracks(range(len(NAMES))) == NAMES
    assert names.tracks([4, 0, 4]) == [NAMES[4], NAMES[0], NAMES[4]]
    assert names.tracks([]) == []


def test_uris_of_every_kind_come_back(make: Make) -> None:
    """With Spotify's beginning and without, and those that look as if it had been cut off."""
    uris = [
        "spotify:track:0aA",
        "0aA",
        "spotify:track:",
        "",
        "spotify:track:spotify:track:é",
        ":0aA",
        "spotify:local:0aA",
    ]
    tracks = [Track(uri, "Song", "Band") for uri in uris]
    catalogue = make(tracks)
    assert catalogue.tracks(range(len(uris))) == tracks
    assert [json.loads(line)["track_uri"] for line in catalogue.spelled(range(len(uris)))] == uris
    assert catalogue.find_uris(uris) == list(range(len(uris)))
    assert catalogue.find_uris(["spotify:track:0", "aA"]) == [None, None]


def test_everything_is_found_among_thousands(make: Make) -> None:
    """Each track by its URI, name, title and artist, of whom the most popular tracks come first."""
    tracks = [Track(f"spotify:track:{i:022d}", f"Song {i}", f"Band {i % 700}", f"Album {i % 90}") for i in range(5000)]
    catalogue = make(tracks)
    assert catalogue.tracks(range(5000)) == tracks
    assert catalogue.find_uris([track.uri for track in tracks]) == list(range(5000))
    assert catalogue.find_names([(track.title, track.artist) for track in tracks]) == list(range(5000))
    assert catalogue.find_names([(track.title, "") for track in tracks[::50]]) == list(range(0, 5000, 50))
    assert catalogue.find_names([("Song 1", "Band 2"), ("Song 5000", "")]) == [None, None]
    assert catalogue.find_artists(["band 3", "BAND 699", "Band 700"]) == [
        list(range(3, 5000, 700)), list(range(699, 5000, 700)), [],
    ]  # fmt: skip


@pytest.mark.parametrize("number", [-1, len(NAMES)])
def test_an_unknown_number_is_an_error_that_names_it(names: Catalogue, number: int) -> None:
    """An id of another catalogue does not come back as some other track."""
    with pytest.raises(IndexError, match=f"no track number {number}"):
        names.tracks([0, number])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds(Track, text, text, text), min_size=1, max_size=5))
def test_a_track_is_spelled_as_json(make: Make, tracks: list[Track]) -> None:
    """Whatever its names hold, in the order that is asked for, and when it is asked for again."""
    names = make(tracks)
    wanted = [*reversed(range(len(tracks))), 0]
    told = [tracks[i] for i in wanted]
    spelled = [{"track_name": t.title, "artist_name": t.artist, "track_uri": t.uri} for t in told]
    for _ in range(2):
        assert [json.loads(text) for text in names.spelled(wanted)] == spelled
    assert not any("\n" in text for text in names.spelled(wanted))


def test_what_is_not_there_cannot_be_spelled(names: Catalogue) -> None:
    """As for tracks, the error names the number."""
    assert names.spelled([]) == []
    with pytest.raises(IndexError, match="no track number 99"):
        names.spelled([0, 99])


def test_many_tracks_come_back_in_one_call(make: Make) -> None:
    """More ids than one SQL statement may hold."""
    tracks = [Track(f"u:{i}", f"Song {i}") for i in range(1200)]
    assert make(tracks).tracks(range(1199, -1, -1)) == tracks[::-1]


def test_a_uri_finds_its_track_and_nothing_else(names: Catalogue) -> None:
    """URIs are compared exactly."""
    assert [names.find_uris([track.uri])[0] for track in NAMES] == list(range(len(NAMES)))
    assert names.find_uris(["U:0"])[0] is None
    assert names.find_uris(["\ud800"])[0] is None


def test_many_uris_are_found_in_one_call(make: Make) -> None:
    """More than one SQL statement may hold, in the order asked, repeated and unknown ones too; twins are the first."""
    catalogue = make([Track(f"u:{i % 1100}", f"Song {i}") for i in range(1200)])
    asked = [*range(1099, -1, -1), 5, 5]
    assert catalogue.find_uris([f"u:{i}" for i in asked] + ["u:1100", ""]) == [*asked, None, None]
    assert catalogue.find_uris([]) == []


@pytest.mark.parametrize(
    "title, artist, expected",
    [
        ("dont stop me now", "queen", 0),
        ("don’t stop me now", "QUEEN", 0),
        ("HALO", "beyonce", 1),
        ("Halo - Remastered 2009", "Other singer", 2),
        ("Halo", "", 1),
        ("Halo", "Nobody", None),
        ("हिन्दी गीत", "", 3),
        ("🔥", "", 5),
        ("💔", "", None),
        ("work", "rihanna", 6),
        ("99 problems", "jay z", 7),
        ("\ud800", "\ud800", None),
    ],
)
def test_names_are_found_forgivingly(names: Catalogue, title: str, artist: str, expected: int | None) -> None:
    """Case, accents, punctuation, guests and remasters do not matter; without an artist the most popular wins."""
    assert names.find_name(title, artist) == expected


def test_many_names_are_found_as_one_by_one(names: Catalogue) -> None:
    """With and without their artists, repeated, unknown, and where an artist's name is nothing but a sign."""
    asked = [("Halo", ""), ("Halo", "other singer"), ("Halo", ""), ("Halo", " "), ("🔥", ""), ("", ""), ("No", "Queen")]
    assert names.find_names(asked) == [names.find_name(*one) for one in asked]
    assert names.find_names([]) == []


def test_artists_are_found_with_their_most_popular_tracks(make: Make) -> None:
    """Forgivingly, by falling popularity, twenty at most; nobody has no tracks, and neither has who has no name."""
    tracks = [Track(f"u:{i}", f"Song {i}", ("Beyoncé", "Queen", "")[i % 3]) for i in range(90)]
    found = make(tracks).find_artists(["beyonce", "QUEEN", "Nobody", "", "beyonce"])
    assert found == [list(range(0, 60, 3)), list(range(1, 60, 3)), [], [], list(range(0, 60, 3))]


@pytest.mark.parametrize(
    "asked, expected",
    [
        ("halo", [1, 2]),
        ("beyonce hal", [1]),
        ("HALO OTHER", [2]),
        ("don't st", [0]),
        ("don’t stop", [0]),
        ("remaster", [0]),
        ("dont stop", [0]),
        ("queen now", [0]),
        ("हिन्दी", [3]),
        ("लता", [3]),
        ("夏の歌", [4]),
        ("🔥", [5]),
        ("feat drake", [6]),
        ("jay-z 99", [7]),
        ("problems 99 jay", [7]),
        ("lo", []),
        ("", []),
        ("   ", []),
        ("!?*", []),
        ('" OR title:halo', []),
        ("halo*", [1, 2]),
        ("NOT halo", []),
    ],
)
def test_search_finds_every_word_the_last_as_a_prefix(names: Catalogue, asked: str, expected: list[int]) -> None:
    """Words may stand in title or artist, in any order and script; signs of the query language mean nothing."""
    assert [number for number, _ in names.search(asked)] == expected


def test_search_gives_the_most_popular_first(make: Make) -> None:
    """Ids fall with popularity, so the first of the limit are the best known."""
    catalogue = make([Track(f"u:{i}", "Same Song", f"Artist {i}") for i in range(50)])
    assert [number for number, _ in catalogue.search("same", limit=5)] == [0, 1, 2, 3, 4]
    assert catalogue.search("same", limit=0) == []
    assert catalogue.search("same", limit=-1) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds(Track, text, text, text, text), max_size=8, unique_by=lambda track: track.uri))
def test_any_text_makes_the_round_trip(make: Make, tracks: list[Track]) -> None:
    """Whatever the names hold, they come back unchanged, by id, by URI and, for the most popular, by name."""
    catalogue = make(tracks)
    assert catalogue.tracks(range(len(tracks))) == tracks
    assert [catalogue.find_uris([track.uri])[0] for track in tracks] == list(range(len(tracks)))
    for number, track in enumerate(tracks):
        found = catalogue.find_name(track.title, track.artist)
        assert found is not None
        assert found <= number


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=()), max_size=30))
def test_any_text_can_be_searched(names: Catalogue, asked: str) -> None:
    """No input is a syntax error, and none gives more than was asked for."""
    assert len(names.search(asked)) <= 20
    assert len(names.search(asked, limit=1)) <= 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text.filter(lambda title: any(letter.isalnum() for letter in title)))
def test_a_track_is_found_by_its_own_title(make: Make, title: str) -> None:
    """Any title with a letter or a digit of any script can be typed as it stands."""
    assert [number for number, _ in make([Track("u", title)]).search(title)] == [0]


def test_threads_share_a_catalogue(names: Catalogue) -> None:
    """Eight threads that read at once all get the right answers."""

    def read(number: int) -> tuple[list[Track], int | None, int]:
        track = NAMES[number % 8]
        return names.tracks([number % 8]), names.find_uris([track.uri])[0], len(names.search("halo"))

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(read, range(400)))
    assert results == [([NAMES[i % 8]], i % 8, 2) for i in range(400)]


def test_the_same_tracks_give_the_same_bytes(tmp_path: Path) -> None:
    """Two exports of one catalogue have one digest."""
    for name in ("one", "other"):
        write_catalogue(tmp_path / name, NAMES)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_an_earlier_file_is_replaced(tmp_path: Path) -> None:
    """Writing anew leaves nothing of what was there."""
    write_catalogue(tmp_path / "file", NAMES)
    write_catalogue(tmp_path / "file", NAMES[:2])
    assert Catalogue(tmp_path / "file").tracks([0, 1]) == NAMES[:2]
    assert len(Catalogue(tmp_path / "file")) == 2


def test_an_empty_catalogue_is_a_catalogue(make: Make) -> None:
    """Nothing is found in it, and nothing breaks."""
    empty = make([])
    assert len(empty) == 0
    assert empty.search("a") == []
    assert empty.find_name("a") is None


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 99])
def test_a_damaged_catalogue_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, empty or something else ends in a sentence that names it."""
    path = tmp_path / "catalogue.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError, match=r"catalogue\.sqlite cannot be read .* fetch the bundle again"):
        Catalogue(path)


def test_reading_leaves_no_trace(names: Catalogue, tmp_path: Path) -> None:
    """The file can stand on a read-only disk: no journal, no lock, no write."""
    before = (tmp_path / "catalogue.sqlite").read_bytes()
    names.search("halo")
    assert [file.name for file in tmp_path.iterdir()] == ["catalogue.sqlite"]
    assert (tmp_path / "catalogue.sqlite").read_bytes() == before
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        names._connection().execute("DELETE FROM tracks")
