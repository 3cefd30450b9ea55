"""The stages one after another, as the command line runs them: from a dataset to a bundle that serves."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest

import train.__main__ as train_command
import train.llara
from data_processing.dataset import Dataset
from inference.ranker import Ranker
from segue.bundle import SPELLING, Bundle
from tests.support.training_road import Road
from train.__main__ import load_config
from train.encoder import load_encoder
from train.export import load_ranker
from train.llara import settings_of, training_identity, training_of


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    folder = tmp_path_factory.mktemp("road")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        road = Road(folder)
        road.dataset()
        road.learn()
        assert road.export("bundle") == 0
        yield road


def test_the_road_ends_in_a_bundle_that_continues_playlists(road: Road) -> None:
    """By a track, by a title and by a track that the catalogue lacks; synthetic is said."""
    ranker = Ranker.open(road.folder / "bundle")
    queries = [ranker.query([0, 5]), ranker.query([], title="summer"), ranker.query([], unknown=["new song by nobody"])]
    ids, scores = ranker.rank(queries, 10)
    assert ranker.bundle.manifest.synthetic
    assert np.isfinite(scores).all()
    assert not {0, 5} & set(ids[0].tolist())
    assert ids[0].tolist() != ids[1].tolist()


def test_a_bundle_tells_what_it_is_made_of(road: Road) -> None:
    """The manifest names dataset, seed and run, and the graph's inputs and outputs with their types."""
    manifest = Bundle.open(road.folder / "bundle").manifest
    assert manifest.lineage["dataset"].startswith("sha256:")
    assert manifest.lineage["seed"] == 0
    assert [value["name"] for value in manifest.model["outputs"]] == ["ids", "scores"]
    types = {value["name"]: value["dtype"] for value in manifest.model["inputs"]}
    names = ["seeds", "title_grams", "prompt_tokens", "unknown_tokens", "stand_ins", "artists", "ordered", "k"]
    assert types == dict.fromkeys(names, "int64")


def test_a_bundle_mends_titles_by_the_words_of_its_training(road: Road) -> None:
    """The longest word that training titles have, with two letters swapped and signs around it, ranks as itself."""
    ranker = Ranker.open(road.folder / "bundle")
    known = json.loads(ranker.bundle.file(SPELLING).read_bytes())["titles"]
    word = max((word for word in known if word.isalpha()), key=lambda word: (len(word), word))
    typo = f"#{word[:-2]}{word[-1]}{word[-2]}!"
    ids, _ = ranker.rank([ranker.query([], title=title) for title in (word, typo)], 10)
    assert ids[0].tolist() == ids[1].tolist()


def test_the_same_seed_gives_the_same_bundle(road: Road) -> None:
    """Trained and exported again, the ranker's weights and the bundle's digest are the same."""
    assert road.llara("again") == 0
    weights = [(road.folder / name / "ranker.safetensors").read_bytes() for name in ("llara", "again")]
    assert weights[0] == weights[1]
    assert road.export("bundle2") == 0
    assert Bundle.open(road.folder / "bundle2").digest == Bundle.open(road.folder / "bundle").digest


def test_so_many_validation_playlists_judge_and_no_more(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million playlists 30,000 are validation's, and asking them all takes hours after each epoch."""
    dataset, settings = Dataset.open(road.folder / "dataset"), settings_of(road.folder / "llara")
    loaded = load_encoder(settings.encoder)
    ranker = load_ranker(road.folder / "llara", settings, dataset, loaded)
    every = training_of(settings, dataset, loaded, ranker).judged[0]
    monkeypatch.setattr(train.llara, "JUDGED", 3)
    some = training_of(settings, dataset, loaded, ranker).judged[0]
    assert len(every) > len(some) == 3
    assert {example.query.title for example in some} <= {example.query.title for example in every}


def test_a_checkpoint_belongs_to_the_vectors_that_training_began_from(road: Road) -> None:
    """Other vectors of LightGCN are another training; and a stage that is done leaves no checkpoint behind."""
    other = road.folder / "other-lightgcn"
    shutil.copytree(road.folder / "lightgcn", other)
    np.save(other / "tracks.npy", np.load(other / "tracks.npy") * 2)
    dataset = Dataset.open(road.folder / "dataset")

    def identity(lightgcn: Path) -> str:
        needs = [f"{need}={road.folder / need}" for need in ("dataset", "text", "projector")]
        return training_identity(load_config("llara", [*needs, f"lightgcn={lightgcn}", "output=any"]), dataset)

    assert identity(other) != identity(road.folder / "lightgcn") == identity(road.folder / "lightgcn")
    assert not list(road.folder.glob("*.checkpoints"))


def test_runs_keep_lineage_curves_and_the_bundle(road: Road) -> None:
    """Each stage is a run with its dataset and settings; llara's has its curves, export's the bundle itself."""
    client = mlflow.MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments(filter_string="name = 'segue'")]
    runs = {run.info.run_name: run for run in client.search_runs(experiments)}
    assert {"lightgcn", "text", "projector", "llara", "export"} <= set(runs)
    digest = Bundle.open(road.folder / "bundle").manifest.lineage["dataset"]
    assert {run.data.tags["dataset"] for run in runs.values()} == {digest}
    assert len(client.get_metric_history(runs["llara"].info.run_id, "skeleton_ndcg_1")) == 2
    kept = {name: [f.path for f in client.list_artifacts(run.info.run_id)] for name, run in runs.items()}
    assert "learning_curves.png" in kept["llara"]
    assert "bundle/manifest.json" in [f.path for f in client.list_artifacts(runs["export"].info.run_id, "bundle")]


def test_every_epoch_is_kept_with_its_figures(road: Road) -> None:
    history = json.loads((road.folder / "llara" / "metrics.json").read_text())
    assert [entry["phase"] for entry in history] == ["skeleton", "skeleton", "second", "llara"]
    assert all(0 < entry["ndcg_1"] < 1 for entry in history)


def test_an_export_that_ranks_worse_is_refused(road: Road, capsys: pytest.CaptureFixture[str]) -> None:
    """A tolerance that nothing can meet leaves no bundle, and one sentence."""
    assert road.export("none", tolerance=-1) == 1
    assert "nothing was exported" in capsys.readouterr().err
    assert not (road.folder / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["llara", "dataset=x"], "python -m train llara needs"),
        (["text", "dataset=x", "output=y", "batch_peaces=3"], "batch_peaces"),
        (["text", "dataset=x", "output=y", "batch_pieces=many"], "many"),
        (["text", "dataset=nowhere", "output=y"], "No dataset can be read at nowhere"),
    ],
)
def test_wrong_settings_end_in_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_command.main(arguments) == 1
    assert sentence in capsys.readouterr().err


def test_a_stage_refuses_vectors_of_another_dataset(road: Road, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(road.folder / "text" / "words.npy.bak", np.load(road.folder / "text" / "words.npy"))
    np.save(road.folder / "text" / "words.npy", np.zeros((3, 8), np.float16))
    try:
        assert road.train("projector", "never", "hidden=32") == 1
        assert "has 3 rows and the dataset" in capsys.readouterr().err
    finally:
        (road.folder / "text" / "words.npy.bak.npy").rename(road.folder / "text" / "words.npy")
