"""The scan of the catalogue: bit for bit what plain numpy works out, and nothing it is given is trusted."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.scan import Floats, Ids, Kin, Neighbours, Scan, Table, library
from inference.tiles import Tiles
from segue.errors import BundleError

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler was there when the package was installed")

NOBODY, SILENCE = np.array([-1]), np.zeros((3, 1), np.float32)


def random_table(
    tracks: int, length: int, seed: int = 0, rows: int = 9, kept: int = 30, listed: int | None = None
) -> Table:
    """Return a table of random numbers, with neighbours, artists and albums; three speakers are no tracks."""
    draw = np.random.default_rng(seed)
    said = -np.sort(-draw.integers(0, 128, (rows, kept), dtype=np.int8), axis=1)
    neighbours = Neighbours(
        draw.integers(0, rows, tracks if listed is None else listed, dtype=np.int32),
        draw.integers(0, rows, 3, dtype=np.int32),
        draw.integers(0, tracks, (rows, kept), dtype=np.int32),
        said,
        draw.random((rows, 1), np.float32) * np.float32(0.01),
        leaders=7,
    )
    return Table(
        Tiles.of(draw.integers(1, 256, (tracks, length), dtype=np.uint8)),
        draw.random(tracks, np.float32) * np.float32(0.01),
        draw.random((2, tracks), np.float32),
        neighbours,
        *(Kin.among(draw.integers(0, 1 + tracks // size, tracks, np.int32)) for size in (20, 5)),
    )


def rows_of(table: Table) -> NDArray[np.uint8]:
    """Return the vectors of a table's tracks."""
    return table.vectors.rows(np.arange(len(table.vectors)))


@dataclass
class Wanted:
    """A playlist, and what numpy says of it."""

    vector: Floats
    weights: Floats
    heard: Ids
    loudness: Floats
    own: Ids

    @classmethod
    def random(cls, table: Table, seed: int = 1) -> "Wanted":
        """Return a playlist of a table's catalogue."""
        draw = np.random.default_rng(seed)
        tracks, length = len(table.vectors), table.vectors.length
        own = draw.integers(-1, tracks, 6)
        weights = draw.random(5, np.float32)
        heard = np.concatenate([own, draw.integers(tracks, size=1), draw.integers(tracks, tracks + 3, 2)])
        loudness = draw.random((3, len(heard)), np.float32)
        loudness[0, :2] = 0  # nothing but their artists and albums
        return cls(draw.standard_normal((length,), np.float32), weights, heard, loudness, own)

    def scores(self, table: Table) -> NDArray[np.float32]:
        """Return the scores of all tracks by numpy, in the order of operations that the library promises."""
        unit = np.float32(np.max(np.abs(self.vector)) / np.float32(127))
        rounded = np.asarray(np.rint(self.vector * (np.float32(1) / unit)), np.int64)
        products = ((rows_of(table).astype(np.int64) - 128) @ rounded).astype(np.float32)
        prior = self.weights[0] * table.prior[0] + table.prior[1]
        scores: NDArray[np.float32] = products * (unit * table.scale) + prior
        scores += self.gains(table)
        scores[self.own[self.own >= 0]] = -np.inf
        return scores

    def gains(self, table: Table) -> NDArray[np.float32]:
        """Return what neighbours add to each track's score, of tracks and of other speakers, and artists and albums."""
        tracks = len(table.vectors)
        gained = self._gains(table, (self.heard >= 0) & (self.heard < tracks), self.weights[1])
        gained += self._gains(table, self.heard >= tracks, self.weights[2])
        for kin, weight, loudness in (
            (table.artists, self.weights[3], self.loudness[1]),
            (table.albums, self.weights[4], self.loudness[2]),
        ):
            gained += self._kin_gains(kin, tracks, weight, loudness)
        return gained

    def _kin_gains(self, kin: Kin | None, tracks: int, weight: np.float32, loud_as: Floats) -> NDArray[np.float32]:
        loud: dict[int, np.float32] = {}
        for speaker, loudness in zip(self.heard.tolist(), loud_as, strict=True):
            if kin is not None and 0 <= speaker < tracks and (group := int(kin.of[speaker])) >= 0:
                loud[group] = loud[group] + loudness if group in loud else loudness
        of = np.full(tracks, -1) if kin is None else kin.of
        return np.array([loud.get(group, np.float32(0)) * weight for group in of.tolist()], np.float32)

    def _gains(self, table: Table, speaking: NDArray[np.bool_], weight: np.float32) -> NDArray[np.float32]:
        gained = np.zeros(len(table.vectors), np.float32)
        others = table.neighbours
        if others is None:
            return gained
        for speaker, loudness in zip(self.heard[speaking], self.loudness[0, speaking], strict=True):
            title = speaker - len(gained)
            row = others.row[min(speaker, len(others.row) - 1)] if title < 0 else others.title_row[title]
            np.add.at(gained, others.ids[row], others.values[row] * others.scale[row] * loudness)
        leaders = min(others.leaders, len(gained))
        mean = np.float32(np.sort(gained)[::-1][:leaders].astype(np.float64).sum() / leaders)
        measured: NDArray[np.float32] = gained * (weight / max(mean, np.float32(1e-9)))
        return measured

    def best(self, table: Table, k: int, way: int | None = None) -> tuple[Ids, Floats]:
        """Return what the library says."""
        return table.scan(way=way).best(self.vector, self.weights, self.heard, self.loudness, self.own, k)


