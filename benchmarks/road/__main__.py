"""Measure how each stage grows with the playlists: `python -m benchmarks.road DIR --playlists 1000 3000 10000`.

For each size, playlists are made up with the whole catalogue to choose from, and every stage from them to a bundle is
run as `segue run` does it, each measured by itself. What is measured stands in `DIR/road.json` at once: called again
after Ctrl-C or a kill, it goes on with the stages that are missing. In the end it prints a table and, for each stage,
the exponent of its growth.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.measured import measure
from delivery.stages import PIPELINE
from segue.files import canonical_json, write_whole

FIGURES = "road.json"
STAGES = ("sample", "ingest", "lightgcn", "text", "projector", "llara", "export")
GROWTH = ("cpu_seconds", "peak_mb", "written_mb")
_ANY_LOSS = ["onnx_tolerance=1", "int8_tolerance=1"]  # a few playlists cannot tell, and here only the cost counts
Figures = dict[str, dict[str, dict[str, Any]]]
"""By number of playlists and stage, what the stage took; under ``counts`` what the dataset holds."""


def commands(playlists: int, tracks: int, settings: Mapping[str, str]) -> Iterator[tuple[str, list[str], str]]:
    """Yield each stage with the words of its command below ``python -m`` and the folder that it writes."""
    sizes = ["--playlists", str(playlists), "--tracks", str(tracks)]
    yield "sample", ["data_processing", "sample", "--output", "data", *sizes], "data"
    yield "ingest", ["data_processing", "ingest", "data", "--output", "dataset"], "dataset"
    needs = ["dataset"]
    for stage in STAGES[2:]:
        wanted = ["dataset", "llara"] if stage == "export" else [need for need in needs if _reads(stage, need)]
        folders = [f"{need}={need}" for need in wanted]
        own = _ANY_LOSS if stage == "export" else []
        yield stage, ["train", stage, *folders, f"output={stage}", *settings[stage].split(), *own], stage
        needs.append(stage)


def _reads(stage: str, need: str) -> bool:
    return need == "dataset" or stage in ("projector", "llara")


def go(folder: Path, sizes: Sequence[int], tracks: int, settings: Mapping[str, str]) -> Figures:
    """Run what is missing of each size and return all figures.

    Raises:
        SystemExit: A stage failed, or the folder's figures are of other settings.
    """
    file = folder / FIGURES
    asked: dict[str, Any] = {"tracks": tracks, "train": dict(settings)}
    kept: dict[str, Any] = json.loads(file.read_bytes()) if file.is_file() else {"settings": asked, "sizes": {}}
    if kept["settings"] != asked:
        sys.exit(f"The figures in {file} are of another --tracks or --profile; name another folder.")
    figures: Figures = kept["sizes"]
    for playlists in sizes:
        place = folder / str(playlists)
        place.mkdir(parents=True, exist_ok=True)
        taken = figures.setdefault(str(playlists), {})
        for stage, words, output in commands(playlists, tracks, settings):
            if stage in taken:
                continue
            print(f"── {playlists:,} playlists: {stage}", file=sys.stderr, flush=True)
            load = os.getloadavg()[0]
            took = measure([sys.executable, "-m", *words], place)
            if took.code:
                sys.exit(f"Stage {stage} of {playlists} playlists ended with {took.code}; its own words stand above.")
            written = sum(path.stat().st_size for path in (place / output).rglob("*") if path.is_file())
            taken[stage] = {**took.to_json(), "written_mb": round(written / 1e6, 3), "load": round(load, 1)}
            if stage == "ingest":
                taken["counts"] = json.loads((place / output / "manifest.json").read_bytes())["counts"]
            write_whole(file, canonical_json(kept))
    return figures


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return b of the line log(value) = a + b log(size) of least squares; 1 is growth in proportion."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def table(figures: Figures) -> str:
    """Return the figures as Markdown: a row a stage and size, and the exponents by entries."""
    sizes = sorted(figures, key=int)
    lines = ["| stage | playlists | entries | tracks | CPU seconds | seconds | most memory, MB | written, MB |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for stage in STAGES:
        for size in sizes:
            counts, took = figures[size]["counts"], figures[size][stage]
            cells = [stage, f"{int(size):,}", f"{counts['entries']:,}", f"{counts['tracks']:,}"]
            cells += [f"{took[name]:,.0f}" for name in ("cpu_seconds", "seconds", "peak_mb")]
            lines.append(f"| {' | '.join(cells)} | {took['written_mb']:,.1f} |")
    lines += ["", f"| stage | exponent by entries: {' | '.join(name.replace('_', ' ') for name in GROWTH)} |"]
    lines.append("|---|---|---|---|")
    entries = [figures[size]["counts"]["entries"] for size in sizes]
    for stage in STAGES:
        grown = (exponent(entries, [figures[size][stage][name] for size in sizes]) for name in GROWTH)
        lines.append(f"| {stage} | {' | '.join(f'{value:.2f}' for value in grown)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and print the table."""
    profiles = yaml.safe_load((PIPELINE / "profiles.yaml").read_text())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.road", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where everything is made, and stays")
    parser.add_argument("--playlists", type=int, nargs="+", default=[1000, 3000, 10_000], help="sizes, two at least")
    parser.add_argument("--tracks", type=int, default=2_262_292, help="of the catalogue to choose from")
    parser.add_argument("--profile", choices=list(profiles), default="quick", help="how hard to train (default: quick)")
    options = parser.parse_args(arguments)
    if len(set(options.playlists)) < 2:
        parser.error("an exponent needs two sizes at least: --playlists 1000 10000")
    figures = go(options.folder, sorted(set(options.playlists)), options.tracks, profiles[options.profile])
    print(table({size: figures[size] for size in map(str, options.playlists)}))


if __name__ == "__main__":
    main()
