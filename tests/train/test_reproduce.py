"""The verb ``reproduce``: reads the public formats, chooses on the training side, and writes its figures."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from segue.errors import InputError
from tests.train.test_lightgcn import planted
from train.__main__ import main
from train.benchmarks import load_benchmark
from train.interactions import Interactions, hold_out


def write_split(folder: Path, kind: str) -> tuple[Interactions, Interactions]:
    """Write a planted split in one of the formats and return it."""
    rest, test = hold_out(planted(), 0.2, seed=1)
    folder.mkdir(exist_ok=True)
    for name, side in (("train", rest), ("test", test)):
        if kind == "npz":
            np.savez(folder / f"{name}.npz", user=side.users.astype(np.int32), item=side.items.astype(np.int32))
        elif kind == "tsv.gz":
            rows = [f"{u}\t{i}\t7\n" for u, i in zip(side.users, side.items, strict=True)]
            (folder / f"{name}.tsv.gz").write_bytes(gzip.compress("".join(rows).encode()))
        else:
            lists = np.split(side.items, side.starts[1:-1])
            lines = [" ".join(map(str, [user, *items])) for user, items in enumerate(lists) if len(items)]
            (folder / f"{name}.txt").write_text("\n".join(lines))
    return rest, test


@pytest.mark.parametrize("kind", ["npz", "tsv.gz", "txt"])
def test_the_three_formats_give_the_same_split(kind: str, tmp_path: Path) -> None:
    """Each edge of both sides comes back, and nothing else."""
    rest, test = write_split(tmp_path, kind)
    benchmark = load_benchmark(tmp_path)
    for mine, written in ((benchmark.train, rest), (benchmark.test, test)):
        np.testing.assert_array_equal(mine.users, written.users)
        np.testing.assert_array_equal(mine.items, written.items)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("test.txt", b"0 1 x\n", r"test\.txt cannot be read \(.*\); fetch it again\.$"),
        ("test.txt", b"\n", r"test\.txt .*; fetch it again\.$"),
        ("test.tsv.gz", b"\x1f\x8b\x08half", r"test\.tsv\.gz cannot be read \(.*\); fetch it again\.$"),
        ("other", b"", r"has no test file; put one of test\.npz, "),
    ],
)
def test_a_broken_split_ends_in_a_sentence(name: str, data: bytes, sentence: str, tmp_path: Path) -> None:
    """The sentence names the file and what to do."""
    write_split(tmp_path, "npz")
    (tmp_path / "test.npz").unlink()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=sentence):
        load_benchmark(tmp_path)


def test_the_command_writes_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Validation by epoch and by weight, what was chosen and the test figures stand in result.json, twice the same."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    write_split(tmp_path / "data", "txt")
    arguments = [
        "reproduce",
        "benchmark=lastfm",
        "epochs=6",
        "batch=16",
        "evaluate_every=2",
        "dimension=8",
        "data=data",
    ]
    assert main([*arguments, "output=one"]) == 0
    assert main([*arguments, "output=two"]) == 0
    first, second = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "two"))
    times = ("choose_seconds", "learn_seconds", "validation")
    assert {k: v for k, v in first.items() if k not in times} == {k: v for k, v in second.items() if k not in times}
    assert first["test_recall"] > 0.2
    best = max(first["weights"], key=lambda look: look["recall"])
    assert (first["weight"], len(first["weights"])) == (best["weight"], 5)
    assert first["epoch"] in [look["epoch"] for look in first["validation"]] == [0, 2, 4, 6]


def test_the_votes_are_heard_by_their_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 0 alone it is LightGCN, with a weight that drowns it out it is item-kNN."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    write_split(tmp_path / "data", "txt")
    common = ["reproduce", "benchmark=lastfm", "epochs=2", "batch=16", "dimension=8", "data=data", "output=out"]

    def figures(weights: str) -> dict[str, float]:
        assert main([*common, f"weights={weights}"]) == 0
        result: dict[str, float] = json.loads((tmp_path / "out" / "result.json").read_text())
        return result

    alone, drowned = figures("[0]"), figures("[1e6]")
    for metric in ("recall", "ndcg"):
        assert alone[f"test_{metric}"] == alone[f"test_lightgcn_{metric}"] == drowned[f"test_lightgcn_{metric}"]
        assert drowned[f"test_{metric}"] == drowned[f"test_votes_{metric}"] != drowned[f"test_lightgcn_{metric}"]


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ("weights=[]", "set weights=[0] for none"),
        ("weights=[0,nan]", "set weights=[0] for none"),
        ("weights=[-1]", "set weights=[0] for none"),
        ("votes.sharpen=3", "set votes.sharpen=0"),
    ],
)
def test_what_cannot_be_added_is_refused_before_training(
    wrong: str, cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence says what to set, and nothing was written."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    write_split(tmp_path / "data", "txt")
    assert main(["reproduce", "benchmark=lastfm", "data=data", "output=out", wrong]) != 0
    assert cure in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
