import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_processing.__main__ import main
from data_processing.dataset import Dataset
from data_processing.ingest import Options, ingest
from data_processing.readers.exportify import first_artist
from data_processing.readers.rows import delimiter
from segue.errors import InputError

ROWS = """playlist,position,track,artist,album
Köln bei Nacht,1,Zweites Lied,Die Band,Album
Köln bei Nacht,0,Erstes Lied,Die Band,Album
Summer,0,Third,Solo,
Köln bei Nacht,2,Drittes; Lied,"Band, Die",
Summer,1,Erstes Lied,Die Band,Album
"""


def playlists(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    """Return title and artist of each playlist's tracks, by its name."""
    names, table = dataset.playlists()["name"].to_pylist(), dataset.tracks()
    tracks = list(zip(table["title"].to_pylist(), table["artist"].to_pylist(), strict=True))
    starts, ids = dataset.sequences()
    return {name: [tracks[t] for t in ids[starts[i] : starts[i + 1]]] for i, name in enumerate(names)}


EXPECTED = {
    "Köln bei Nacht": [("Erstes Lied", "Die Band"), ("Zweites Lied", "Die Band"), ("Drittes; Lied", "Band, Die")],
    "Summer": [("Third", "Solo"), ("Erstes Lied", "Die Band")],
}


def other_delimiter(text: str, sign: str) -> str:
    plain = text.replace('"Band, Die"', "Band~ Die").replace("Drittes; Lied", "D")
    rows = [line.split(",") for line in plain.splitlines()]
    return "\n".join(sign.join(row) for row in rows).replace("~", ",")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("zipped", [False, True])
def test_csv_in_the_encodings_that_spreadsheets_write(tmp_path: Path, encoding: str, zipped: bool) -> None:
    """Rows of a playlist may stand apart and out of order; names with commas are quoted."""
    path = tmp_path / ("p.csv.gz" if zipped else "p.csv")
    data = ROWS.encode(encoding)
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert playlists(ingest([path], tmp_path / "out")) == EXPECTED


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_header(tmp_path: Path, sign: str) -> None:
    """European spreadsheets write semicolons, databases tabs."""
    text = other_delimiter(ROWS, sign) if sign != "," else ROWS
    (tmp_path / "p.csv").write_text(text)
    assert len(playlists(ingest([tmp_path / "p.csv"], tmp_path / "out"))["Köln bei Nacht"]) == 3
    assert delimiter(f'"a{sign}b"{sign}c') == sign


def test_latin_1_is_found_in_the_rows_that_it_damages(tmp_path: Path) -> None:
    """A file in Latin-1 loses only the rows whose bytes are no UTF-8, and they are counted."""
    text = "playlist,track,artist\nMix,Plain,A\nMix,Café,B\nMix,Also plain,C\n"
    (tmp_path / "p.csv").write_bytes(text.encode("latin-1"))
    dataset = ingest([tmp_path / "p.csv"], tmp_path / "out")
    assert playlists(dataset)["Mix"] == [("Plain", "A"), ("Also plain", "C")]
    report = json.loads((dataset.path / "validation.json").read_text())
    assert report["rejected"]["encoding_damage"]["count"] == 1


def many_rows(path: Path, line: int, text: str) -> Path:
    """Write 200 rows of 40 playlists, one of them another text."""
    rows = [f"{number // 5},Song {number},Artist {number}" for number in range(200)]
    rows[line - 2] = text
    path.write_text("\n".join(["playlist,track,artist", *rows, ""]))
    return path


@pytest.mark.parametrize("after", [None, '11,"Song, too",Artist', '11,"Song ""too""",Artist'])
@pytest.mark.parametrize("quoted", ['9,Heroes,"David Bowie', '9,"Heroes,David Bowie'])
def test_a_quote_that_nobody_closes_eats_no_rows(tmp_path: Path, quoted: str, after: str | None) -> None:
    """Neither to the end of the file nor to the next quote: the sentence names the line where it stands."""
    path = many_rows(tmp_path / "p.csv", 51, quoted)
    if after is not None:
        path.write_text(path.read_text().replace("11,Song 56,Artist 56", after))
    with pytest.raises(InputError, match=r"The row of .*p\.csv that begins in line 51 is no CSV .* stray quote"):
        ingest([path], tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "artist"),
    [
        ('9,Heroes,The "Thin White" Duke', 'The "Thin White" Duke'),
        ('9,Heroes,"The ""Thin White"" Duke"', 'The "Thin White" Duke'),
        ('9,Heroes,"Bowie, David"', "Bowie, David"),
        ('9,Heroes,"David\nBowie"', "David\nBowie"),
        ('9,Heroes,"Weird Al" Yankovic', "Weird Al Yankovic"),
        ('9,Heroes,"David \\"Bowie\\""', 'David \\Bowie\\""'),
    ],
)
def test_quotes_that_close_within_their_line_are_read(tmp_path: Path, text: str, artist: str) -> None:
    """As CSV has them, and as people write them; the rows after it are not touched."""
    dataset = ingest([many_rows(tmp_path / "p.csv", 51, text)], tmp_path / "out", Options(strict=True))
    assert dataset.counts["entries"] == 200
    assert artist in dataset.tracks()["artist"].to_pylist()


