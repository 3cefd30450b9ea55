"""What a search has come to: a small file for each trial, written when it begins and again when it is finished."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segue.errors import InputError
from segue.files import canonical_json, sha256_bytes, write_whole
from train.search_space import Point, Value


@dataclass(frozen=True)
class Trial:
    """A trial that was begun.

    Attributes:
        number: Its place in the order in which trials were drawn, from 1.
        settings: What was drawn for it.
        ndcg: Validation NDCG@500, for LLaRA the mean over its numbers of seeds; None until it is finished.
        seconds: That its training took; 0 where the stage tells none.
    """

    number: int
    settings: dict[str, Value]
    ndcg: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Trials:
    """The files of one search.

    Attributes:
        folder: Where they are.
        identity: All else that decides a trial's figure: dataset, stage, shared settings, seed. Trials of another
            search in the same folder are never taken for this one's.
    """

    folder: Path
    identity: tuple[Any, ...]

    def name(self, settings: Point) -> str:
        """Return the digest under which a trial is remembered."""
        return sha256_bytes(canonical_json([*self.identity, dict(settings)]))[:16]

    def known(self) -> list[Trial]:
        """Return the trials of this search, finished or not, in the order in which they were drawn.

        Raises:
            InputError: A file cannot be read.
        """
        found = {file: self._read(file) for file in self.folder.glob("*.json")}
        own = [trial for file, trial in found.items() if self.name(trial.settings) == file.stem]
        return sorted(own, key=lambda trial: (trial.number, self.name(trial.settings)))

    def find(self, settings: Point) -> Trial | None:
        """Return the trial with these settings, or None where it was never begun."""
        file = self._file(settings)
        return self._read(file) if file.exists() else None

    def keep(self, trial: Trial) -> None:
        """Write a trial down, in the place of what was known of it."""
        write_whole(self._file(trial.settings), canonical_json(asdict(trial)))

    def workplace(self, settings: Point) -> Path:
        """Return the folder in which the stage of a trial works; its checkpoints are beside it."""
        return self._file(settings).with_suffix("")

    def _file(self, settings: Point) -> Path:
        return self.folder / f"{self.name(settings)}.json"

    @staticmethod
    def _read(file: Path) -> Trial:
        try:
            return Trial(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"What is known of a trial cannot be read from {file} ({error}); remove the file, and it is made anew."
            ) from error
