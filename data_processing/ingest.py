"""Playlists in, a whole dataset out: read, check, clean, split, write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_processing import dataset as contract
from data_processing.clean import Cleaned, clean
from data_processing.collect import Collected, Collector
from data_processing.copies import content_keys, copy_groups, track_hashes
from data_processing.hiding import hide
from data_processing.readers.open_file import Progress, silent
from data_processing.rejections import Rejections
from data_processing.report import page, summary
from data_processing.side_tables import join_features, join_lyrics
from data_processing.sources import Source, find_sources, read_source
from data_processing.split import SIDES, split
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
        features: A table of genres or audio features to join.
    """

    format: str = "auto"
    strict: bool = False
    seed: int = 0
    validation: float = 0.03
    test: float = 0.05
    hide_tracks: float = 0.0
    columns: Mapping[str, str] = field(default_factory=dict)
    lyrics: Path | None = None
    features: Path | None = None

    def __post_init__(self) -> None:
        if not (self.validation >= 0 and self.test >= 0 and self.validation + self.test < 1):
            raise InputError("--validation and --test are shares of the playlists: not negative, together below 1.")
        if not 0 <= self.hide_tracks < 1:
            raise InputError("--hide-tracks is a share of the tracks: not negative, and below 1.")


def ingest(
    paths: Sequence[Path], output: Path, options: Options | None = None, progress: Progress = silent
) -> contract.Dataset:
    """Read playlists and write a dataset to ``output``, whole or not at all; return it.

    The same files, options and library versions give the same bytes. An earlier dataset at ``output`` is replaced.

    Args:
        paths: Files or folders of playlists.
        output: The dataset's folder.
        options: How; the defaults if None.
        progress: Called with the number of bytes read from the playlists' files.

    Raises:
        InputError: Something cannot be read, is invalid in strict mode, or leaves no playlist; or ``output`` cannot be
            written or holds something else than a dataset.
    """
    options = options or Options()
    refuse_foreign(output, contract.MANIFEST, paths)
    found = find_sources(paths, options.format)
    rejections = Rejections(options.strict)
    collected, synthetic = _collect(found.sources, rejections, options, progress)
    cleaned = clean(collected, rejections)
    cleaned, tables, copies = _split_tables(collected, cleaned, options)
    joined = _joined(tables, options)
    report = summary(collected, cleaned, tables, rejections, copies, found, joined, synthetic)
    try:
        with whole_directory(output) as staging:
            _write(staging, tables, joined, report)
            _seal(staging, found.sources, tables, options.seed, synthetic)
            contract.Dataset.open(staging)
    except OSError as error:
        raise InputError(
            f"The dataset cannot be written to {output} ({error.strerror or error}); nothing was changed there."
        ) from error
    return contract.Dataset.open(output, verify=False)


def refuse_foreign(output: Path, marker: str, inputs: Sequence[Path] = ()) -> None:
    """Refuse to replace a folder that we did not write, or that holds an input.

    Raises:
        InputError: ``output`` is a file, a folder of other things, or an input stands in it.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not (output / marker).is_file()):
        raise InputError(
            f"{output} holds something else than what this command writes (no {marker}); name a new or empty folder."
        )
    target = output.resolve()
    for path in inputs:
        if path.resolve().is_relative_to(target):
            raise InputError(f"The input {path} stands in {output}, which would be replaced; name another output.")


def _collect(
    sources: Sequence[Source], rejections: Rejections, options: Options, progress: Progress
) -> tuple[Collected, bool]:
    collector, synthetic = Collector(rejections), False

    def on_info(info: Mapping[str, Any]) -> None:
        nonlocal synthetic
        synthetic = synthetic or info.get("synthetic") is True

    for source in sources:
        for playlist in read_source(source, options.columns, on_info, progress):
            collector.add(playlist)
    return collector.collected, synthetic


def _split_tables(collected: Collected, cleaned: Cleaned, options: Options) -> tuple[Cleaned, Tables, int]:
    """Return what is kept, its tables, and how many playlists are copies of an earlier one."""
    if len(cleaned.playlists) == 0:
        raise InputError(
            f"No playlist with two usable tracks is left of {collected.read_playlists} playlists and "
            f"{collected.read_entries} entries that were read; look at the files, --format and --columns."
        )
    hashes = track_hashes(cleaned.uris)[cleaned.tracks]
    groups = copy_groups(hashes, cleaned.starts)
    sides = split(content_keys(hashes, cleaned.starts), groups, options.seed, options.validation, options.test)
    copies = len(groups) - len(set(groups.tolist()))
    if options.hide_tracks:
        cleaned, sides = hide(cleaned, sides, options.seed, options.hide_tracks)
    return cleaned, build_tables(collected, cleaned, sides), copies


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


def _seal(staging: Path, sources: Sequence[Source], tables: Tables, seed: int, synthetic: bool) -> None:
    sides = tables.split["split"].to_pylist()
    counts = {
        "playlists": tables.playlists.num_rows,
        "tracks": tables.tracks.num_rows,
        "entries": tables.entries.num_rows,
        **{side: sides.count(side) for side in SIDES},
    }
    manifest = {
        "schema_version": contract.SCHEMA_VERSION,
        "synthetic": synthetic,
        "seed": seed,
        "counts": counts,
        "files": {file.name: _vouch(file) for file in sorted(staging.iterdir())},
        "sources": {source.name: _vouch(source.path) for source in sources},
    }
    (staging / contract.MANIFEST).write_bytes(canonical_json(manifest))


def _vouch(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size}
