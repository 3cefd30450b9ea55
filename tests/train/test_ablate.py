"""What each part adds, by the command: silent parts, parts that help or harm by construction, and a killed training."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import train.__main__ as train_command
from data_processing.dataset import Dataset
from tests.support.training_road import Road
from train.ablation_parts import PARTS, Retraining
from train.ablation_training import Bench
from train.checkpoint import save_checkpoint
from train.llara import own_state, settings_of, with_inputs

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    folder = tmp_path_factory.mktemp("road")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        road = Road(folder)
        road.dataset()
        road.learn()
        yield road


def ablate(road: Road, output: str, *overrides: str, llara: str = "llara") -> dict[str, Any]:
    """Run the command and return its report's parts by name."""
    folders = [f"dataset={road.folder / 'dataset'}", f"llara={road.folder / llara}", f"output={road.folder / output}"]
    assert train_command.main(["ablate", *folders, "threads=1", *overrides]) == 0
    report = json.loads((road.folder / output / "ablation.json").read_text())
    return {row["part"]: row for row in report["parts"]}


def altered(road: Road, name: str, alter: Callable[[Weights], None]) -> str:
    """Write the trained ranker with other weights and return its folder's name."""
    weights = load_file(road.folder / "llara" / "ranker.safetensors")
    alter(weights)
    (road.folder / name).mkdir()
    save_file(weights, road.folder / name / "ranker.safetensors")
    (road.folder / name / "config.json").write_bytes((road.folder / "llara" / "config.json").read_bytes())
    return name


SILENT = (
    "llara.gate",
    "second_share",
    "fold_in.weight",
    "neighbourhood.weight",
    "neighbourhood.title_weight",
    "tracks.hidden_bias",
)


def only_popularity(road: Road, weight: float) -> Callable[[Weights], None]:
    """Return what leaves a ranker nothing but popularity, against a whisper of the opposite from each track's bias."""
    counts = Dataset.open(road.folder / "dataset").tracks(["train_count"])["train_count"].to_numpy()
    whisper = -1e-3 * weight * torch.log1p(torch.tensor(counts, dtype=torch.float32))

    def alter(weights: Weights) -> None:
        for name, tensor in weights.items():
            if name.startswith("playlist.") or name in SILENT:
                tensor.zero_()
        weights["popularity"].fill_(weight)
        weights["tracks.bias.weight"].copy_(whisper.unsqueeze(1))

    return alter


def silenced(weights: Weights) -> None:
    """Shut the gates of LLaRA, of the fold-in and of the table."""
    weights["fold_in.weight"].zero_()
    weights["llara.gate"].zero_()
    weights["neighbourhood.weight"].zero_()
    weights["neighbourhood.title_weight"].zero_()


def test_a_silent_part_is_said_to_add_nothing(road: Road, capsys: pytest.CaptureFixture[str]) -> None:
    """Exactly nothing: the same lists come out without it."""
    rows = ablate(
        road,
        "silent-parts",
        "parts=[llara,fold_in,neighbours]",
        "retrain=false",
        llara=altered(road, "silent", silenced),
    )
    for row in rows.values():
        assert row["verdict"] == "adds nothing that shows"
        gains = {seeds: (each["gain"], each["low"], each["high"]) for seeds, each in row["gains"].items()}
        assert gains.pop("cold")[0] == 0.0
        assert gains == dict.fromkeys(["0", "1", "5", "10", "25"], (0.0, 0.0, 0.0))
    assert "llara adds nothing that shows." in capsys.readouterr().out


@pytest.mark.parametrize(("weight", "word", "sign"), [(1.0, "adds", 1), (-1.0, "costs", -1)])
def test_a_part_that_is_all_there_is_shows(road: Road, weight: float, word: str, sign: int) -> None:
    """A ranker of popularity alone is told to gain by its prior; one that turns popularity round, to lose by it."""
    llara = altered(road, f"popular{sign}", only_popularity(road, weight))
    gains = ablate(road, f"prior{sign}", "parts=[prior]", "retrain=false", llara=llara)["prior"]["gains"]
    for seeds in ("0", "1", "5", "10"):
        assert gains[seeds]["verdict"] == word
        assert sign * gains[seeds]["gain"] > 0
        assert gains[seeds]["low"] < gains[seeds]["gain"] < gains[seeds]["high"]


