"""Ways to read slices: `python -m benchmarks.data_processing.readers {segue,polars,duckdb} DIR [--processes N]`.

Each prints how many entries it read. `segue` checks every entry, joins tracks and keeps its parts, which is the first
phase of `ingest`; the other two read the same fields of the same files into columns, and do nothing with them.
"""

import argparse
import gzip
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from data_processing.merge import merge
from data_processing.parts import Reading, read_parts
from data_processing.processes import cores, working
from data_processing.sources import find_sources

_FIELDS = ("track_uri", "track_name", "artist_name", "album_name")
_SQL_TRACK = f"STRUCT(pos BIGINT, {', '.join(f'{name} VARCHAR' for name in _FIELDS)}, duration_ms BIGINT)"
_SQL_PLAYLIST = f"STRUCT(pid BIGINT, name VARCHAR, num_followers BIGINT, tracks {_SQL_TRACK}[])"
_SQL = f"""
    with slices as (select unnest(playlists) as p from read_json(
        ?, maximum_object_size = 200000000, columns = {{'playlists': '{_SQL_PLAYLIST}[]'}}
    ))
    select p.pid, p.name, p.num_followers, unnest(p.tracks, recursive := true) from slices
"""  # noqa: S608 - the names are ours


def read_by_segue(paths: Sequence[Path], processes: int) -> int:
    """Read, check and join as `ingest` does, to where cleaning begins; return the entries."""
    with tempfile.TemporaryDirectory() as folder, working(processes) as work:
        gathered = merge(read_parts(find_sources(paths).sources, Reading(Path(folder), {}, strict=False), work))
    return len(gathered.tracks)


def read_by_polars(paths: Sequence[Path], processes: int) -> int:
    """Read each file by Polars, as many at a time as there are processes; gzip is Python's. Return the entries."""
    with working(processes) as work:
        return sum(work.each(_polars, paths))


def read_by_duckdb(paths: Sequence[Path], processes: int) -> int:
    """Read all files by one query of DuckDB, a batch of rows in memory at a time; return the entries."""
    import duckdb  # each reader loads what it needs and no more

    connection = duckdb.connect(config={"threads": processes})
    rows = connection.sql(_SQL, params=[[str(path) for path in paths]])
    return sum(batch.num_rows for batch in rows.to_arrow_reader(1 << 20))


def _polars(path: Path) -> int:
    import polars as pl

    track = {"pos": pl.Int64, **dict.fromkeys(_FIELDS, pl.String), "duration_ms": pl.Int64}
    playlist = {"pid": pl.Int64, "name": pl.String, "num_followers": pl.Int64, "tracks": pl.List(pl.Struct(track))}
    with gzip.open(path) as stream:
        slices = pl.read_json(stream.read(), schema={"playlists": pl.List(pl.Struct(playlist))})
    playlists = slices.explode("playlists").unnest("playlists")
    return playlists.explode("tracks").unnest("tracks").height


READERS: Mapping[str, Callable[[Sequence[Path], int], int]] = {
    "segue": read_by_segue,
    "polars": read_by_polars,
    "duckdb": read_by_duckdb,
}


def main() -> None:
    """Read by one of the ways."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data_processing.readers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--processes", type=int, default=cores())
    options = parser.parse_args()
    files = sorted(options.folder.glob("mpd.slice.*.json.gz"))
    print(f"{options.reader}: {READERS[options.reader](files, options.processes):,} entries")  # noqa: T201 - it speaks


if __name__ == "__main__":
    main()