def best_of_each(scan: Scan, playlists: Sequence[Wanted], k: int) -> tuple[Ids, Floats]:
    """Ask for several playlists in one call."""
    names = "vector", "weights", "heard", "loudness", "own"
    vectors, weights, heard, loudness, own = (np.stack([getattr(one, name) for one in playlists]) for name in names)
    return scan.best_of_each(vectors, weights, heard, loudness, own, k)


@given(
    tracks=st.sampled_from([1, 5, 63, 64, 65, 1000, 4097, 9001]),
    length=st.sampled_from([1, 16, 33, 48, 128, 202]),
    k=st.sampled_from([1, 10, 500, 4000]),
    listed=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 1000),
)
def test_it_ranks_as_numpy_does(tracks: int, length: int, k: int, listed: float, seed: int) -> None:
    """Ids and every bit of their scores are those of a sort of all scores, equal ones by id, own tracks left out."""
    table = random_table(tracks, length, seed, listed=max(1, round(listed * tracks)))
    wanted = Wanted.random(table, seed)
    scores = wanted.scores(table)
    order = np.lexsort((np.arange(tracks), -scores))[: min(k, int(np.isfinite(scores).sum()))]
    ids, found = wanted.best(table, k)
    assert ids.tolist() == order.tolist()
    assert found.tobytes() == scores[order].tobytes()


@pytest.mark.parametrize("length", [3, 16, 64, 128, 190, 256, 1024])
def test_all_cpus_give_the_same_bits(length: int) -> None:
    """Plain C and the instructions of newer CPUs multiply to the same integers, for one playlist and for several."""
    table = random_table(4131, length)
    rows = rows_of(table)
    rows[:3] = np.array([[255], [1], [0]])  # the ends of the range, which narrower sums would not hold
    table = replace(table, vectors=Tiles.of(rows))
    wanted = replace(Wanted.random(table), vector=np.where(np.arange(length) % 3, 1, -1).astype(np.float32))
    right = np.sort(wanted.scores(table))[::-1]
    right = right[np.isfinite(right)]
    for way in known_ways(table):
        _, alone = wanted.best(table, 4131, way)
        assert alone.tobytes() == right.tobytes()
        for others in range(1, 7):  # playlists are scored in blocks, whose last one may be any part of one
            _, together = best_of_each(table.scan(way=way), [wanted] * others, 4131)
            assert [one[: len(right)].tobytes() for one in together] == [right.tobytes()] * others


def known_ways(table: Table) -> Iterator[int]:
    """Yield the ways to multiply that this CPU knows."""
    for way in range(3):
        try:
            table.scan(way=way)
        except ValueError:
            return
        yield way


