"""The stages of stand_in.yaml: a dataset that is one word, a bundle that is tiny, a verdict that is that word."""

import argparse
import json
import sys
import time
from pathlib import Path

from evaluation.arguments import link, margin
from segue.bundle import Bundle
from segue.files import whole_directory
from tests.delivery.reports import comparison, write_report

_EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 2, "blind": 3}


def _sample(data: str, seed: str) -> int:
    Path(data).mkdir(exist_ok=True)
    (Path(data) / "word").write_text("pass")
    return 0


def _ingest(source: str, dataset: str) -> int:
    path = Path(source)
    word = (path / "word" if path.is_dir() else path).read_text().strip()
    if word == "broken":
        print("The playlists are broken.", file=sys.stderr)
        return 1
    if word == "slow":
        print("sleeping", flush=True)
        time.sleep(60)
    with whole_directory(Path(dataset)) as folder:
        counts = {"playlists": 1200, "tracks": 30, "entries": 6000}
        (folder / "manifest.json").write_text(json.dumps({"counts": counts, "synthetic": True, "word": word}))
    return 0


def _export(dataset: str, bundle: str, seed: str) -> int:
    from tests.support.tiny_bundle import write_tiny_bundle  # imports onnx, which the other stages do without

    write_tiny_bundle(Path(bundle), Path("scratch"), seed=int(seed))
    return 0


def _gate(bundle: str, dataset: str, report: str, *options: str) -> int:
    digest = Bundle.open(Path(bundle)).digest
    word = json.loads((Path(dataset) / "manifest.json").read_text())["word"]
    told = argparse.ArgumentParser()
    told.add_argument("--incumbent", type=Path)
    told.add_argument("--margin", type=margin)
    told.add_argument("--link", type=link, action="append")
    asked = told.parse_args(options)
    incumbent = Bundle.open(asked.incumbent).digest if asked.incumbent else None
    compared = [comparison(word), *([comparison(word, "incumbent")] if incumbent else [])]
    Path(report).mkdir(exist_ok=True)
    (Path(report) / "asked.json").write_text(json.dumps({"margin": asked.margin, "links": dict(asked.link)}))
    if word != "blind":
        write_report(Path(report) / "report.json", digest, word, incumbent=incumbent, comparisons=compared)
    return _EXIT_CODES[word]


if __name__ == "__main__":
    stages = {"sample": _sample, "ingest": _ingest, "export": _export, "gate": _gate}
    sys.exit(stages[sys.argv[1]](*sys.argv[2:]))  # type: ignore[operator]