def test_columns_are_mapped_by_options(tmp_path: Path) -> None:
    """Any column names do; a name that is not there is told with those that are."""
    (tmp_path / "p.csv").write_text("list;song;who;at\n7;One;A;1\n7;Two;B;0\n")
    columns = "playlist=list,track=song,artist=who,position=at"
    out = str(tmp_path / "out")
    assert main(["ingest", str(tmp_path / "p.csv"), "--output", out, "--columns", columns]) == 0
    assert playlists(Dataset.open(tmp_path / "out")) == {"": [("Two", "B"), ("One", "A")]}
    with pytest.raises(InputError, match="no column 'nope'; its columns are list, song, who, at"):
        ingest([tmp_path / "p.csv"], tmp_path / "out", Options(columns={"playlist": "nope"}))
    with pytest.raises(SystemExit, match="2"):
        main(["ingest", "p.csv", "--output", out, "--columns", "playlists=x"])


def test_playlists_go_on_across_the_parts_of_a_table(tmp_path: Path) -> None:
    """Two files of one folder continue each other; two folders do not share identifiers."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part-1.csv").write_text("playlist_id,playlist_name,track,artist\n5,Mix,One,A\n")
        (tmp_path / folder / "part-2.csv").write_text("playlist_id,playlist_name,track,artist\n5,Mix,Two,A\n")
    dataset = ingest([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert dataset.playlists()["name"].to_pylist() == ["Mix", "Mix"]
    assert dataset.playlists()["tracks"].to_pylist() == [2, 2]
    assert sorted(dataset.manifest["sources"]) == ["2/part-1.csv", "2/part-2.csv", "part-1.csv", "part-2.csv"]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Numbers as identifiers, positions and even titles; nulls are nothing."""
    table = pa.table(
        {
            "pid": [1, 1, 1, 2, 2],
            "pos": [2, 0, 1, 0, 1],
            "track_name": ["Three", "One", "Two", "One", None],
            "artist_name": ["A", "A", "A", "A", None],
            "track_uri": [None, "made:1", "made:2", "made:1", "made:9"],
            "playlist_name": ["Mix", "Mix", "Mix", None, None],
        }
    )
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=2)
    dataset = ingest([tmp_path / "p.parquet"], tmp_path / "out")
    assert playlists(dataset) == {"Mix": [("One", "A"), ("Two", "A"), ("Three", "A")], "": [("One", "A"), ("", "")]}


def test_playlists_may_be_told_apart_by_any_type(tmp_path: Path) -> None:
    """Lists, which nothing can be looked up by, too; they are no titles."""
    table = pa.table({"playlist": [[1], [2], [1]], "track": ["a", "b", "c"], "artist": ["x", "x", "x"]})
    pq.write_table(table, tmp_path / "p.parquet")
    assert playlists(ingest([tmp_path / "p.parquet"], tmp_path / "out")) == {"": [("a", "x"), ("c", "x")]}