def test_a_way_that_this_cpu_does_not_know_is_refused() -> None:
    """There are three ways at most."""
    with pytest.raises(ValueError, match="9 tracks by 16 cannot be scanned by 1 threads in the way 3"):
        random_table(9, 16).scan(1, 3)


@pytest.mark.parametrize("threads, length", [(1, 64), (3, 64), (1, 1024), (3, 1024)])
def test_who_else_asks_changes_nothing(threads: int, length: int) -> None:
    """Playlists that join a pass somewhere on its way, alone or many in one call, get the lists that they get alone.

    So do those of longer vectors that come while these are read, and wait for each other.
    """
    table = random_table(30_000, length)
    playlists = [Wanted.random(table, seed) for seed in range(80)]
    alone = [one.best(table, 100) for one in playlists]
    scan = table.scan(threads)

    parts = [playlists[:40], *([one] for one in playlists[40:])]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda part: best_of_each(scan, part, 100), parts * 8))
    for start in range(0, len(found), len(parts)):
        ids, scores = (np.concatenate([one[place] for one in found[start : start + len(parts)]]) for place in (0, 1))
        for row, (own_ids, own_scores) in enumerate(alone):
            assert ids[row].tolist() == own_ids.tolist()
            assert scores[row].tobytes() == own_scores.tobytes()


def test_a_lone_playlist_has_helpers_and_they_go_with_the_catalogue() -> None:
    """Where three threads may go through it there are two beside who asks, and none is left when it is let go."""
    table, threads = random_table(9, 16), Path("/proc/self/task")
    before = len(list(threads.iterdir()))
    scan = table.scan(3)
    beside = len(list(threads.iterdir())) - before
    del scan
    deadline = time.monotonic() + 10  # the system forgets a thread a little after it has ended
    while len(list(threads.iterdir())) > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert (beside, len(list(threads.iterdir()))) == (2, before)


def test_no_playlists_have_no_lists() -> None:
    """An empty batch is answered at once."""
    vectors, nobody = np.empty((0, 16), np.float32), np.empty((0, 1), np.int64)
    ids, scores = (
        random_table(9, 16)
        .scan()
        .best_of_each(vectors, vectors[:, :5], nobody, np.empty((0, 3, 1), np.float32), nobody, 3)
    )
    assert ids.shape == scores.shape == (0, 3)


def test_tracks_that_differ_in_their_upper_bits_alone_are_left_out() -> None:
    """Ids are sorted some bits at a time, and bits that sort nothing end nothing."""
    table = random_table(9000, 16)
    own = np.array([8192, 4096, 2048, 6144])
    wanted = replace(Wanted.random(table), own=own, heard=own, loudness=np.ones((3, 4), np.float32))
    ids, scores = wanted.best(table, 9000)
    assert len(ids) == 8996
    assert scores.tobytes() == np.sort(wanted.scores(table))[::-1][:8996].tobytes()


def test_equal_scores_stand_by_id() -> None:
    """A catalogue of one vector comes in its own order, whatever the place where the list ends."""
    table = random_table(300, 32)
    table = Table(
        Tiles.of(np.repeat(rows_of(table)[:1], 300, 0)),
        np.full(300, 0.5, np.float32),
        np.ones((2, 300), np.float32),
        None,
    )
    for k in (1, 64, 100, 300):
        wanted = Wanted(np.ones(32, np.float32), np.ones(5, np.float32), NOBODY, SILENCE, np.array([3]))
        ids, _ = wanted.best(table, k)
        assert ids.tolist() == [track for track in range(300) if track != 3][:k]


def test_equal_scores_stand_by_id_wherever_a_round_began() -> None:
    """Who joins in the middle meets the later tracks first, and gives their places to the earlier ones."""
    rows = np.full((30_000, 64), 129, np.uint8)
    scan = Table(Tiles.of(rows), np.ones(30_000, np.float32), np.ones((2, 30_000), np.float32), None).scan(3)
    wanted = Wanted(np.ones(64, np.float32), np.ones(5, np.float32), NOBODY, SILENCE, np.array([3]))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: best_of_each(scan, [wanted], 100)[0][0].tolist(), range(400)))
    assert found == [[track for track in range(101) if track != 3]] * 400


