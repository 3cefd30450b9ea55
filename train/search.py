"""Stage ``search``: tries settings of a stage by Ray Tune and ranks them by the stage's own validation NDCG.

The draws follow from the seed, and a trial is remembered under the digest of its settings. So a search that was
stopped, or is asked for more trials, goes on where it was: finished trials are read, and one that was cut off goes on
from its stage's own checkpoint.
"""

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep
from hydra.errors import HydraException
from matplotlib.figure import Figure
from tqdm import tqdm

from data_processing.dataset import Dataset
from segue.errors import InputError, SegueError
from segue.files import canonical_json, sha256_bytes, write_whole
from train.ray_session import session
from train.workers import failure_of

STAGES = ("lightgcn", "llara")
Point = Mapping[str, Any]
"""Settings of one trial, by name."""


@dataclass(frozen=True)
class Config:
    """Settings of the search; ``train/conf/search.yaml`` explains each."""

    dataset: str
    output: str
    stage: str
    settings: list[str]
    space: list[str]
    trials: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes:
        settings: What was drawn for it.
        ndcg: Validation NDCG@500; for LLaRA the mean over its numbers of seeds.
        seconds: That its training took.
    """

    settings: dict[str, Any]
    ndcg: float
    seconds: float


def run(config: Config) -> None:
    """Write ``trials.csv``, ``search.png`` and ``best.txt`` to ``config.output``.

    Raises:
        InputError: There is nothing to search, Ray is missing, or a setting is not the stage's.
    """
    if config.stage not in STAGES:
        raise InputError(f"The settings of {config.stage!r} cannot be searched; set stage={' or stage='.join(STAGES)}.")
    space, first = space_of(config.space), _defaults(config)
    Dataset.open(Path(config.dataset))
    output = Path(config.output).absolute()
    with session("A search") as ray:
        failure = ray.call(lambda: _tune(config, space, first, output))
    if failure:
        raise SegueError(failure)
    write_results(output, known_trials(config, output))


def known_trials(config: Config, output: Path) -> list[Trial]:
    """Return the finished trials of this search, and none of another that wrote to the same folder."""
    found = {file.stem: Trial(**json.loads(file.read_text())) for file in sorted((output / "trials").glob("*.json"))}
    return [trial for name, trial in found.items() if _digest(config, trial.settings) == name]


def space_of(words: Sequence[str]) -> dict[str, ChoiceSweep | IntervalSweep]:
    """Return what is drawn for each setting.

    Raises:
        InputError: A word is not of the form ``name=choice(…)`` or ``name=interval(…)``.
    """
    space = {}
    for word in words:
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException as error:
            raise InputError(
                f"The search cannot read {word!r}; write name=choice(a, b) or interval(low, high)."
            ) from error
        value = override.value()
        if not isinstance(value, ChoiceSweep | IntervalSweep):
            raise InputError(f"{word!r} leaves nothing to search; write name=choice(a, b) or name=interval(low, high).")
        space[override.key_or_group] = value
    if not space:
        raise InputError("There is nothing to search; name settings with space=.")
    return space


def _defaults(config: Config) -> dict[str, Any]:
    """Return the stage's own settings of what is searched, which are the first trial.

    Raises:
        InputError: The stage has no such setting.
    """
    from omegaconf import OmegaConf

    known = OmegaConf.structured(_typed(config, {}))
    names = space_of(config.space)
    return {name: OmegaConf.select(known, name) for name in names}


def _typed(config: Config, point: Point, output: Path = Path("trial")) -> Any:
    from train.__main__ import load_config

    drawn = [f"{name}={value}" for name, value in point.items()]
    own = [f"dataset={config.dataset}", f"output={output}", f"seed={config.seed}", f"threads={config.threads}"]
    return load_config(config.stage, [*config.settings, *drawn, *own])


def _tune(config: Config, space: Mapping[str, Any], first: Point, output: Path) -> str:
    """Run the trials where the cluster is, and return why one failed, or ""."""
    tune: Any = import_module("ray.tune")
    draws: Any = import_module("ray.tune.search.basic_variant").BasicVariantGenerator
    with tempfile.TemporaryDirectory(prefix="tune-") as books:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(_trial, config=config, output=output), {"CPU": config.threads}),
            param_space={name: _domain(tune, sweep) for name, sweep in space.items()},
            tune_config=tune.TuneConfig(
                metric="ndcg",
                mode="max",
                num_samples=config.trials,
                search_alg=draws(points_to_evaluate=[dict(first)], random_state=config.seed),
            ),
            run_config=tune.RunConfig(
                name="search", storage_path=books, verbose=0, failure_config=tune.FailureConfig(max_failures=2)
            ),
        )
        errors = tuner.fit().errors
    return failure_of(str(errors[0]), "A trial of the search") if errors else ""


def _domain(tune: Any, sweep: ChoiceSweep | IntervalSweep) -> Any:
    if isinstance(sweep, ChoiceSweep):
        return tune.choice(list(sweep.list))
    return (tune.loguniform if "log" in sweep.tags else tune.uniform)(float(sweep.start or 0), float(sweep.end or 0))


def _trial(point: Point, config: Config, output: Path) -> None:
    """Train one trial, unless it is known already, and report its figure."""
    known = output / "trials" / f"{_digest(config, point)}.json"
    if not known.exists():
        folder = known.with_suffix("")
        import_module(f"train.{_MODULES[config.stage]}").run(_typed(config, point, folder))
        ndcg, seconds = figures(json.loads((folder / "metrics.json").read_text()))
        write_whole(known, canonical_json({"settings": dict(point), "ndcg": ndcg, "seconds": seconds}))
        shutil.rmtree(folder)
    import_module("ray.tune").report({"ndcg": json.loads(known.read_text())["ndcg"]})


_MODULES = {"lightgcn": "lightgcn_stage", "llara": "llara"}


def _digest(config: Config, point: Point) -> str:
    """Return what tells a trial from all that another dataset, seed or setting would make."""
    told = [Dataset.open(Path(config.dataset)).digest, config.stage, config.settings, config.seed, dict(point)]
    return sha256_bytes(canonical_json(told))[:16]


def figures(metrics: Any) -> tuple[float, float]:
    """Return the validation NDCG and the seconds of a stage's ``metrics.json``; 0 seconds where it tells none."""
    if isinstance(metrics, dict):
        return float(metrics["ndcg"]), float(metrics["seconds"])
    values = [float(value) for name, value in metrics[-1].items() if name.startswith("ndcg_")]
    return sum(values) / len(values), 0.0


