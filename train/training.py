"""What all phases of a ranker's training share, and how its examples become the graph's inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from segue.query import Encoding, Tokenise, encode
from train.candidates import CandidateSampler
from train.examples import UNORDERED, Example, Playlists
from train.team import ALONE, Team


@dataclass(frozen=True)
class Training:
    """What both phases share.

    Attributes:
        playlists: The training playlists.
        judged: Validation examples by number of seeds, and under `train.examples.UNORDERED`.
        sampler: Candidates of batches.
        encoding: Sizes of the inputs.
        tokenise: Words to word pieces.
        title_kept: Chance that an example with seeds keeps its title.
        hidden: A track of c playlists is shown by its text alone with the chance ``hidden / (1 + c)``…
        hidden_least: …but at least with this one.
        seed: Of all randomness.
        tokenise_prompt: As ``tokenise``, for the prompt of a language model with a tokenizer of its own.
        team: Who trains together, each with all of this.
    """

    playlists: Playlists
    judged: Mapping[int, Sequence[Example]]
    sampler: CandidateSampler
    encoding: Encoding
    tokenise: Tokenise
    title_kept: float
    hidden: float
    hidden_least: float
    seed: int
    tokenise_prompt: Tokenise | None = None
    team: Team = ALONE

    @property
    def tracks(self) -> int:
        """Number of tracks of the catalogue."""
        return len(self.playlists.words)


def in_order(training: Training) -> Training:
    """Return ``training`` without the examples that deny an order: what does not hear of it says nothing new there."""
    return replace(training, judged={count: each for count, each in training.judged.items() if count != UNORDERED})


def as_tensors(examples: Sequence[Example], training: Training) -> dict[str, Tensor]:
    """Return the graph's inputs of a batch of examples."""
    arrays = encode(
        [example.query for example in examples], training.encoding, training.tokenise, training.tokenise_prompt
    )
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