def test_neighbours_that_say_nothing_add_nothing() -> None:
    """A playlist of unheard tracks ranks as one without neighbours does."""
    table = random_table(500, 32)
    wanted = replace(Wanted.random(table), heard=NOBODY, loudness=SILENCE)
    alone = wanted.best(replace(table, neighbours=None, artists=None, albums=None), 50)
    assert [part.tobytes() for part in wanted.best(table, 50)] == [part.tobytes() for part in alone]


@pytest.mark.parametrize(
    "change",
    [
        {"heard": np.array([503]), "loudness": SILENCE},
        {"heard": np.array([-2]), "loudness": SILENCE},
        {"loudness": SILENCE},
        {"own": np.array([2**40])},
        {"vector": np.full(32, np.nan, np.float32)},
        {"vector": np.ones(31, np.float32)},
    ],
)
def test_a_playlist_of_another_catalogue_is_refused(change: dict[str, Any]) -> None:
    """Nothing is read beyond the arrays."""
    table = random_table(500, 32)
    with pytest.raises(ValueError, match="cannot be ranked among 500 tracks by 32"):
        replace(Wanted.random(table), **change).best(table, 10)


class Saved:
    """A table in a file, with its layout."""

    def __init__(self, file: Path) -> None:
        self.table, self.file = random_table(40, 16), file
        others = self.table.neighbours
        assert others is not None
        parts: dict[str, NDArray[Any]] = {
            "vectors": rows_of(self.table),
            "scale": self.table.scale,
            "prior": self.table.prior,
        }
        spoken: dict[str, NDArray[Any]] = {
            "row": others.row,
            "title_row": others.title_row,
            "ids": others.ids,
            "values": others.values,
            "scale": others.scale,
        }
        for name, kin in (("artists", self.table.artists), ("albums", self.table.albums)):
            assert kin is not None
            parts[name] = kin.of + np.int32(1)
        data = b"something before"
        self.layout: dict[str, Any] = {"neighbours": {"leaders": others.leaders}}
        for place, arrays in ((self.layout, parts), (self.layout["neighbours"], spoken)):
            for name, array in arrays.items():
                place[name] = {"offset": len(data), "shape": list(array.shape)}
                data += array.tobytes()
        file.write_bytes(data)


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return Saved(tmp_path / "model.onnx")


@pytest.mark.parametrize("groups", [[1, -1], [0, 3]])
def test_groups_that_cannot_be_are_refused(groups: list[int]) -> None:
    """Before anything as large as the largest number is made."""
    with pytest.raises(ValueError, match="2 tracks cannot be of the groups"):
        Kin.among(np.array(groups, np.int32))


def test_a_table_is_read_from_where_it_stands(saved: Saved) -> None:
    """What was written is what is read."""
    read = Table.read(saved.file, saved.layout)
    assert (read.vectors.tiles == saved.table.vectors.tiles).all()
    wanted = Wanted.random(read)
    assert wanted.best(read, 40)[0].tolist() == wanted.best(saved.table, 40)[0].tolist()


@pytest.mark.parametrize(
    "path, value",
    [
        (("vectors", "offset"), 10**9),
        (("vectors", "offset"), -1),
        (("vectors", "shape"), [0, 16]),
        (("vectors", "shape"), [39, 16]),
        (("vectors", "shape"), "many"),
        (("scale", "shape"), [41]),
        (("prior",), None),
        (("neighbours", "row", "offset"), 0),
        (("neighbours", "row", "shape"), [41]),
        (("neighbours", "title_row", "offset"), 0),
        (("neighbours", "ids", "shape"), [9, 31]),
        (("neighbours", "leaders"), 0),
        (("artists", "shape"), [39]),
        (("albums", "offset"), 0),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(saved: Saved, path: tuple[str, ...], value: object) -> None:
    """No array is taken for another one, and the error names the file and the cure."""
    place = saved.layout
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(
        BundleError, match=r"model\.onnx says wrongly where its tracks stand .*; export the bundle again"
    ):
        Table.read(saved.file, saved.layout)
