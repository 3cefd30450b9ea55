"""The command of the room: ``python -m data_processing <verb>``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from data_processing.dataset import SIDES, Dataset
from data_processing.ingest import Options, ingest
from data_processing.readers.table import FIELDS
from data_processing.sources import FORMATS, find_sources
from segue.errors import SegueError

_INGEST_EXAMPLE = """examples:
  python -m data_processing ingest playlists/ --output var/dataset
  python -m data_processing ingest plays.csv --output var/dataset --columns playlist=list_id,track=song

Formats, options and the report: docs/data.md."""
_SAMPLE_EXAMPLE = """example:
  python -m data_processing sample --output var/data --playlists 3000 --seed 0"""

_MOST_NAMED = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code: 0, or 1 with one sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SegueError as error:
        print(f"python -m data_processing {options.verb}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data_processing", description="Playlists of many formats in, one clean, split dataset out."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    _add_ingest(verbs)
    _add_sample(verbs)
    return parser


def _add_ingest(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ingest_ = verbs.add_parser(
        "ingest",
        help="read playlists and write a dataset, whole or not at all",
        description="Read playlists, check them, clean them, split them and write a dataset, whole or not at all.",
        epilog=_INGEST_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = ingest_.add_argument
    add("paths", nargs="+", type=Path, metavar="PATH", help="files or folders of playlists, plain or gzipped")
    add(
        "--output", required=True, type=Path, metavar="DIR", help="the dataset's folder; an earlier dataset is replaced"
    )
    add("--format", default="auto", choices=("auto", *FORMATS), help="of the files (default: told from each file)")
    add(
        "--on-invalid",
        default="warn",
        choices=("raise", "warn"),
        help="an entry that cannot be used is counted, reported and left out (warn, the default: real playlists always "
        "hold a few), or ends the command with nothing written (raise)",
    )
    add("--seed", type=int, default=0, help="of the split (default 0)")
    add("--validation", type=float, default=0.03, metavar="SHARE", help="of playlists to tune on (default 0.03)")
    add("--test", type=float, default=0.05, metavar="SHARE", help="of playlists to judge on (default 0.05)")
    add(
        "--hide-tracks",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of tracks, drawn by lot, that no playlist to learn from shall hold, to measure how tracks without a past "
        "are found (`python -m evaluation measure --dataset`); not for a model that is to serve (default 0)",
    )
    add(
        "--columns",
        type=_columns,
        default={},
        metavar="FIELD=COLUMN,…",
        help=f"names of a table's columns, where they are not the usual ones; fields: {', '.join(FIELDS)}",
    )
    add("--lyrics", type=Path, metavar="FILE", help="CSV or Parquet to join: uri or track and artist, text")
    add(
        "--features",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="CSV or Parquet to join: uri, track and artist, or artist alone; genres, numbers; may be repeated",
    )
    _add_processes(ingest_)
    ingest_.set_defaults(run=_ingest)


def _add_sample(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sample = verbs.add_parser(
        "sample",
        help="write made-up playlists in the shape of the Million Playlist Dataset",
        description="Write made-up playlists with real structure, in the shape of the Million Playlist Dataset. "
        "They are marked as synthetic, and so is all that is made from them.",
        epilog=_SAMPLE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = sample.add_argument
    add("--output", required=True, type=Path, metavar="DIR", help="folder of the slices; an earlier sample is replaced")
    add("--playlists", type=int, default=3000, help="how many (default 3000)")
    add("--tracks", type=int, default=8000, help="how many there are to choose from (default 8000)")
    add("--seed", type=int, default=0, help="the same seed, the same bytes (default 0)")
    _add_processes(sample)
    sample.set_defaults(run=_sample)


def _add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--processes", type=int, metavar="N", help="how many work at it (default: all cores); the bytes are the same"
    )


def _columns(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for field, equals, column in pairs:
        if field.strip() not in FIELDS or not equals or not column.strip():
            raise argparse.ArgumentTypeError(f"{field!r} is no field=column; the fields are {', '.join(FIELDS)}")
    return {field.strip(): column.strip() for field, _, column in pairs}


def _ingest(given: argparse.Namespace) -> None:
    options = Options(
        given.format,
        given.on_invalid == "raise",
        given.seed,
        given.validation,
        given.test,
        given.hide_tracks,
        given.columns,
        given.lyrics,
        given.features,
        given.processes,
    )
    found = find_sources(given.paths, given.format)
    if found.left_out:
        more = f" and {len(found.left_out) - _MOST_NAMED:,} more" if len(found.left_out) > _MOST_NAMED else ""
        print(f"Left out: {', '.join(found.left_out[:_MOST_NAMED])}{more}; the report names all.", file=sys.stderr)
    total = sum(source.path.stat().st_size for source in found.sources)
    with tqdm(total=total, unit="B", unit_scale=True, desc="reading", disable=None) as bar:
        dataset = ingest(given.paths, given.output, options, bar.update)
    _tell(dataset)


def _tell(dataset: Dataset) -> None:
    counts = dataset.counts
    mark = " (synthetic)" if dataset.synthetic else ""
    print(f"{dataset.digest}{mark}")
    print(", ".join(f"{counts[name]:,} {name}" for name in ("playlists", "tracks", "entries")))
    for name, table in (("lyrics", dataset.lyrics()), ("features", dataset.features())):
        if table is not None:
            print(f"joined: {name} of {table.num_rows:,} of {counts['tracks']:,} tracks")
            if not table.num_rows:
                print(
                    f"The table of {name} knows none of the tracks; docs/data.md says how they are matched.",
                    file=sys.stderr,
                )
    print("split: " + ", ".join(f"{counts[side]:,} {side}" for side in SIDES))
    if empty := [side for side in SIDES if counts[side] == 0]:
        print(f"No playlist fell to {' or '.join(empty)}; with few playlists, raise the shares.", file=sys.stderr)
    print(f"report: {dataset.path / 'validation.html'}")


def _sample(given: argparse.Namespace) -> None:
    from data_processing.sample.slices import write_sample  # only this verb needs the generator

    written = write_sample(given.output, given.playlists, given.tracks, given.seed, given.processes)
    print(f"{given.playlists:,} synthetic playlists in {written} slices under {given.output}")


if __name__ == "__main__":
    sys.exit(main())
