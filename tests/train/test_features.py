"""Genres and numeric features of a table reach training: they place tracks that neither words nor playlists tell of."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import mlflow
import numpy as np
import pytest
from safetensors.torch import load_file

import data_processing.__main__ as data_command
import train.__main__ as train_command
from data_processing.dataset import Dataset
from tests.support.tiny_bert import WIDTH, write_tiny_bert
from train.encoder import load_encoder
from train.features import numeric_columns
from train.text import VectorCache, encode_texts

GROUPS, TRACKS, PLAYLISTS, LENGTH = 4, 240, 240, 12
Values = Callable[[int], Sequence[object]]
GENRES = ("rock", "jazz", "techno", "folk")


class Songs:
    """Tracks with names of random letters, whose playlists hold one group each; a table alone tells the groups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        self.names = [["".join(rng.choice(letters, 8)) for _ in range(2)] for _ in range(TRACKS)]
        self.group = np.arange(TRACKS) % GROUPS
        rows = ["playlist,track,artist"]
        for playlist in range(PLAYLISTS):
            held = rng.choice(np.flatnonzero(self.group == playlist % GROUPS), LENGTH, replace=False)
            rows += [f"p{playlist},{','.join(self.names[i])}" for i in held]
        (folder / "plays.csv").write_text("\n".join(rows))
        self.encoder = write_tiny_bert(folder / "bert")

    def ingest(self, name: str, columns: str = "", values: Values | None = None, *options: str) -> Dataset:
        """Make the dataset ``name``, with a table of features where ``values`` gives a track's ``columns``."""
        words = [str(self.folder / "plays.csv"), "--output", str(self.folder / name), *options]
        if values is not None:
            rows = [",".join(map(str, [*self.names[i], *values(i)])) for i in range(TRACKS)]
            (self.folder / f"{name}.csv").write_text("\n".join([f"track,artist,{columns}", *rows]))
            words += ["--features", str(self.folder / f"{name}.csv")]
        assert data_command.main(["ingest", *words]) == 0
        return Dataset.open(self.folder / name)

    def train(self, verb: str, output: str, dataset: str, *more: str, **folders: str) -> int:
        """Run a stage on ``dataset`` and the folders that it needs; return its exit code."""
        named = [f"{name}={self.folder / folder}" for name, folder in {"dataset": dataset, **folders}.items()]
        return train_command.main([verb, *named, f"output={self.folder / output}", "threads=1", *more])

    def text(self, dataset: str) -> Path:
        """Return the folder in which stage ``text`` has put what it makes of ``dataset``."""
        output = self.folder / f"{dataset}-text"
        if not output.exists():
            assert self.train("text", output.name, dataset, f"encoder={self.encoder}") == 0
        return output

    def projector(self, output: str, dataset: str, text: str) -> int:
        """Run stage ``projector``, with a fifth of the tracks held out; return its exit code."""
        return self.train(
            *("projector", output, dataset, "hidden=32", "batch=64", "epochs=60", "rate=0.01", "held_out=0.2"),
            lightgcn="lightgcn",
            text=text,
        )

    def llara(self, output: str, dataset: str, projector: str) -> int:
        """Train the ranker for two short phases, without a language model; return its exit code."""
        sizes = ["projector_hidden=32", "mix_hidden=16", "gram_buckets=512", "negatives=100", "backbone_layers=0"]
        lengths = [
            "skeleton.epochs=1",
            "skeleton.batch=32",
            "second.epochs=1",
            "second.batch=32",
            "second_dimension=16",
        ]
        folders = {"lightgcn": "lightgcn", "text": f"{dataset}-text", "projector": projector}
        return self.train("llara", output, dataset, f"encoder={self.encoder}", *sizes, *lengths, **folders)

    def placed(self, dataset: str) -> float:
        """Return the mean cosine of where the projector puts tracks that it has not learnt from, and where they are."""
        self.text(dataset)
        assert self.projector(f"{dataset}-projector", dataset, f"{dataset}-text") == 0
        return float(mlflow.search_runs(experiment_names=["segue"])["metrics.held_out_cosine"].iloc[0])


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Songs]:
    folder = tmp_path_factory.mktemp("songs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        songs = Songs(folder)
        songs.ingest("plain")
        songs.ingest("loud", "loudness", lambda i: [songs.group[i] * 3.0 - 20])
        songs.ingest("genres", "genres", lambda i: [GENRES[songs.group[i]]])
        small = ["dimension=16", "epochs=2", "gram_buckets=512"]
        assert songs.train("lightgcn", "lightgcn", "plain", *small) == 0
        yield songs


def test_a_feature_or_a_genre_places_tracks_whose_names_say_nothing(songs: Songs) -> None:
    """Tracks held out stand near where their loudness, or their genre, puts them.

    Names leave only the middle of all groups, whose cosine to each of four at right angles is a half.
    """
    by_name = songs.placed("plain")
    assert by_name < 0.55
    assert songs.placed("loud") > by_name + 0.25
    assert songs.placed("genres") > by_name + 0.25


def test_numbers_are_measured_by_the_tracks_that_training_knows(songs: Songs) -> None:
    """10 and 14 among these are -1 and 1; elsewhere 16 is 2 and a thousand is cut; what is no number is 0."""
    hide = ("--hide-tracks", "0.1")
    tracks = songs.ingest("bare", "", None, *hide).tracks(["title", "train_count"]).to_pylist()
    known, new = ([row["title"] for row in tracks if (row["train_count"] > 0) is held] for held in (True, False))
    tempo: dict[str, object] = dict(zip(known[len(known) % 2 :], itertools.cycle([10, 14])))
    tempo |= dict(zip(new, (16, 1000, "inf", "nan", ""), strict=False))

    def values(i: int) -> tuple[object, ...]:
        title = songs.names[i][0]
        return tempo.get(title, ""), 5, "" if title in known else i, "inf"

    dataset = songs.ingest("odd", "tempo,same,new,endless", values, *hide)
    assert numeric_columns(dataset) == ["tempo", "same", "new", "endless"]
    features = np.load(songs.text("odd") / "features.npy")
    assert features.dtype == np.float16
    expected: dict[object, int] = {10: -1, 14: 1, 16: 2, 1000: 4}
    assert features.tolist() == [[expected.get(tempo.get(row["title"], ""), 0)] for row in tracks]


def test_columns_that_say_nothing_change_nothing(songs: Songs) -> None:
    """Numbers that are all alike or none leave the projector as it is without them, byte for byte."""
    songs.ingest("flat", "same,none", lambda i: [3, "inf" if i % 2 else ""])
    assert np.load(songs.text("flat") / "features.npy").shape == (TRACKS, 0)
    assert not (songs.text("plain") / "features.npy").exists()
    for name in ("flat", "plain"):
        assert songs.projector(f"{name}-again", name, f"{name}-text") == 0
    files = [songs.folder / f"{name}-again" / "projector.safetensors" for name in ("flat", "plain")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_genres_stand_between_album_and_lyrics(tmp_path: Path, songs: Songs) -> None:
    """The context's vectors are those of the album, the genres and the lyrics, as far as they are known."""
    (tmp_path / "plays.csv").write_text(
        "playlist,track,artist,album\n"
        + "".join(f"{p},{t},x,{'Meadow' if t < 'c' else ''}\n" for p in "12" for t in "abcde")
    )
    (tmp_path / "lyrics.csv").write_text("track,artist,text\na,x,la la\nc,x,oh\nd,x,hm\n")
    (tmp_path / "genres.csv").write_text("track,artist,genres\na,x,folk\nb,x,pop\nd,x,jazz\n")
    tables = ["--lyrics", str(tmp_path / "lyrics.csv"), "--features", str(tmp_path / "genres.csv")]
    assert data_command.main(["ingest", str(tmp_path / "plays.csv"), "--output", str(tmp_path / "set"), *tables]) == 0
    overrides = [f"dataset={tmp_path / 'set'}", f"output={tmp_path / 'text'}", f"encoder={songs.encoder}"]
    assert train_command.main(["text", *overrides, "threads=1", "precision=float32"]) == 0
    assert not (tmp_path / "text" / "features.npy").exists()
    context = {"a": "Meadow. folk. la la", "b": "Meadow. pop", "c": ". oh", "d": "jazz. hm", "e": ""}
    titles = Dataset.open(tmp_path / "set").tracks(["title"])["title"].to_pylist()
    cache = VectorCache(tmp_path / "other.cache")
    expected = encode_texts([context[t] for t in titles], load_encoder(str(songs.encoder)), cache, 4096, "float32")
    assert np.allclose(np.load(tmp_path / "text" / "context.npy"), expected, atol=5e-3)


@pytest.mark.parametrize(
    ("dataset", "text", "sentence"),
    [
        ("loud", "plain", r"The dataset has numeric features (loudness), and {} was made without them; run stage text"),
        ("plain", "loud", "{} was made with numeric features, and the dataset has none; run stage text"),
    ],
)
def test_text_of_a_dataset_with_other_features_is_refused(
    songs: Songs, dataset: str, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = songs.text(text)
    assert songs.projector("never", dataset, folder.name) == 1
    assert sentence.format(folder) in capsys.readouterr().err


def test_both_skeletons_place_tracks_by_their_features(songs: Songs, capsys: pytest.CaptureFixture[str]) -> None:
    """Each projector of the ranker takes one number more; one that was made without it is refused."""
    for name in ("plain", "loud"):
        songs.text(name)
        assert songs.projector(f"{name}-small", name, f"{name}-text") == 0
    assert songs.llara("ranker", "loud", "loud-small") == 0
    weights = load_file(songs.folder / "ranker" / "ranker.safetensors")
    for skeleton in ("", "second."):
        assert weights[f"{skeleton}tracks.projector.layers.0.weight"].shape == (32, 2 * WIDTH + 1)
    assert songs.llara("never", "loud", "plain-small") == 1
    assert (
        "was made for other text, features or vectors, or of another width; run stage projector"
        in capsys.readouterr().err
    )
