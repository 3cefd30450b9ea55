"""Playlists in, a whole dataset out: read, check, clean, split, write."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_processing import dataset as contract
from data_processing.clean import clean
from data_processing.copies import content_keys, copy_groups, track_hashes
from data_processing.gathered import Gathered
from data_processing.hiding import hide
from data_processing.merge import merge
from data_processing.parts import Reading, read_parts
from data_processing.processes import LostProcessError, Work, cores, refuse_none, working
from data_processing.readers.open_file import Progress, silent
from data_processing.rejections import Rejections
from data_processing.report import page, sizes, summary
from data_processing.side_tables import join_features, join_lyrics
from data_processing.sources import Found, find_sources
from data_processing.split import split
from data_processing.tables import Tables, build_tables
from segue.errors import InputError
from segue.files import canonical_json, sha256_file, whole_directory


@dataclass(frozen=True, slots=True)
class Options:
    """How to ingest.

    Attributes:
        format: One of `sources.FORMATS`, or ``auto``.
        strict: Whether the first invalid entry ends it, instead of being counted and left out.
        seed: Of the split.
        validation: Share of playlists to tune on.
        test: Share of playlists to judge on.
        hide_tracks: Share of the tracks that are taken out of the playlists that teach.
        columns: Field to column name, for tables.
        lyrics: A table of lyrics to join.
        features: Tables of genres or audio features to join.
        processes: How many read and spell; all cores if None. The bytes of the dataset do not depend on it.
    """

    format: str = "auto"
    strict: bool = False
    seed: int = 0
    validation: float = 0.03
    test: float = 0.05
    hide_tracks: float = 0.0
    columns: Mapping[str, str] = field(default_factory=dict)
    lyrics: Path | None = None
    features: Sequence[Path] = ()
    processes: int | None = None

    def __post_init__(self) -> None:
        if not (self.validation >= 0 and self.test >= 0 and self.validation + self.test < 1):
            raise InputError("--validation and --test are shares of the playlists: not negative, together below 1.")
        if not 0 <= self.hide_tracks < 1:
            raise InputError("--hide-tracks is a share of the tracks: not negative, and below 1.")
        refuse_none(self.processes)


def ingest(
    paths: Sequence[Path], output: Path, options: Options | None = None, progress: Progress = silent
) -> contract.Dataset:
    """Read playlists and write a dataset to ``output``, whole or not at all; return it.

    The same files, options and library versions give the same bytes. An earlier dataset at ``output`` is replaced.
    What was read stands in a folder beside ``output`` until the end; called again after a kill, it goes on from there.

    Args:
        paths: Files or folders of playlists.
        output: The dataset's folder.
        options: How; the defaults if None.
        progress: Called with the number of bytes of the playlists' files that are done.

    Raises:
        InputError: Something cannot be read, is invalid in strict mode, or leaves no playlist; or ``output`` cannot be
            written or holds something else than a dataset.
        LostProcessError: A process was killed.
    """
    options = options or Options()
    refuse_foreign(output, contract.holds_only_a_dataset, paths)
    found = find_sources(paths, options.format)
    try:
        with _parts_folder(output) as folder, working(options.processes or cores()) as work:
            reading = Reading(folder, options.columns, options.strict)
            gathered = merge(read_parts(found.sources, reading, work, progress))
            tables, report = _tables(gathered, found, options, work)
            joined = _joined(tables, options)
            report["joined"] = {name: table.num_rows for name, table in joined.items()}
            with whole_directory(output) as staging:
                _write(staging, tables, joined, report)
                _seal(staging, gathered, tables, options.seed)
                contract.Dataset.open(staging)
    except OSError as error:
        raise InputError(
            f"The dataset cannot be written to {output} ({error.strerror or error}); nothing was changed there."
        ) from error
    return contract.Dataset.open(output, verify=False)


@contextmanager
def _parts_folder(output: Path) -> Iterator[Path]:
    """Yield the folder for what was read; it stays only where going on from it helps: after a kill, or Ctrl-C."""
    folder = output.absolute().with_name(f".{output.absolute().name}.parts")
    try:
        yield folder
    except LostProcessError:
        raise
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def refuse_foreign(output: Path, ours: Callable[[Path], bool], inputs: Sequence[Path] = ()) -> None:
    """Refuse to replace a folder that we did not write, or that holds an input.

    Args:
        output: The folder that would be replaced.
        ours: Whether a folder holds what the command writes, and nothing else.
        inputs: What the command reads.

    Raises:
        InputError: ``output`` is a file, a folder of other things, or cannot be read; or an input stands in it.
    """
    try:
        if output.is_file() or (output.is_dir() and any(output.iterdir()) and not ours(output)):
            raise InputError(
                f"{output} holds something else than what this command writes; name a new or empty folder, or remove "
                "this one yourself if nothing in it is needed."
            )
    except OSError as error:
        raise InputError(f"The folder {output} cannot be read ({error.strerror}); check its rights.") from error
    target = output.resolve()
    for path in inputs:
        if path.resolve().is_relative_to(target):
            raise InputError(f"The input {path} stands in {output}, which would be replaced; name another output.")


def _tables(gathered: Gathered, found: Found, options: Options, work: Work) -> tuple[Tables, dict[str, Any]]:
    """Return the tables of what is kept, and the report."""
    rejections = Rejections(options.strict)
    rejections.more(gathered.facts["rejections"], gathered.facts["examples"])
    cleaned = clean(gathered, rejections, work)
    if len(cleaned.playlists) == 0:
        raise InputError(
            f"No playlist with two usable tracks is left of {gathered.facts['read_playlists']} playlists and "
            f"{gathered.facts['read_entries']} entries that were read; look at the files, --format and --columns."
        )
    hashes = track_hashes(cleaned.uris.to_pylist())
    groups = copy_groups(hashes, cleaned.starts, cleaned.tracks)
    keys = content_keys(hashes, cleaned.starts, cleaned.tracks)
    sides = split(keys, groups, options.seed, options.validation, options.test)
    if options.hide_tracks:
        cleaned, sides = hide(cleaned, sides, options.seed, options.hide_tracks)
        if len(cleaned.playlists) == 0:
            raise InputError(f"--hide-tracks {options.hide_tracks} leaves no playlist with two tracks; hide fewer.")
    tables = build_tables(gathered, cleaned, sides, work)
    copies = len(groups) - len(np.unique(groups))
    return tables, summary(gathered, cleaned, tables, rejections, copies, found)


def _joined(tables: Tables, options: Options) -> dict[str, pa.Table]:
    joined = {}
    if options.lyrics:
        joined[contract.LYRICS] = join_lyrics(options.lyrics, tables.tracks)
    if options.features:
        joined[contract.FEATURES] = join_features(options.features, tables.tracks)
    return joined


def _write(staging: Path, tables: Tables, joined: Mapping[str, pa.Table], report: Mapping[str, Any]) -> None:
    named = {
        contract.TRACKS: tables.tracks,
        contract.PLAYLISTS: tables.playlists,
        contract.ENTRIES: tables.entries,
        contract.SPLIT: tables.split,
        **joined,
    }
    for name, table in named.items():
        pq.write_table(table, staging / name, compression="zstd")
    (staging / contract.VALIDATION_JSON).write_bytes(canonical_json(report))
    (staging / contract.VALIDATION_HTML).write_text(page(report), encoding="utf-8")


def _seal(staging: Path, gathered: Gathered, tables: Tables, seed: int) -> None:
    manifest = {
        "schema_version": contract.SCHEMA_VERSION,
        "synthetic": gathered.facts["synthetic"],
        "seed": seed,
        "counts": {
            "playlists": tables.playlists.num_rows,
            "tracks": tables.tracks.num_rows,
            "entries": tables.entries.num_rows,
            **sizes(tables.split),
        },
        "files": {
            file.name: {"sha256": sha256_file(file), "bytes": file.stat().st_size} for file in sorted(staging.iterdir())
        },
        "sources": gathered.facts["sources"],
    }
    (staging / contract.MANIFEST).write_bytes(canonical_json(manifest))
