"""The command of the room: `python -m train <verb> [name=value …]`.

Settings are Hydra's: the defaults of a verb stand in `train/conf/<verb>.yaml`, its types in the `Config` dataclass
of the stage's module, and `name=value` on the command line overrides them.
"""

import argparse
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from segue.errors import InputError, SegueError
from train.settings import typed

STAGES = {
    "lightgcn": ("train.lightgcn_stage", "learn behaviour vectors of tracks on the playlist-track graph"),
    "text": ("train.text", "encode titles, artists, albums, genres and lyrics with a BERT-kind encoder"),
    "projector": ("train.projector", "learn to place a track in the behaviour space by its text"),
    "llara": ("train.llara", "train the ranker: LLaRA on words and behaviour tokens over a linear skeleton"),
    "export": ("train.export", "write the QInt8 ONNX bundle and hold it against torch"),
    "ablate": ("train.ablate", "measure what each part of a trained ranker adds, with intervals"),
    "search": ("train.search", "search a stage's settings by validation NDCG, on as many CPUs as there are"),
    "reproduce": ("train.reproduce", "reproduce LightGCN's published figures on Gowalla, or on lastfm"),
}
SHARED = ("lightgcn", "llara")
"""Stages that several workers can share."""
_CONF = Path(__file__).parent / "conf"
_EXAMPLE = """example:
  python -m train lightgcn dataset=var/dataset output=var/work/lightgcn epochs=5

Every verb shows its settings with --help."""
_WORKERS = (
    "train on N processes by Ray (requirements/ray.txt): on the cluster that RAY_ADDRESS names, else on this machine; "
    "1, the default, trains here and without Ray"
)


def load_config(verb: str, overrides: Sequence[str]) -> Any:
    """Return the typed configuration of a stage: its YAML, then ``name=value`` overrides.

    Raises:
        InputError: An override names no setting, or its value has the wrong type.
    """
    module = importlib.import_module(STAGES[verb][0])
    try:
        with initialize_config_dir(str(_CONF), version_base="1.3"):
            loaded = compose(verb, list(overrides))
    except HydraException as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"The settings of python -m train {verb} are wrong: {reason}.") from error
    return typed(module.Config, loaded, f"python -m train {verb}")


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m train", description=__doc__, epilog=_EXAMPLE, formatter_class=raw)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for verb, (_, purpose) in STAGES.items():
        settings = (_CONF / f"{verb}.yaml").read_text() if (_CONF / f"{verb}.yaml").exists() else ""
        stage = verbs.add_parser(
            verb,
            help=purpose,
            description=f"{purpose}\n\nSettings and defaults (train/conf/{verb}.yaml):\n\n{settings}",
            formatter_class=raw,
        )
        stage.add_argument("overrides", nargs="*", metavar="name=value", help="a setting to change")
        if verb in SHARED:
            stage.add_argument("--workers", type=_count, default=1, metavar="N", help=_WORKERS)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers; 1 is the least")
    return int(text)


def _run(verb: str, config: Any, workers: int) -> None:
    module = STAGES[verb][0]
    if workers == 1:
        importlib.import_module(module).run(config)
    else:
        importlib.import_module("train.workers").run_on_workers(module, config, workers)


def _calm_libraries() -> None:
    """Keep standard error for progress and errors: torch's exporter alone tells of hundreds of harmless steps."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("train").setLevel(logging.INFO)
    for name in ("torch.onnx", "onnxscript", "onnx_ir", "alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "10")  # a log wants a line now and then, not ten a second
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage and return its exit code: 0, or 1 with one sentence on standard error."""
    options = _parser().parse_args(arguments)
    _calm_libraries()
    try:
        config = load_config(options.verb, options.overrides)
        _run(options.verb, config, getattr(options, "workers", 1))
    except SegueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