OLD = '"Spotify ID","Artist IDs","Track Name","Album Name","Artist Name(s)","Duration (ms)","Added At","Genres"\n'
NEW = '"Track URI","Track Name","Album Name","Artist Name(s)","Release Date","Duration (ms)","Added At","Genres"\n'
LONG = '"Track URI","Track Name","Artist URI(s)","Artist Name(s)","Album Name","Track Duration (ms)","Added At"\n'
ID = "4iV5W9uYEdYUVa79Axb7Rh"
OTHER = "7ouMYWpwJ422jRcDASZB7P"


@pytest.mark.parametrize(
    "text",
    [
        f'{OLD}"{ID}","x,y","Song","Album","Earth\\, Wind & Fire, Guest","1000","2020-01-01","soul"\n'
        f'"{OTHER}","z","Other","Album","Solo","2000","2020-01-01",""\n',
        f'{NEW}"spotify:track:{ID}","Song","Album","Earth, Wind & Fire;Guest","1979","1000","2020-01-01","soul"\n'
        f'"spotify:track:{OTHER}","Other","Album","Solo","1979","2000","2020-01-01",""\n',
        f'{LONG}"spotify:track:{ID}","Song","u, v","Earth\\, Wind & Fire, Guest","Album","1000","2020-01-01"\n'
        f'"https://open.spotify.com/track/{OTHER}?si=1","Other","w","Solo","Album","2000","2020-01-01"\n',
    ],
)
def test_exportify_in_its_old_and_new_shapes(tmp_path: Path, text: str) -> None:
    """The file's name is the playlist's; URIs are in one spelling; the first artist is the artist."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "road_trip_☀️.csv").write_text(text)
    (tmp_path / "in" / "second.csv").write_text(text)
    dataset = ingest([tmp_path / "in"], tmp_path / "out")
    tracks = [("Song", "Earth, Wind & Fire"), ("Other", "Solo")]
    assert playlists(dataset) == {"road trip ☀️": tracks, "second": tracks}
    assert set(dataset.tracks()["uri"].to_pylist()) == {f"spotify:track:{ID}", f"spotify:track:{OTHER}"}


@pytest.mark.parametrize(
    ("joined", "first"),
    [
        ("A", "A"),
        ("A, B", "A"),
        ("Up\\, Down, B", "Up, Down"),
        ("Up, Down;B", "Up, Down"),
    ],
)
def test_the_first_of_joined_artists(joined: str, first: str) -> None:
    """Commas inside a name are escaped in older files and free in those that join by semicolons."""
    assert first_artist(joined) == first


def test_jspf_with_one_identifier_or_several(tmp_path: Path) -> None:
    """Order is the position; trackNum is the place on an album and means nothing here; durations may be text."""
    jspf = {
        "playlist": {
            "title": "Später 🌙",
            "identifier": "https://example.org/playlist/1",
            "track": [
                {"title": "One", "creator": "A", "album": "L", "identifier": ["made:1", "made:1b"], "trackNum": 9},
                {"title": "Two", "creator": "B", "identifier": "made:2", "duration": "1000", "trackNum": 1},
                {"title": "Three", "creator": "C"},
                {"title": "Bad", "creator": "D", "duration": -1},
            ],
        }
    }
    (tmp_path / "p.jspf").write_text(json.dumps(jspf))
    dataset = ingest([tmp_path / "p.jspf"], tmp_path / "out")
    assert playlists(dataset) == {"Später 🌙": [("One", "A"), ("Two", "B"), ("Three", "C")]}
    assert dataset.playlists()["source_id"].to_pylist() == ["https://example.org/playlist/1"]


def test_several_formats_at_once(tmp_path: Path) -> None:
    """Each file is told from its content, and tracks meet by name across formats."""
    (tmp_path / "a.csv").write_text("playlist,track,artist\nMix,Erstes Lied,Die Band\nMix,Zwei,B\n")
    (tmp_path / "b.json").write_text(
        '{"playlist": {"title": "J", "track": ['
        '{"title": "erstes lied", "creator": "DIE BAND", "identifier": "m:1"}, {"title": "Zwei", "creator": "B"}]}}'
    )
    dataset = ingest([tmp_path / "a.csv", tmp_path / "b.json"], tmp_path / "out")
    assert dataset.counts["tracks"] == 2
    assert "m:1" in dataset.tracks()["uri"].to_pylist()


def test_lyrics_and_features_are_joined_by_uri_or_by_name(tmp_path: Path) -> None:
    """Lyrics keep their text; features keep genres and what is a number in every row."""
    rows = "playlist,track,artist,uri\nMix,One,A,spotify:track:x1\nMix,Two,B,\nMix,Three,C,m:3\n"
    (tmp_path / "p.csv").write_text(rows)
    words = 'track,artist,text\nONE,a,"la la\nla"\nTwo - Remastered 2011,B,oh\nNever,N,no\n'
    (tmp_path / "lyrics.csv").write_text(words)
    (tmp_path / "features.csv").write_text("track_id,tempo,genres,source\nx1,120.5,jazz,s\nm:3,,pop,t\nzz,1,rock,u\n")
    out = tmp_path / "out"
    options = Options(lyrics=tmp_path / "lyrics.csv", features=[tmp_path / "features.csv"])
    dataset = ingest([tmp_path / "p.csv"], out, options)
    title = dataset.tracks()["title"].to_pylist()
    lyrics, features = dataset.lyrics(), dataset.features()
    assert lyrics is not None
    assert features is not None
    assert {title[row["track"]]: row["text"] for row in lyrics.to_pylist()} == {"One": "la la\nla", "Two": "oh"}
    assert features.column_names == ["track", "tempo", "genres"]
    assert {title[r["track"]]: (r["tempo"], r["genres"]) for r in features.to_pylist()} == {
        "One": (120.5, "jazz"),
        "Three": (None, "pop"),
    }
    assert ingest([tmp_path / "p.csv"], out).lyrics() is None


ARTISTS = {
    "by name": "artist,genres,followers\n{a},\"['jazz', 'be bop']\",7\n{b},pop,\nA,rock,9\nnobody,ska,1\n",
    "by their URIs": "uri,genres,name,followers\n"
    "spotify:artist:1,\"['jazz', 'be bop']\",{a},7\nspotify:artist:2,pop,{b},\nspotify:artist:3,rock,A,9\n",
}


@pytest.mark.parametrize("table", ARTISTS.values(), ids=ARTISTS)
def test_features_of_artists_are_those_of_their_tracks(tmp_path: Path, table: str) -> None:
    """Case and accents aside, the first of two rows, and lists of names without their brackets."""
    rows = "playlist,track,artist,uri\nMix,One,A,spotify:track:x1\nMix,Two,Bé,\nMix,Three,a,m:3\nMix,Four,C,m:4\n"
    (tmp_path / "p.csv").write_text(rows)
    (tmp_path / "artists.csv").write_text(table.format(a="a", b="BE"))
    dataset = ingest([tmp_path / "p.csv"], tmp_path / "out", Options(features=[tmp_path / "artists.csv"]))
    title, features = dataset.tracks()["title"].to_pylist(), dataset.features()
    assert features is not None
    assert {title[r["track"]]: (r["genres"], r["followers"]) for r in features.to_pylist()} == {
        "One": ("jazz, be bop", 7),
        "Two": ("pop", None),
        "Three": ("jazz, be bop", 7),
    }


def test_a_row_of_a_track_comes_before_its_artists(tmp_path: Path) -> None:
    """A table may hold both."""
    (tmp_path / "p.csv").write_text("playlist,track,artist,uri\nMix,One,A,x:1\nMix,Two,A,x:2\n")
    (tmp_path / "both.csv").write_text("uri,name,genres\nspotify:artist:1,A,rock\nx:2,Two,ballad\n")
    dataset = ingest([tmp_path / "p.csv"], tmp_path / "out", Options(features=[tmp_path / "both.csv"]))
    features = dataset.features()
    assert features is not None
    assert dict(zip(dataset.tracks()["title"].to_pylist(), features["genres"].to_pylist(), strict=True)) == {
        "One": "rock",
        "Two": "ballad",
    }


def test_genres_as_lists_are_read_in_any_form(tmp_path: Path) -> None:
    """Parquet's own lists, JSON, and what only begins like a list."""
    (tmp_path / "p.csv").write_text("playlist,track,artist,uri\nM,One,A,x:1\nM,Two,B,x:2\nM,Three,C,x:3\n")
    table = pa.table({"uri": ["x:1", "x:2"], "genres": [["rock", "pop"], []]})
    pq.write_table(table, tmp_path / "lists.parquet")
    (tmp_path / "lists.csv").write_text('uri,genres\nx:1,"[""rock"", ""pop""]"\nx:2,[]\nx:3,[odd\n')
    expected = {"lists.parquet": ["rock, pop", ""], "lists.csv": ["rock, pop", "", "[odd"]}
    for name, genres in expected.items():
        dataset = ingest([tmp_path / "p.csv"], tmp_path / "out", Options(features=[tmp_path / name]))
        features = dataset.features()
        assert features is not None
        assert features["genres"].to_pylist() == genres


