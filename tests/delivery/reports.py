"""Reports as the gate writes them, for bundles small enough to work out by hand."""

import json
from pathlib import Path
from typing import Any

DATASET = f"sha256:{'0' * 64}"


def comparison(verdict: str = "pass", against: str = "ials", slice_: str = "all", **other: Any) -> dict[str, Any]:
    low, effect, high = {"pass": (0.01, 0.02, 0.03), "fail": (-0.03, -0.02, -0.01)}.get(verdict, (-0.01, 0.0, 0.01))
    return {
        "against": against,
        "slice": slice_,
        "metric": "ndcg",
        "n": 200,
        "effect": effect,
        "low": low,
        "high": high,
        "verdict": verdict,
        "playlists_needed": None,
        **other,
    }


def report(bundle: str, verdict: str = "pass", **other: Any) -> dict[str, Any]:
    metrics = {"n": 200, "ndcg": 0.31, "recall@10": 0.12, "mrr@10": 0.4, "precision@10": 0.2, "clicks": 1.5}
    return {
        "schema_version": 1,
        "verdict": verdict,
        "reason": {"pass": "Better than the best baseline."}.get(verdict, f"The gate says {verdict}."),
        "bundle": bundle,
        "incumbent": None,
        "dataset": DATASET,
        "foreign_dataset": False,
        "synthetic": True,
        "seed": 0,
        "split": "test",
        "playlists": 100,
        "k": 500,
        "metrics": {model: {"all": metrics} for model in ("candidate", "popularity", "ials")},
        "comparisons": [comparison(verdict)],
        **other,
    }


def write_report(path: Path, bundle: str, verdict: str = "pass", **other: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report(bundle, verdict, **other)))
    return path