def test_one_command_measures_every_part(road: Road, capsys: pytest.CaptureFixture[str]) -> None:
    """Each in its way, at each number of seeds; given again, the command trains nothing and writes the same bytes."""
    rows = ablate(road, "all")
    assert list(rows) == list(PARTS)
    switched = {name for name, row in rows.items() if row["way"] == "switched off"}
    assert switched == {"llara", "second", "fold_in", "neighbours", "title_neighbours", "recency", "kin"}
    assert all({"0", "1", "5", "cold"} <= set(row["gains"]) for row in rows.values())
    assert "epoch" in capsys.readouterr().err
    report, picture = ((road.folder / "all" / name) for name in ("ablation.json", "ablation.png"))
    before = report.read_bytes(), picture.read_bytes()
    report.unlink()
    ablate(road, "all")
    assert (report.read_bytes(), picture.read_bytes()) == before
    assert "epoch" not in capsys.readouterr().err
    assert not list((road.folder / "all" / "work").iterdir())


def test_a_killed_training_goes_on_and_ends_the_same(
    road: Road, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed after the first epoch's checkpoint, the same command begins with the second epoch."""

    def killed(*arguments: Any) -> None:
        save_checkpoint(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("train.ranker_training.save_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            ablate(road, "killed", "parts=[text]")
    capsys.readouterr()
    resumed = ablate(road, "killed", "parts=[text]")
    told = capsys.readouterr().err
    assert "skeleton epoch 2" in told
    assert "skeleton epoch 1" not in told
    assert resumed == ablate(road, "unharmed", "parts=[text]")


def test_without_training_only_what_can_be_switched_off_is_measured(
    road: Road, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ablate(road, "quick", "retrain=false")
    switched = {"text", "llara", "second", "fold_in", "neighbours", "title_neighbours", "recency", "kin", "prior"}
    assert set(rows) == switched
    assert {row["way"] for row in rows.values()} == {"switched off"}
    told = capsys.readouterr()
    assert "Not measured, since nothing but a training without them could tell: lightgcn, projector" in told.out
    assert "epoch" not in told.err


def test_a_training_that_leaves_nothing_out_is_the_stage_itself(road: Road, tmp_path: Path) -> None:
    """So whatever differs without a part differs by that part."""
    settings = settings_of(road.folder / "llara")
    bench = Bench(Dataset.open(road.folder / "dataset"), settings, road.folder / "llara")
    model, _ = bench.train(Retraining(), tmp_path)
    stage = load_file(road.folder / "llara" / "ranker.safetensors")
    state = own_state(model)
    assert set(state) == set(stage)
    assert all(torch.equal(state[name], stage[name]) for name in stage)


def trained_elsewhere(road: Road, name: str) -> str:
    """Write the trained ranker as if training had run in its own work folder, and return its folder from here."""
    home = road.folder / name
    shutil.copytree(road.folder / "llara", home / "work" / "llara")
    config = home / "work" / "llara" / "config.json"
    kept = json.loads(config.read_text())
    for stage in ("lightgcn", "text", "projector"):
        (home / "work" / stage).symlink_to(road.folder / stage)
        kept[stage] = f"work/{stage}"
    config.write_text(json.dumps(kept))
    return f"{name}/work/llara"


def test_a_ranker_is_measured_from_outside_the_folder_that_it_was_trained_in(
    road: Road, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `make run` leaves it under var/: what it was trained with stands near it; what is gone is named."""
    llara = trained_elsewhere(road, "var")
    rows = ablate(road, "outside", "parts=[prior]", "retrain=false", llara=llara)
    assert rows == ablate(road, "inside", "parts=[prior]", "retrain=false")
    (road.folder / "var" / "work" / "text").unlink()
    assert train_command.main(["ablate", f"dataset={road.folder / 'dataset'}", f"llara={llara}", "output=never"]) == 1
    assert "was trained with the folder work/text, which stands neither near it nor here" in capsys.readouterr().err


def test_inputs_that_are_right_as_they_stand_stay_as_they_are_written(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So where training ran, the identities of checkpoints and of what was measured do not change."""
    llara = Path(trained_elsewhere(road, "home"))
    settings = settings_of(llara)
    assert with_inputs(settings, llara).text == str(road.folder / "home" / "work" / "text")
    monkeypatch.chdir(road.folder / "home")
    assert with_inputs(settings, Path("work/llara")) == settings


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["parts=[nose]"], "The ranker has no part 'nose' to leave out; choose among lightgcn, text"),
        (["parts=[curriculum]", "retrain=false"], "curriculum can be left out by training alone; set retrain=true"),
        (["llara=nowhere"], "No trained ranker can be read at nowhere"),
        (["dataset=nowhere"], "No dataset can be read at nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(
    road: Road, overrides: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [f"dataset={road.folder / 'dataset'}", f"llara={road.folder / 'llara'}", "output=never"]
    assert train_command.main(["ablate", *folders, *overrides]) == 1
    assert sentence in capsys.readouterr().err
    assert not Path("never").exists()