def test_several_tables_of_features_are_joined(tmp_path: Path) -> None:
    """A track has what each table knows of it; two columns of one name are refused: which would hold?"""
    (tmp_path / "p.csv").write_text("playlist,track,artist,uri\nM,One,A,x:1\nM,Two,B,x:2\nM,Three,C,x:3\n")
    (tmp_path / "numbers.csv").write_text("uri,tempo\nx:2,120\nx:1,90\n")
    (tmp_path / "artists.csv").write_text("artist,genres\nC,jazz\nA,rock\n")
    tables = [tmp_path / "numbers.csv", tmp_path / "artists.csv"]
    for order in (tables, tables[::-1]):
        dataset = ingest([tmp_path / "p.csv"], tmp_path / "out", Options(features=order))
        title, features = dataset.tracks()["title"].to_pylist(), dataset.features()
        assert features is not None
        assert features["track"].to_pylist() == sorted(features["track"].to_pylist())
        assert {title[row["track"]]: (row["tempo"], row["genres"]) for row in features.to_pylist()} == {
            "One": (90, "rock"),
            "Two": (120, ""),
            "Three": (None, "jazz"),
        }
    with pytest.raises(InputError, match=r"numbers\.csv has a column tempo, as another table of features has"):
        ingest([tmp_path / "p.csv"], tmp_path / "out", Options(features=[*tables, tables[0]]))


