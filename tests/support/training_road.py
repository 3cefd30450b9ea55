"""The stages of training at their smallest, one after another, as the command line runs them."""

from pathlib import Path

import data_processing.__main__ as data_command
import train.__main__ as train_command
from tests.support.tiny_bert import write_tiny_bert


class Road:
    """A work folder and the commands that fill it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encoder = write_tiny_bert(folder / "bert")

    def dataset(self) -> None:
        """Make a small sample and a dataset of it."""
        slices = ["--playlists", "200", "--tracks", "600", "--seed", "3"]
        assert data_command.main(["sample", "--output", str(self.folder / "data"), *slices]) == 0
        sides = ["--validation", "0.1", "--test", "0.1"]
        paths = [str(self.folder / "data"), "--output", str(self.folder / "dataset")]
        assert data_command.main(["ingest", *paths, *sides]) == 0

    def train(self, verb: str, output: str, *overrides: str) -> int:
        """Run a stage with the folders that it needs and return its exit code."""
        needs = {
            "lightgcn": ["dataset"],
            "text": ["dataset"],
            "projector": ["dataset", "lightgcn", "text"],
            "llara": ["dataset", "lightgcn", "text", "projector"],
            "export": ["dataset", "llara"],
        }
        folders = [f"{need}={self.folder / need}" for need in needs[verb]]
        return train_command.main([verb, *folders, f"output={self.folder / output}", "threads=1", *overrides])

    def learn(self) -> None:
        """Run the four stages before the export, at their smallest."""
        encoder = f"encoder={self.encoder}"
        assert self.train("lightgcn", "lightgcn", "dimension=16", "epochs=2", "gram_buckets=512") == 0
        assert self.train("text", "text", encoder) == 0
        assert self.train("projector", "projector", "epochs=1", "hidden=32", "batch=64") == 0
        assert self.llara("llara") == 0

    def export(self, output: str, tolerance: float = 0.05) -> int:
        """Export the ranker, its reader of words hardly taught; return the exit code."""
        return self.train("export", output, "word_steps=50", f"int8_tolerance={tolerance}")

    def llara(self, output: str) -> int:
        """Train the ranker for two short phases."""
        sizes = ["projector_hidden=32", "mix_hidden=16", "gram_buckets=512", "negatives=200", "backbone_layers=1"]
        lengths = ["skeleton.epochs=2", "skeleton.batch=32", "llara.epochs=1", "llara.batch=32"]
        lengths += ["second.epochs=1", "second.batch=32", "second_dimension=16"]
        return self.train("llara", output, f"encoder={self.encoder}", *sizes, *lengths)
