"""Verb ``ablate``: what each part of a trained ranker adds, by number of seeds, with intervals.

Whole and without a part, rankers continue the same playlists of the test side: gates and weights were chosen on
validation, which therefore cannot judge them. What a ranker reached is kept under ``judged/``, and a training that was
killed goes on from its checkpoint, so the same command goes on where an earlier one was.
"""

import io
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_processing.dataset import Dataset
from segue.errors import InputError
from segue.files import canonical_json, sha256_bytes, sha256_file, write_whole
from train.ablation_figures import Figures
from train.ablation_parts import PARTS, TRAINED, Part
from train.ablation_report import Row, plot, to_text
from train.ablation_training import Bench
from train.encoder import seeded
from train.examples import Example, validation
from train.inputs import playlists_of
from train.llara import settings_of, training_identity, with_inputs
from train.tracking import stage_run

SPLIT = "test"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config:
    """Settings of the verb; ``train/conf/ablate.yaml`` explains each."""

    dataset: str
    llara: str
    output: str
    parts: list[str]
    retrain: bool
    threads: int


def run(config: Config) -> None:
    """Write ``ablation.json`` and ``ablation.png`` to ``config.output`` and print the table.

    Raises:
        InputError: There is no such part, no trained ranker or not what it was trained with, or no playlist to judge
            by.
    """
    ways = ways_of(config.parts, config.retrain)
    seeded(0, config.threads)
    dataset, folder = Dataset.open(Path(config.dataset)), Path(config.llara)
    settings = with_inputs(settings_of(folder), folder)
    bench = Bench(dataset, replace(settings, threads=config.threads), folder)
    judge = Judge(bench, questions_of(dataset), Path(config.output))
    whole = judge.figures("whole", None, "")
    rows = []
    for number, (name, way) in enumerate(ways.items(), start=1):
        _LOG.info("ablate %d of %d: %s, %s", number, len(ways), name, way)
        gains = whole.over(judge.figures(name, PARTS[name], way))
        rows.append(Row(name, way, PARTS[name].without, gains))
        _LOG.info("%s %s", name, rows[-1].verdict)
    missing = [name for name in config.parts if name not in ways]
    with stage_run("ablate", config, dataset.digest) as track:
        track({f"{row.part}_{name}": each.mean for row in rows for name, each in row.gains.items()})
    _write(Path(config.output), bench, rows, missing)


def ways_of(parts: Sequence[str], retrain: bool) -> dict[str, str]:
    """Return how each part is left out; one that there is no way for is not in it.

    Raises:
        InputError: There is no such part, or nothing to measure.
    """
    for name in parts:
        if name not in PARTS:
            raise InputError(f"The ranker has no part {name!r} to leave out; choose among {', '.join(PARTS)}.")
    ways = {name: PARTS[name].way(retrain) for name in parts}
    if not any(ways.values()):
        raise InputError(
            f"There is nothing to measure: {', '.join(parts) or 'no part'} can be left out by training alone; "
            "set retrain=true, or name other parts."
        )
    return {name: way for name, way in ways.items() if way}


def questions_of(dataset: Dataset) -> dict[int, list[Example]]:
    """Return what judges, by number of seeds: playlists of the test side, their title and first tracks shown.

    Raises:
        InputError: There is none.
    """
    asked = validation(playlists_of(dataset, SPLIT))
    if not any(asked.values()):
        raise InputError(
            f"The dataset at {dataset.path} has no test playlist that could be continued; ingest more playlists."
        )
    return {seeds: examples for seeds, examples in asked.items() if examples}


class Judge:
    """Measures rankers once: what they reached is kept under the digest of all that they are made of."""

    def __init__(self, bench: Bench, questions: Mapping[int, Sequence[Example]], output: Path) -> None:
        """Ask ``questions``, and keep the answers under ``output``."""
        self._bench, self._questions, self._output = bench, questions, output
        origin = training_identity(bench.settings, bench.dataset)
        self._origin = [origin, sha256_file(bench.folder / "ranker.safetensors")]

    def figures(self, name: str, part: Part | None, way: str) -> Figures:
        """Return what the ranker reaches without ``part``, or whole where that is None."""
        identity = sha256_bytes(canonical_json([*self._origin, name, way, part.without if part else ""]))[:16]
        kept = self._output / "judged" / f"{name}-{identity}.json"
        work = self._output / "work" / f"{name}-{identity}"
        if not kept.exists():
            write_whole(kept, self._measure(part, way, work).to_bytes())
        shutil.rmtree(work, ignore_errors=True)
        return Figures.from_bytes(kept.read_bytes())

    def _measure(self, part: Part | None, way: str, work: Path) -> Figures:
        if part and part.training and way == TRAINED:
            model, training = self._bench.train(part.training, work)
        else:
            model, training = self._bench.whole()
            if part and part.switch:
                part.switch(model)
        return Figures.of(model, training, self._questions)


def _write(output: Path, bench: Bench, rows: Sequence[Row], missing: Sequence[str]) -> None:
    report = {
        "schema_version": 1,
        "dataset": bench.dataset.digest,
        "synthetic": bench.dataset.synthetic,
        "ranker": f"sha256:{sha256_file(bench.folder / 'ranker.safetensors')}",
        "seed": bench.settings.seed,
        "split": SPLIT,
        "parts": [row.to_json() for row in rows],
        "not_measured": list(missing),
    }
    image = io.BytesIO()
    plot(rows).savefig(image, format="png", metadata={"Software": None})
    write_whole(output / "ablation.png", image.getvalue())
    write_whole(output / "ablation.json", canonical_json(report))
    sys.stdout.write(to_text(rows, missing))