def test_a_table_of_features_with_a_header_in_latin_1(tmp_path: Path) -> None:
    """As spreadsheets write it: the column keeps its numbers, and its name as far as that is text."""
    (tmp_path / "p.csv").write_text("playlist,track,artist,uri\nM,One,A,x:1\nM,Two,B,x:2\n")
    (tmp_path / "f.csv").write_bytes("uri,énergie\nx:1,0.5\n".encode("latin-1"))
    features = ingest([tmp_path / "p.csv"], tmp_path / "out", Options(features=[tmp_path / "f.csv"])).features()
    assert features is not None
    assert features.column_names == ["track", "?nergie"]
    assert features["?nergie"].to_pylist() == [0.5]


def test_a_table_that_knows_no_track_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """URIs of artists without their names match nothing: whoever joined them should hear of it."""
    (tmp_path / "p.csv").write_text("playlist,track,artist,uri\nM,One,A,x:1\nM,Two,B,x:2\n")
    (tmp_path / "artists.csv").write_text("uri,genres\nspotify:artist:1,rock\n")
    paths = [str(tmp_path / "p.csv"), "--output", str(tmp_path / "out"), "--features", str(tmp_path / "artists.csv")]
    assert main(["ingest", *paths]) == 0
    told = capsys.readouterr()
    assert "joined: features of 0 of 2 tracks" in told.out
    assert "The table of features knows none of the tracks" in told.err