def write_results(output: Path, trials: Sequence[Trial]) -> None:
    """Write the table, the plot and the settings of the best trial, and show the table."""
    ranked = sorted(trials, key=lambda trial: (-trial.ndcg, canonical_json(trial.settings)))
    names = list(ranked[0].settings)
    rows = [["ndcg", "seconds", *names]]
    rows += [[f"{t.ndcg:.4f}", f"{t.seconds:.1f}", *(_short(t.settings[name]) for name in names)] for t in ranked]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_whole(output / "trials.csv", text.getvalue().encode())
    best = " ".join(f"{name}={value}" for name, value in ranked[0].settings.items())
    write_whole(output / "best.txt", f"{best}\n".encode())
    image = io.BytesIO()
    plot(ranked, names).savefig(image, format="png", metadata={"Software": None})
    write_whole(output / "search.png", image.getvalue())
    tqdm.write("\n".join("  ".join(f"{word:>12}" for word in row) for row in rows))
    tqdm.write(f"best: {best}")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plot(trials: Sequence[Trial], names: Sequence[str]) -> Figure:
    """Return NDCG over each setting, the best trial marked."""
    figure = Figure(figsize=(3.2 * len(names), 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True):
        axes.plot([trial.settings[name] for trial in trials], [trial.ndcg for trial in trials], "o", color="#4477aa")
        axes.plot([trials[0].settings[name]], [trials[0].ndcg], "o", color="#ee6677")
        axes.set_xlabel(name)
    figure.axes[0].set_ylabel("validation NDCG@500")
    return figure
